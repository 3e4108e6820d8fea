package measured

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Columns are the columns of a file of measured steps, in order. The first
// line of a file must be exactly these names.
const Columns = "source,model,params,gpus,gpu_type,tp,pp,dp,ep,cp,vpp,mbs,gbs,seq,recompute,precision,sharding," +
	"layers,hidden,heads,tokens_s_gpu,tflops_per_gpu,mfu,step_time_s,mem_gb,notes"

// Row is one line of a file of measured steps as it is written, checked field
// by field but not yet interpreted.
type Row struct {
	File string
	Line int

	Source, Model, Device                   string
	Devices, TP, PP, DP, EP, CP             int
	Chunks, MicroBatch                      Open
	GlobalBatch, Seq                        int
	Recompute, Precision, Sharding          string
	Layers, Hidden, Heads                   int     // 0: not written
	TokensPerSecond, TeraFLOPs, MFU, Params float64 // per device; 0: not written
	Seconds, MemoryGiB                      float64 // 0: not written
	Notes                                   string
}

// Open is a count that a publication may leave open: "?" (not said) or "2?"
// (likely).
type Open struct {
	Value    int  // 0: not said
	Doubtful bool // written with a question mark
}

// Position is where the row stands, as "file:line".
func (r *Row) Position() string { return fmt.Sprintf("%s:%d", r.File, r.Line) }

// ReadRows reads a whole file of measured steps; name is used in errors, which
// give line and column. Nothing is skipped: one bad field refuses the file.
func ReadRows(name string, in io.Reader) ([]Row, error) {
	r := csv.NewReader(in)
	r.ReuseRecord = true
	names := strings.Split(Columns, ",")
	r.FieldsPerRecord = len(names)
	header, err := r.Read()
	if err != nil {
		return nil, readError(name, err)
	}
	for i, want := range names {
		if got := strings.TrimPrefix(header[i], "\ufeff"); got != want {
			_, col := r.FieldPos(i)
			return nil, fmt.Errorf("measured: %s:1:%d: column %d is %q, want %q", name, col, i+1, got, want)
		}
	}
	var rows []Row
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, readError(name, err)
		}
		row, err := readRow(name, names, fields, r)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
}

// readError puts the file's name before an error of the CSV reader.
func readError(name string, err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("measured: %s:1:1: the file is empty; its first line must be %s", name, Columns)
	}
	if p := (*csv.ParseError)(nil); errors.As(err, &p) {
		return fmt.Errorf("measured: %s:%d:%d: %w", name, p.Line, p.Column, p.Err)
	}
	return fmt.Errorf("measured: %s: %w", name, err)
}

// fieldReader takes fields in order and keeps the first error.
type fieldReader struct {
	file   string
	names  []string
	fields []string
	csv    *csv.Reader
	next   int
	err    error
}

// readRow reads one record.
func readRow(name string, names, fields []string, r *csv.Reader) (Row, error) {
	f := &fieldReader{file: name, names: names, fields: fields, csv: r}
	line, _ := r.FieldPos(0)
	row := Row{File: name, Line: line}
	row.Source, row.Model = f.text(), f.text()
	row.Params = f.number()
	row.Devices = f.count()
	row.Device = f.text()
	row.TP, row.PP, row.DP, row.EP, row.CP = f.count(), f.count(), f.count(), f.count(), f.count()
	row.Chunks, row.MicroBatch = f.open(), f.open()
	row.GlobalBatch, row.Seq = f.count(), f.count()
	row.Recompute, row.Precision, row.Sharding = f.text(), f.text(), f.text()
	row.Layers, row.Hidden, row.Heads = f.optional(), f.optional(), f.optional()
	row.TokensPerSecond, row.TeraFLOPs, row.MFU = f.number(), f.number(), f.number()
	row.Seconds, row.MemoryGiB = f.number(), f.number()
	row.Notes = f.take()
	if f.err != nil {
		return Row{}, f.err
	}
	if row.Seconds == 0 && row.TokensPerSecond == 0 && row.TeraFLOPs == 0 {
		return Row{}, f.fault(20, "a row needs tokens_s_gpu, tflops_per_gpu or step_time_s: this one measured nothing")
	}
	return row, nil
}

// fault is an error at field i.
func (f *fieldReader) fault(i int, text string) error {
	line, col := f.csv.FieldPos(i)
	return fmt.Errorf("measured: %s:%d:%d: %s: %s", f.file, line, col, f.names[i], text)
}

// fail keeps the first error, at the field just taken.
func (f *fieldReader) fail(format string, args ...any) {
	if f.err == nil {
		f.err = f.fault(f.next-1, fmt.Sprintf(format, args...))
	}
}

// take returns the next field without the blanks around it.
func (f *fieldReader) take() string {
	f.next++
	return strings.TrimSpace(f.fields[f.next-1])
}

// text takes a field that must not be empty.
func (f *fieldReader) text() string {
	s := f.take()
	if s == "" {
		f.fail("is empty")
	}
	return s
}

// maxCount bounds every count of a row, so that products of counts stay exact.
const maxCount = 1 << 30

// count takes a whole number of at least 1.
func (f *fieldReader) count() int { return f.parse(f.take()) }

func (f *fieldReader) parse(s string) int {
	n, err := strconv.Atoi(s)
	switch {
	case err != nil:
		f.fail("%q is not a whole number", s)
	case n < 1 || n > maxCount:
		f.fail("%d is out of range, want 1 to %d", n, maxCount)
	}
	return n
}

// optional takes a count or nothing.
func (f *fieldReader) optional() int {
	s := f.take()
	if s == "" {
		return 0
	}
	return f.parse(s)
}

// open takes a count, "?" or a count followed by "?".
func (f *fieldReader) open() Open {
	s := f.take()
	bare, doubtful := strings.CutSuffix(s, "?")
	if doubtful && bare == "" {
		return Open{Doubtful: true}
	}
	return Open{Value: f.parse(bare), Doubtful: doubtful}
}

// number takes a finite number above 0, or nothing.
func (f *fieldReader) number() float64 {
	s := f.take()
	if s == "" {
		return 0
	}
	x, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil || math.IsInf(x, 0) || math.IsNaN(x):
		f.fail("%q is not a finite number", s)
	case x <= 0:
		f.fail("%v is not above 0", x)
	}
	return x
}
