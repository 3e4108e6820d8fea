package preference

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/nn"
	"github.com/temper-ml/temper/train"
)

// Judged gives packed answers, each of them desirable or not, in training order;
// data.Stream is one.
type Judged interface {
	Stream
	Example(i int) data.Example
	Desirable(i int) bool
}

// mismatch is the prompt of one example with the answer of another.
type mismatch struct{ prompt, answer int32 }

// mismatches are those of a set of answers, a step's or the held-out ones. The
// examples are put in the order in which their prompts first appear, and each prompt
// stands before the answer g places on, the first following the last, where g is
// how many answers the prompt with most of them has: one, if all differ. So every
// answer is used once, and with another prompt than its own, but where one prompt
// has more than half of all answers: what would match there is left out.
type mismatches struct {
	pairs []mismatch
	rows  []run // in which they are laid out
	first int64 // of the rows, among all of the stage
}

// run is what lies in one row.
type run struct{ lo, hi int }

// parted are the examples of a stream, cut into prompt and answer.
type parted struct {
	stream Judged
	parts  []part // by example, with length 0 until it is cut
	limit  int    // tokens of a row
}

// part says where an example's answer begins, which is with its first token to
// learn, how long it is, and what the prompt before it is.
type part struct {
	start, length int
	prompt        uint64
}

// part cuts an example. Prompts are told apart by eight bytes of their SHA-256:
// two that collide would only not be crossed with each other.
func (p *parted) part(e int) part {
	if e >= len(p.parts) {
		p.parts = append(p.parts, make([]part, e+1-len(p.parts))...)
	}
	q := &p.parts[e]
	if q.length > 0 {
		return *q
	}
	x := p.stream.Example(e)
	q.start = max(1, slices.Index(x.Mask, true))
	q.length = len(x.Tokens) - q.start
	h, word := sha256.New(), make([]byte, 4)
	for _, t := range x.Tokens[:q.start] {
		binary.LittleEndian.PutUint32(word, uint32(t))
		h.Write(word)
	}
	q.prompt = binary.LittleEndian.Uint64(h.Sum(nil))
	return *q
}

// cross finds the mismatches of a set of examples and lays them out in rows, in order.
func (p *parted) cross(examples []int) mismatches {
	groups := map[uint64][]int{}
	var prompts []uint64
	shift := 0
	for _, e := range examples {
		k := p.part(e).prompt
		if groups[k] == nil {
			prompts = append(prompts, k)
		}
		groups[k] = append(groups[k], e)
		shift = max(shift, len(groups[k]))
	}
	var order []int
	for _, k := range prompts {
		order = append(order, groups[k]...)
	}
	var m mismatches
	used := 0
	for i, e := range order {
		x := mismatch{int32(e), int32(order[(i+shift)%len(order)])}
		if p.part(e).prompt == p.part(int(x.answer)).prompt {
			continue
		}
		k, length := len(m.pairs), p.length(x)
		if k == 0 || used+length > p.limit {
			m.rows = append(m.rows, run{k, k})
			used = 0
		}
		m.pairs, used = append(m.pairs, x), used+length
		m.rows[len(m.rows)-1].hi = k + 1
	}
	return m
}

// kept is how much of the prompt stands before a mismatched answer: all of it, or,
// where a row does not take both, its first token and its end. An answer is never cut.
func (p *parted) kept(x mismatch) int {
	return max(1, min(p.part(int(x.prompt)).start, p.limit-p.part(int(x.answer)).length))
}

func (p *parted) length(x mismatch) int { return p.kept(x) + p.part(int(x.answer)).length }

// row lays mismatches out.
func (p *parted) row(pairs []mismatch) train.Row {
	var r data.Row
	for _, x := range pairs {
		prompt, answer := p.stream.Example(int(x.prompt)), p.stream.Example(int(x.answer))
		end, from := p.part(int(x.prompt)).start, p.part(int(x.answer)).start
		start, cut := len(r.Tokens), end-p.kept(x)
		r.Tokens = append(append(append(r.Tokens, prompt.Tokens[0]), prompt.Tokens[1+cut:end]...), answer.Tokens[from:]...)
		r.Mask = append(append(r.Mask, make([]bool, end-cut)...), answer.Mask[from:]...)
		r.Segments = append(r.Segments, data.Segment{Start: start, End: len(r.Tokens)})
	}
	return train.NewRow(&r)
}

// join lays rows end to end.
func join(rows []train.Row) train.Row {
	if len(rows) == 1 {
		return rows[0]
	}
	var all train.Row
	for i := range rows {
		r, at := &rows[i], len(all.Tokens)
		all.Tokens = append(all.Tokens, r.Tokens...)
		all.Labels = append(all.Labels, r.Labels...)
		all.MTPLabels = append(all.MTPLabels, r.MTPLabels...)
		for _, s := range r.Segments {
			all.Segments = append(all.Segments, nn.Segment{Start: at + s.Start, End: at + s.End})
		}
	}
	return all
}
