package data

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"

	"github.com/temper-ml/temper/data/source"
)

// Dataset holds examples in memory, in the order of the files. It does not
// change once made. A Preference data set holds two examples a pair: 2i is
// chosen, 2i+1 rejected.
type Dataset struct {
	kind    source.Kind
	cols    columns
	files   []string
	digest  [32]byte
	options []byte // canonical, for the record
}

// columns are the examples, field by field: example i has tokens and mask
// [ends[i-1], ends[i]).
type columns struct {
	tokens  []int32
	mask    []bool
	ends    []int64
	lines   []int64
	parts   []int32
	file    []int32  // index into Dataset.files
	flags   []uint8  // desirable
	answers []string // reference answers of prompts; nil when there are none
}

const flagDesirable = 1

func (c *columns) add(e Example, line, part int, flags uint8) {
	c.tokens = append(c.tokens, e.Tokens...)
	c.mask = append(c.mask, e.Mask...)
	c.ends = append(c.ends, int64(len(c.tokens)))
	c.lines = append(c.lines, int64(line))
	c.parts = append(c.parts, int32(part))
	c.file = append(c.file, 0)
	c.flags = append(c.flags, flags)
}

// joined returns the examples of all parts, and empties the parts as it goes.
func joined(parts []columns) *columns {
	examples, tokens, answers := 0, 0, 0
	for i := range parts {
		examples += len(parts[i].ends)
		tokens += len(parts[i].tokens)
		answers += len(parts[i].answers)
	}
	c := &columns{
		tokens: make([]int32, 0, tokens), mask: make([]bool, 0, tokens),
		ends: make([]int64, 0, examples), lines: make([]int64, 0, examples), parts: make([]int32, 0, examples),
		file: make([]int32, 0, examples), flags: make([]uint8, 0, examples),
	}
	if answers > 0 {
		c.answers = make([]string, 0, answers)
	}
	for i := range parts {
		c.join(&parts[i], 0)
		parts[i] = columns{}
	}
	return c
}

// join appends all of d's examples, as examples of file.
func (c *columns) join(d *columns, file int32) {
	base := int64(len(c.tokens))
	c.tokens = append(c.tokens, d.tokens...)
	c.mask = append(c.mask, d.mask...)
	for _, end := range d.ends {
		c.ends = append(c.ends, base+end)
	}
	c.lines = append(c.lines, d.lines...)
	c.parts = append(c.parts, d.parts...)
	for range d.ends {
		c.file = append(c.file, file)
	}
	c.flags = append(c.flags, d.flags...)
	c.answers = append(c.answers, d.answers...)
}

func (c *columns) span(i int) (lo, hi int64) {
	if i > 0 {
		lo = c.ends[i-1]
	}
	return lo, c.ends[i]
}

// Kind returns what the rows teach.
func (d *Dataset) Kind() source.Kind { return d.kind }

// Len returns the number of examples.
func (d *Dataset) Len() int { return len(d.cols.ends) }

// Tokens returns the number of tokens of all examples.
func (d *Dataset) Tokens() int64 { return int64(len(d.cols.tokens)) }

// Supervised returns the number of supervised tokens of all examples.
func (d *Dataset) Supervised() int64 { return int64(count(d.cols.mask)) }

// Length returns the number of tokens of example i.
func (d *Dataset) Length(i int) int {
	lo, hi := d.cols.span(i)
	return int(hi - lo)
}

// Example returns example i. Its slices are views: do not change them.
func (d *Dataset) Example(i int) Example {
	lo, hi := d.cols.span(i)
	return Example{Tokens: d.cols.tokens[lo:hi:hi], Mask: d.cols.mask[lo:hi:hi], Source: d.Source(i)}
}

// Source returns where example i comes from.
func (d *Dataset) Source(i int) Source {
	return Source{File: d.files[d.cols.file[i]], Line: int(d.cols.lines[i]), Part: int(d.cols.parts[i])}
}

// Desirable returns the judgement of example i of a Feedback data set; of a
// Preference data set, whether it is a chosen answer.
func (d *Dataset) Desirable(i int) bool {
	if d.kind == source.Preference {
		return i%2 == 0
	}
	return d.cols.flags[i]&flagDesirable != 0
}

// Answer returns the reference answer of example i of a Prompt data set.
func (d *Dataset) Answer(i int) string {
	if d.cols.answers == nil {
		return ""
	}
	return d.cols.answers[i]
}

