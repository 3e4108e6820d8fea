package trace

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/report/record/merkle"
)

// Format names this version of the format.
const Format = "temper-trace/1"

// Header says which step was traced, and by what. Two traces of one step agree
// in Run, Manifest, Stage and Step; the rest may differ.
type Header struct {
	// Format is [Format].
	Format string `json:"format"`
	// Run is the run's name and Manifest the SHA-256 of its manifest's bytes, both
	// empty outside a recorded run.
	Run      string        `json:"run"`
	Manifest record.Digest `json:"manifest"`
	Stage    int           `json:"stage"`
	Step     int64         `json:"step"`
	// Program is the version that computed, Path its instruction set.
	Program string `json:"program"`
	Path    string `json:"path"`
	Threads int    `json:"threads"`
}

// Check refuses a header that no trace has.
func (h *Header) Check() error {
	switch {
	case h.Format != Format:
		return fmt.Errorf("format: %.40q is not known: want %q", h.Format, Format)
	case h.Stage < 0 || h.Step < 0:
		return fmt.Errorf("stage and step: %d and %d must not be negative", h.Stage, h.Step)
	case h.Threads < 0:
		return fmt.Errorf("threads: %d must not be negative", h.Threads)
	}
	if err := h.Manifest.Check(); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	return nil
}

// SameStep tells how o is a trace of another step, nil if it is not.
func (h *Header) SameStep(o *Header) error {
	switch {
	case h.Manifest != o.Manifest:
		return fmt.Errorf("trace: of runs with manifests %s and %s", h.Manifest, o.Manifest)
	case h.Stage != o.Stage || h.Step != o.Step:
		return fmt.Errorf("trace: of step %d of stage %d and step %d of stage %d", h.Step, h.Stage, o.Step, o.Stage)
	}
	return nil
}

// Footer closes a trace.
type Footer struct {
	Operators int64         `json:"operators"`
	Root      record.Digest `json:"root"`
}

// sequence checks the order of entries, keeping no more than one row's.
type sequence struct {
	last Operator
	any  bool
	seen map[Operator]struct{}
}

func (s *sequence) add(o Operator) error {
	if s.seen == nil {
		s.seen = map[Operator]struct{}{}
	}
	group := func(o Operator) Pass { // forward and backward alternate
		if o.Pass == Backward {
			return Forward
		}
		return o.Pass
	}
	if s.any && (group(o) < group(s.last) || group(o) == group(s.last) && o.Row < s.last.Row) {
		return fmt.Errorf("%s after %s: out of order", o, s.last)
	}
	if s.any && (group(o) != group(s.last) || o.Row != s.last.Row) {
		clear(s.seen)
	}
	if _, twice := s.seen[o]; twice {
		return fmt.Errorf("%s appears twice", o)
	}
	s.seen[o], s.last, s.any = struct{}{}, o, true
	return nil
}

// Writer writes a trace as it is computed.
type Writer struct {
	w    *bufio.Writer
	tree merkle.Frontier[digest.Digest]
	seq  sequence
	line []byte
	err  error
}

// NewWriter writes the header. Nothing is complete before Close.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	if err := h.Check(); err != nil {
		return nil, fmt.Errorf("trace: header: %w", err)
	}
	text, err := record.Marshal(h)
	if err != nil {
		return nil, err
	}
	t := &Writer{w: bufio.NewWriterSize(w, 1<<16)}
	_, err = t.w.Write(append(text, '\n'))
	return t, err
}

// Add writes the next entry. After an error it returns that error again.
func (t *Writer) Add(e Entry) error {
	if t.err == nil {
		t.err = t.add(&e)
	}
	return t.err
}

func (t *Writer) add(e *Entry) error {
	if err := e.Check(); err != nil {
		return fmt.Errorf("trace: entry %d: %w", t.tree.Size(), err)
	}
	if err := t.seq.add(e.Operator); err != nil {
		return fmt.Errorf("trace: entry %d: %w", t.tree.Size(), err)
	}
	t.line = e.Append(t.line[:0])
	t.tree.Add(merkle.Leaf[digest.Digest](t.line))
	_, err := t.w.Write(append(t.line, '\n'))
	return err
}

