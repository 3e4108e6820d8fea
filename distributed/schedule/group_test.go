package schedule

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// table is the schedule table of Megatron-Core: which chunk runs which
// microbatch, in the order of the forwards. Backwards follow the same table with
// the chunks in reverse.
func table(micro, chunks, group int) (out []Action) {
	for first := 0; first < micro; first += group {
		for c := range chunks {
			for m := first; m < first+group && m < micro; m++ {
				out = append(out, Action{Op: Forward, Chunk: uint8(c), Micro: int32(m)})
			}
		}
	}
	return out
}

// The example of Megatron-Core's source: 2 stages, 2 chunks, groups of 3 of 5
// microbatches.
func TestTableOfTheExample(t *testing.T) {
	text := ""
	for _, a := range table(5, 2, 3) {
		text += fmt.Sprintf(" %d.%d", a.Micro, a.Chunk)
	}
	if want := " 0.0 1.0 2.0 0.1 1.1 2.1 3.0 4.0 3.1 4.1"; text != want {
		t.Errorf("table%s, want%s", text, want)
	}
}

// Interleaved orders are those of Megatron-Core: (stages-1-stage)*2 +
// (chunks-1)*group forwards, then one forward and one backward by turns, both
// as its table has them.
func TestInterleavedOrderIsMegatrons(t *testing.T) {
	var p Pipeline
	rapid.Check(t, func(t *rapid.T) {
		s := drawShape(t)
		s.Kind, s.Stages, s.Chunks = Interleaved, max(2, s.Stages), max(2, s.Chunks)
		s.Micro, s.Group = max(s.Micro, s.Stages), 0
		if rapid.Bool().Draw(t, "grouped") {
			s.Group = rapid.IntRange(1, 70).Draw(t, "group")
			s.Group = s.nearestGroup()
		}
		if err := p.Reset(s); err != nil {
			t.Fatal(err)
		}
		forwards := table(s.Micro, s.Chunks, s.GroupSize())
		for stage, order := range p.Compute {
			var want []Action
			warm := min(len(forwards), 2*(s.Stages-1-stage)+(s.Chunks-1)*s.GroupSize())
			want = append(want, forwards[:warm]...)
			for n, a := range forwards {
				if warm+n < len(forwards) {
					want = append(want, forwards[warm+n])
				}
				a.Op, a.Chunk = Backward, uint8(s.Chunks-1)-a.Chunk
				want = append(want, a)
			}
			if !slices.Equal(order, want) {
				t.Fatalf("%v, stage %d:\n%v\nwant\n%v", s, stage, order, want)
			}
		}
	})
}

// A group size is legal exactly if every group has a microbatch for every stage,
// and GroupSize is the smallest.
func TestGroupSizes(t *testing.T) {
	for stages := 2; stages <= 9; stages++ {
		for micro := stages; micro <= 80; micro++ {
			first := 0
			for group := range micro + 2 {
				s := Shape{Interleaved, stages, 2, micro, group}
				legal := group >= stages && group <= micro && (micro%group == 0 || micro%group >= stages)
				if err := s.Check(); group > 0 && legal != (err == nil) {
					t.Errorf("%d stages, %d microbatches, group %d: %v", stages, micro, group, err)
				}
				if legal && first == 0 {
					first = group
				}
			}
			if got := (Shape{Interleaved, stages, 2, micro, 0}).GroupSize(); got != first {
				t.Errorf("%d stages, %d microbatches: group of %d, want %d", stages, micro, got, first)
			}
		}
	}
	if got := (Shape{Kind: GPipe, Stages: 4, Chunks: 1, Micro: 9}).GroupSize(); got != 9 {
		t.Errorf("gpipe works in groups of %d", got)
	}
}

// Why a last group must not be shorter than the stages: they can deadlock.
func TestShortLastGroupDeadlocks(t *testing.T) {
	for _, s := range []Shape{{Interleaved, 5, 2, 7, 5}, {Interleaved, 4, 3, 9, 4}} {
		p := Pipeline{Shape: s, Compute: make([][]Action, s.Stages)}
		for stage := range p.Compute {
			p.Compute[stage] = make([]Action, 0, s.mostActions())
		}
		p.order()
		if runs(&p) {
			t.Errorf("%v runs", s)
		}
	}
}

// With groups of at least the stages the bubble is that of whole groups, whatever
// is left over.
func TestLeftOverMicrobatchesCostNoBubble(t *testing.T) {
	const f, i, w = 3.0, 2.0, 1.5
	for _, stages := range []int{2, 3, 4, 8} {
		for micro := stages; micro <= 6*stages; micro++ {
			for _, chunks := range []int{2, 3} {
				want := float64(micro*chunks)*(f+i+w) + float64(stages-1)*(f+i+w)
				if got := makespan(t, Interleaved, stages, chunks, micro, f, i, w); got != want {
					t.Errorf("%d stages, %d chunks, %d microbatches: makespan %v, want %v", stages, chunks, micro, got, want)
				}
			}
		}
	}
}