// Pairs returns the number of pairs of a Preference data set.
func (d *Dataset) Pairs() int { return d.Len() / 2 }

// Pair returns pair i of a Preference data set.
func (d *Dataset) Pair(i int) (chosen, rejected Example) { return d.Example(2 * i), d.Example(2*i + 1) }

// Chosen returns the chosen examples of a Preference data set as a data set of
// their own: conversations to imitate.
func (d *Dataset) Chosen() *Dataset {
	s := &Dataset{kind: source.Supervised, files: d.files, options: d.options}
	for i := 0; i < d.Len(); i += 2 {
		s.cols.add(d.Example(i), int(d.cols.lines[i]), int(d.cols.parts[i]), 0)
		s.cols.file[i/2] = d.cols.file[i]
	}
	s.digest = s.cols.digest(s.kind)
	return s
}

// Judged returns the pairs of a Preference data set taken apart: each answer by
// itself, the chosen ones desirable.
func (d *Dataset) Judged() *Dataset {
	s := &Dataset{kind: source.Feedback, files: d.files, options: d.options, cols: d.cols}
	s.cols.flags = make([]uint8, d.Len())
	for i := 0; i < d.Len(); i += 2 {
		s.cols.flags[i] = flagDesirable
	}
	s.digest = s.cols.digest(s.kind)
	return s
}

// Digest identifies the examples: kind, tokens, masks, boundaries, judgements
// and answers. File names and lines are not part of it.
func (d *Dataset) Digest() [32]byte { return d.digest }

// Slice returns examples [lo, hi) as a data set of its own, sharing memory: to
// hold some out. Pairs cannot be cut in two.
func (d *Dataset) Slice(lo, hi int) (*Dataset, error) {
	if lo < 0 || hi > d.Len() || lo >= hi {
		return nil, fmt.Errorf("data: examples [%d, %d) of %d: want 0 <= low < high <= length", lo, hi, d.Len())
	}
	if d.kind == source.Preference && (lo%2 != 0 || hi%2 != 0) {
		return nil, fmt.Errorf("data: examples [%d, %d) cut a pair in two: want even bounds", lo, hi)
	}
	c := &d.cols
	from, to := int64(0), c.ends[hi-1]
	if lo > 0 {
		from = c.ends[lo-1]
	}
	s := &Dataset{kind: d.kind, files: d.files, options: d.options}
	s.cols = columns{
		tokens: c.tokens[from:to:to], mask: c.mask[from:to:to], ends: make([]int64, 0, hi-lo),
		lines: c.lines[lo:hi:hi], parts: c.parts[lo:hi:hi], file: c.file[lo:hi:hi], flags: c.flags[lo:hi:hi],
	}
	for _, end := range c.ends[lo:hi] {
		s.cols.ends = append(s.cols.ends, end-from)
	}
	if c.answers != nil {
		s.cols.answers = c.answers[lo:hi:hi]
	}
	s.digest = s.cols.digest(s.kind)
	return s, nil
}

// digest hashes what training sees, in a fixed layout: the kind, then the
// lengths, the tokens, the masks, the flags and the answers.
func (c *columns) digest(kind source.Kind) [32]byte {
	h := sha256.New()
	fmt.Fprintf(h, "temper examples 1 %s %d\n", kind, len(c.ends))
	buf := make([]byte, 0, 64<<10)
	for _, end := range c.ends {
		buf = flush(h, binary.LittleEndian.AppendUint64(buf, uint64(end)))
	}
	for _, t := range c.tokens {
		buf = flush(h, binary.LittleEndian.AppendUint32(buf, uint32(t)))
	}
	for _, m := range c.mask {
		b := byte(0)
		if m {
			b = 1
		}
		buf = flush(h, append(buf, b))
	}
	for _, f := range c.flags {
		buf = flush(h, append(buf, f))
	}
	for _, a := range c.answers {
		buf = flush(h, append(binary.LittleEndian.AppendUint64(buf, uint64(len(a))), a...))
	}
	h.Write(buf)
	var sum [32]byte
	h.Sum(sum[:0])
	return sum
}

// flush writes buf to h once it is large.
func flush(h hash.Hash, buf []byte) []byte {
	if len(buf) < 60<<10 {
		return buf
	}
	h.Write(buf)
	return buf[:0]
}
