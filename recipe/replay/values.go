package replay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/report/record/trace"
)

// ValuesFormat names the format of an operator's values: lines, the first a
// [ValuesHeader], the second the operator's entry in the step's trace, then the
// values, block by block, each eight hexadecimal digits, its bits.
const ValuesFormat = "temper-values/1"

// ValuesHeader says whose values a file holds.
type ValuesHeader struct {
	Format   string        `json:"format"`
	Manifest record.Digest `json:"manifest"`
	Stage    int           `json:"stage"`
	Step     int64         `json:"step"`
	// Index is the place of the entry in the trace.
	Index int64 `json:"index"`
}

// Limits of a file of values.
const (
	maxValues     = 1 << 31
	maxValuesLine = 1 << 14
)

// writeValues writes what an operator computed.
func writeValues(w io.Writer, h *ValuesHeader, e *trace.Entry, values []uint32) error {
	text, err := record.Marshal(h)
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(w, 1<<16)
	_, _ = b.Write(append(text, '\n')) // Flush tells of errors
	_, _ = b.Write(append(e.Append(nil), '\n'))
	for i, v := range values {
		fmt.Fprintf(b, "%08x", v)
		if (i+1)%digest.Block == 0 || i+1 == len(values) {
			_ = b.WriteByte('\n')
		}
	}
	return b.Flush()
}

// readValues reads what writeValues wrote. The values must be those of which the
// entry has the digest.
func readValues(r io.Reader) (h ValuesHeader, e trace.Entry, values []uint32, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, maxValuesLine), maxValuesLine)
	next := func() ([]byte, error) {
		if !lines.Scan() {
			return nil, errors.Join(lines.Err(), io.ErrUnexpectedEOF)
		}
		return lines.Bytes(), nil
	}
	line, err := next()
	if err == nil {
		err = record.Unmarshal(line, &h)
	}
	if err == nil && h.Format != ValuesFormat {
		err = fmt.Errorf("format: %.40q is not known: want %q", h.Format, ValuesFormat)
	}
	if err != nil {
		return h, e, nil, fmt.Errorf("values: line 1: %w", err)
	}
	if line, err = next(); err == nil {
		e, err = trace.ParseEntry(line)
	}
	if err == nil && e.Size > maxValues {
		err = fmt.Errorf("size: %d values, at most %d are read", e.Size, int64(maxValues))
	}
	if err != nil {
		return h, e, nil, fmt.Errorf("values: line 2: %w", err)
	}
	var blocks []digest.Digest
	for n := int64(3); int64(len(values)) < e.Size; n++ {
		if line, err = next(); err == nil {
			values, err = parseBlock(values, line, e.Size)
		}
		if err != nil {
			return h, e, nil, fmt.Errorf("values: line %d: %w", n, err)
		}
		blocks = append(blocks, trace.BlockOf(values[len(values)-len(line)/8:]))
	}
	if lines.Scan() || lines.Err() != nil {
		return h, e, nil, errors.New("values: bytes after the last block")
	}
	return h, e, values, e.CheckBlocks(blocks)
}

// parseBlock appends the values of a line: a whole block, or what is left of size.
func parseBlock(values []uint32, line []byte, size int64) ([]uint32, error) {
	want := min(digest.Block, size-int64(len(values)))
	if int64(len(line)) != 8*want {
		return nil, fmt.Errorf("%d bytes, want %d values of 8 digits", len(line), want)
	}
	for ; len(line) > 0; line = line[8:] {
		v, err := strconv.ParseUint(string(line[:8]), 16, 32)
		if err != nil {
			return nil, fmt.Errorf("%q is no value: want 8 hexadecimal digits", line[:8])
		}
		values = append(values, uint32(v))
	}
	return values, nil
}
