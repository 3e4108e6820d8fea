package trace

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/temper-ml/temper/report/record/digest"
)

// Pass is the part of a step that an operator belongs to.
type Pass int

// The passes, in order; the forward and backward passes of a row follow each
// other before those of the next row.
const (
	// State is what the step starts from: parameters, optimizer, settings.
	State Pass = iota
	// Forward and Backward are the model's work on one row.
	Forward
	Backward
	// Gradient is what the rows' work adds up to: losses, weight gradients, norm.
	Gradient
	// Update is what the optimizer and the balance rule leave behind.
	Update
)

var passNames = [...]string{"state", "forward", "backward", "gradient", "update"}

// String returns the name that files use.
func (p Pass) String() string {
	if p < State || p > Update {
		return fmt.Sprintf("pass %d", int(p))
	}
	return passNames[p]
}

// ofRow tells whether operators of the pass have a row.
func (p Pass) ofRow() bool { return p == Forward || p == Backward }

// Operator is the key of an entry.
type Operator struct {
	Pass Pass
	// Layer is the block, MTP blocks after the trunk; -1 is outside all blocks.
	Layer int
	// Row counts the step's rows in canonical order; -1 is the whole step.
	Row int64
	// Name is what was computed; in the backward pass, of what it is the gradient.
	Name string
}

// String returns the operator in words, such as "forward, row 3, layer 2: attention.q".
func (o Operator) String() string {
	var b strings.Builder
	b.WriteString(o.Pass.String())
	if o.Row >= 0 {
		fmt.Fprintf(&b, ", row %d", o.Row)
	}
	if o.Layer >= 0 {
		fmt.Fprintf(&b, ", layer %d", o.Layer)
	}
	return b.String() + ": " + o.Name
}

// Limits of an operator.
const (
	MaxName  = 255
	maxLayer = 1 << 20
	maxRow   = 1 << 48
	maxSize  = 1 << 56
)

// Check refuses a key that no trace has.
func (o Operator) Check() error {
	switch {
	case o.Pass < State || o.Pass > Update:
		return fmt.Errorf("pass: %d is not known", int(o.Pass))
	case o.Layer < -1 || o.Layer > maxLayer:
		return fmt.Errorf("layer: %d, want -1 to %d", o.Layer, maxLayer)
	case o.Row < -1 || o.Row > maxRow:
		return fmt.Errorf("row: %d, want -1 to %d", o.Row, int64(maxRow))
	case o.Pass.ofRow() != (o.Row >= 0):
		return fmt.Errorf("row: %d in pass %s, where rows are counted from 0 in forward and backward, and are -1 elsewhere", o.Row, o.Pass)
	case o.Name == "" || len(o.Name) > MaxName:
		return fmt.Errorf("name: %d bytes, want 1 to %d", len(o.Name), MaxName)
	}
	for i := range len(o.Name) {
		if !nameByte(o.Name[i]) {
			return fmt.Errorf("name: byte %q at %d of %q, want letters, digits, and any of ._-/", o.Name[i], i, o.Name)
		}
	}
	return nil
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._-/", c) >= 0
}

// Entry is an operator with the digest of what it computed.
type Entry struct {
	Operator
	// Integer says that the values are int32, not float32.
	Integer bool
	// Size is the number of values.
	Size int64
	// Digest is tensor(t) of docs/digests.md, every block covered.
	Digest digest.Digest
}

// Append appends the entry's line, canonical as package record defines it, to b,
// without a newline. The entry must pass Check.
func (e *Entry) Append(b []byte) []byte {
	b = append(append(b, `{"digest":"`...), e.Digest.String()...)
	b = strconv.AppendInt(append(b, `","layer":`...), int64(e.Layer), 10)
	b = append(append(b, `,"name":"`...), e.Name...)
	b = append(append(b, `","pass":"`...), e.Pass.String()...)
	b = strconv.AppendInt(append(b, `","row":`...), e.Row, 10)
	b = strconv.AppendInt(append(b, `,"size":`...), e.Size, 10)
	b = append(append(b, `,"type":"`...), e.kind()...)
	return append(b, `"}`...)
}

func (e *Entry) kind() string {
	if e.Integer {
		return "I32"
	}
	return "F32"
}

// Check refuses an entry that no trace has.
func (e *Entry) Check() error {
	switch {
	case e.Size < 1 || e.Size > maxSize:
		return fmt.Errorf("size: %d values, want 1 to %d", e.Size, int64(maxSize))
	case e.Digest.IsZero():
		return fmt.Errorf("digest: there is none")
	}
	return e.Operator.Check()
}

// ParseEntry reads what Append writes and nothing else.
func ParseEntry(line []byte) (Entry, error) {
	p := parser{s: string(line)}
	var e Entry
	sum := p.text(`{"digest":"`)
	layer := p.number(`,"layer":`)
	e.Name = p.text(`,"name":"`)
	pass := p.text(`,"pass":"`)
	e.Row = p.number(`,"row":`)
	e.Size = p.number(`,"size":`)
	kind := p.text(`,"type":"`)
	p.literal("}")
	if p.err == nil && p.at < len(p.s) {
		p.fail("bytes after the end")
	}
	if p.err == nil && (layer < -1 || layer > maxLayer) {
		p.fail(fmt.Sprintf("layer: %d, want -1 to %d", layer, maxLayer))
	}
	if p.err != nil {
		return Entry{}, p.err
	}
	e.Layer = int(layer)
	return e, e.finish(pass, kind, sum)
}

// finish sets what is not yet parsed.
func (e *Entry) finish(pass, kind, sum string) error {
	e.Pass = -1
	for i, name := range passNames {
		if name == pass {
			e.Pass = Pass(i)
		}
	}
	switch {
	case e.Pass < 0:
		return fmt.Errorf("pass: %.20q is not known: want one of %s", pass, strings.Join(passNames[:], ", "))
	case kind != "F32" && kind != "I32":
		return fmt.Errorf("type: %.20q is not known: want F32 or I32", kind)
	}
	e.Integer = kind == "I32"
	if err := e.Digest.UnmarshalText([]byte(sum)); err != nil {
		return err
	}
	return e.Check()
}

// parser takes a line apart; after the first error it does nothing.
type parser struct {
	s   string
	at  int
	err error
}

func (p *parser) fail(rule string) {
	if p.err == nil {
		p.err = fmt.Errorf("byte %d: %s", p.at, rule)
	}
}

func (p *parser) literal(word string) {
	if p.err == nil && !strings.HasPrefix(p.s[p.at:], word) {
		p.fail(fmt.Sprintf("want %s", word))
	}
	if p.err == nil {
		p.at += len(word)
	}
}

// text takes a member whose value is a string without escapes.
func (p *parser) text(member string) string {
	p.literal(member)
	if p.err != nil {
		return ""
	}
	n := strings.IndexByte(p.s[p.at:], '"')
	if n < 0 {
		p.fail("a text does not end")
		return ""
	}
	value := p.s[p.at : p.at+n]
	p.at += n + 1
	return value
}

// number takes a member whose value is an integer.
func (p *parser) number(member string) int64 {
	p.literal(member)
	if p.err != nil {
		return 0
	}
	end := p.at
	for end < len(p.s) && (p.s[end] == '-' || p.s[end] >= '0' && p.s[end] <= '9') {
		end++
	}
	digits := p.s[p.at:end]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != digits {
		p.fail(fmt.Sprintf("%.30q is no canonical integer", digits))
		return 0
	}
	p.at = end
	return n
}
