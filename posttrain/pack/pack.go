// Package pack lays questions with their answers out in rows of which only the
// answers are learnt.
//
// Each question with its answer is one segment, isolated from others and never cut.
// Rows are filled in the order of adding, each until the next sequence does not fit:
// what is in them depends on nothing but that order. Nothing pads them, so denser
// packing would save no work.
package pack

import (
	"fmt"

	"github.com/temper-ml/temper/nn"
	"github.com/temper-ml/temper/train"
)

// Packer fills rows.
type Packer struct {
	// Room is the most tokens of a row.
	Room int
	// Rows are those filled so far.
	Rows []train.Row

	cut bool
}

// Place is where a sequence lies.
type Place struct{ Row, Segment int }

// Cut makes the next sequence begin a new row.
func (p *Packer) Cut() { p.cut = true }

// Add puts a question and its answer into the last row, or into a new one if that
// has no room. Labels are the answer's tokens, and the MTP block's too.
func (p *Packer) Add(question, answer []int32) (Place, error) {
	n := len(question) + len(answer)
	if n > p.Room || len(question) == 0 || len(answer) == 0 {
		return Place{}, fmt.Errorf("a question of %d tokens and an answer of %d, want at least one of each and no more than the %d of a row together", len(question), len(answer), p.Room)
	}
	last := len(p.Rows) - 1
	if last < 0 || p.cut || len(p.Rows[last].Tokens)+n > p.Room {
		p.Rows = append(p.Rows, train.Row{})
		p.cut, last = false, last+1
	}
	r := &p.Rows[last]
	at := len(r.Tokens)
	r.Tokens = append(append(r.Tokens, question...), answer...)
	r.Segments = append(r.Segments, nn.Segment{Start: at, End: at + n})
	label(r, at, len(question))
	return Place{last, len(r.Segments) - 1}, nil
}

// label gives the segment from position at on, whose question has so many tokens, its
// labels: the answer's tokens, one and two ahead.
func label(r *train.Row, at, question int) {
	n := len(r.Tokens)
	ahead := func(p, k int) int32 {
		if p += k; p < at+question || p >= n {
			return -1
		}
		return r.Tokens[p]
	}
	for p := at; p < n; p++ {
		r.Labels, r.MTPLabels = append(r.Labels, ahead(p, 1)), append(r.MTPLabels, ahead(p, 2))
	}
}