// Close writes the footer and returns it.
func (t *Writer) Close() (Footer, error) {
	f := Footer{Operators: t.tree.Size()}
	if t.err == nil && f.Operators == 0 {
		t.err = errors.New("trace: there is no entry")
	}
	if t.err != nil {
		return f, t.err
	}
	f.Root = record.Digest(t.tree.Root().String())
	text, err := record.Marshal(f)
	if err != nil {
		return f, err
	}
	if _, err := t.w.Write(append(text, '\n')); err != nil {
		return f, err
	}
	t.err = errors.New("trace: the writer is closed")
	return f, t.w.Flush()
}

// maxLine bounds a line: an entry's name has at most MaxName bytes, a header's
// texts are short.
const maxLine = 1 << 12

// Read reads a trace, calling each with every entry, and returns an error unless
// it is complete: all lines canonical and in order, the footer right. Until then
// entries are claims.
func Read(r io.Reader, each func(Entry) error) (Header, Footer, error) {
	var h Header
	var f Footer
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, maxLine), maxLine)
	lines.Split(wholeLines)
	fail := func(line int64, err error) (Header, Footer, error) {
		return h, f, fmt.Errorf("trace: line %d: %w", line, err)
	}
	if !lines.Scan() {
		return fail(1, ended(lines.Err()))
	}
	if err := record.Unmarshal(lines.Bytes(), &h); err != nil {
		return fail(1, err)
	}
	if err := h.Check(); err != nil {
		return fail(1, err)
	}
	var tree merkle.Frontier[digest.Digest]
	var seq sequence
	for lines.Scan() {
		text := lines.Bytes()
		if len(text) > 2 && text[2] == 'o' {
			if err := readFooter(&f, text, &tree); err != nil {
				return fail(tree.Size()+2, err)
			}
			if lines.Scan() || lines.Err() != nil {
				return fail(tree.Size()+3, errors.New("bytes after the footer"))
			}
			return h, f, nil
		}
		e, err := ParseEntry(text)
		if err == nil {
			err = seq.add(e.Operator)
		}
		if err == nil {
			err = each(e)
		}
		if err != nil {
			return fail(tree.Size()+2, err)
		}
		tree.Add(merkle.Leaf[digest.Digest](text))
	}
	return fail(tree.Size()+2, ended(lines.Err()))
}

func readFooter(f *Footer, text []byte, tree *merkle.Frontier[digest.Digest]) error {
	if err := record.Unmarshal(text, f); err != nil {
		return err
	}
	switch {
	case tree.Size() == 0:
		return errors.New("there is no entry")
	case f.Operators != tree.Size():
		return fmt.Errorf("operators: %d, there are %d", f.Operators, tree.Size())
	case f.Root != record.Digest(tree.Root().String()):
		return fmt.Errorf("root: %s, that of the entries is %s", f.Root, tree.Root())
	}
	return nil
}

func ended(err error) error {
	if err != nil {
		return err
	}
	return errors.New("the trace ends before its footer: writing it was cut short")
}

// wholeLines is bufio.ScanLines for lines that all end with a bare newline.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	for i, c := range data {
		if c == '\n' {
			return i + 1, data[:i], nil
		}
	}
	if atEOF && len(data) > 0 {
		return 0, nil, errors.New("the last line has no newline: writing it was cut short")
	}
	return 0, nil, nil
}

// Root returns the root of a trace's entries.
func Root(entries []Entry) digest.Digest {
	var tree merkle.Frontier[digest.Digest]
	var line []byte
	for i := range entries {
		line = entries[i].Append(line[:0])
		tree.Add(merkle.Leaf[digest.Digest](line))
	}
	return tree.Root()
}
