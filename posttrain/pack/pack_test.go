package pack_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/posttrain/pack"
	"github.com/temper-ml/temper/train"
)

// TestRows: what was added is found again, whole, in order, in rows no longer than
// allowed, with the labels that a packed conversation has.
func TestRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pack.Packer{Room: rapid.IntRange(2, 30).Draw(t, "room")}
		tokens := func(name string, most int) []int32 {
			return rapid.SliceOfN(rapid.Int32Range(0, 99), 1, most).Draw(t, name)
		}
		last := pack.Place{Row: -1}
		for range rapid.IntRange(1, 12).Draw(t, "sequences") {
			question := tokens("question", p.Room-1)
			answer := tokens("answer", p.Room-len(question))
			cut := rapid.Bool().Draw(t, "cut")
			if cut {
				p.Cut()
			}
			at, err := p.Add(question, answer)
			if err != nil {
				t.Fatal(err)
			}
			next := pack.Place{Row: last.Row, Segment: last.Segment + 1}
			if at != next && at != (pack.Place{Row: last.Row + 1}) || cut && at.Segment != 0 {
				t.Fatalf("%+v follows %+v, cut %v", at, last, cut)
			}
			last = at
			row := p.Rows[at.Row]
			s := row.Segments[at.Segment]
			if got := row.Tokens[s.Start:s.End]; !slices.Equal(got, append(slices.Clone(question), answer...)) {
				t.Fatalf("%v, want %v and %v", got, question, answer)
			}
			one := data.Row{Tokens: row.Tokens[s.Start:s.End], Mask: make([]bool, s.Len()), Segments: []data.Segment{{Start: 0, End: s.Len()}}}
			for i := len(question); i < s.Len(); i++ {
				one.Mask[i] = true
			}
			want := train.NewRow(&one)
			if !slices.Equal(row.Labels[s.Start:s.End], want.Labels) || !slices.Equal(row.MTPLabels[s.Start:s.End], want.MTPLabels) {
				t.Fatalf("labels %v and %v, want %v and %v", row.Labels[s.Start:s.End], row.MTPLabels[s.Start:s.End], want.Labels, want.MTPLabels)
			}
		}
		for _, r := range p.Rows {
			if len(r.Tokens) > p.Room || len(r.Labels) != len(r.Tokens) || r.Segments[len(r.Segments)-1].End != len(r.Tokens) {
				t.Fatalf("a row of %d tokens, %d labels, segments %v, room %d", len(r.Tokens), len(r.Labels), r.Segments, p.Room)
			}
		}
	})
}

func TestRefusals(t *testing.T) {
	p := pack.Packer{Room: 4}
	for _, c := range [][2][]int32{{{1, 2, 3}, {4, 5}}, {nil, {1}}, {{1}, nil}} {
		if _, err := p.Add(c[0], c[1]); err == nil || !strings.Contains(err.Error(), "no more than the 4 of a row") {
			t.Errorf("%v: %v", c, err)
		}
	}
	if len(p.Rows) != 0 {
		t.Errorf("refused sequences left %d rows", len(p.Rows))
	}
}
