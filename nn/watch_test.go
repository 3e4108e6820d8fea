package nn

import (
	"fmt"
	"testing"
)

// TestNobodyWatching: without a watch, showing costs no allocation.
func TestNobodyWatching(t *testing.T) {
	p := &Pass{Tokens: make([]int32, 4), Segments: []Segment{{0, 4}}}
	x, ints := make([]float32, 16), make([]int32, 4)
	rt := &Routing{TopK: 1, Row: ints}
	if n := testing.AllocsPerRun(100, func() {
		p.Enter(1, "attention")
		p.See("a", x)
		p.SeeInts("b", ints)
		p.SeeEntries("c", x, 4)
		p.SeeHeads("d", x)
		p.SeePairs("e", x, rt)
		p.SeeLists("f", x, nil, ints, 4, 0)
		p.SeeScored("g", x, 0, 4)
		p.Again(p.Again(true))
		p.Backwards(p.Backwards(true))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// shown returns the values of each row that one call shows.
func shown(p *Pass, show func()) (rows [][]float32, place Place) {
	p.Watch.See = func(o *Output) {
		for _, r := range o.Rows {
			var row []float32
			for _, run := range o.Runs[r.Start:r.End] {
				row = append(row, o.Floats[run.Start:run.End]...)
			}
			rows = append(rows, row)
		}
		place = o.Place
	}
	show()
	return rows, place
}

func count(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(i)
	}
	return x
}

// TestRowsAreTakenApart holds the layout of each kind of output against lists
// that were written down by hand.
func TestRowsAreTakenApart(t *testing.T) {
	// Rows of segments of 4 and 1, of none, and of 2 tokens.
	p := &Pass{
		Tokens: make([]int32, 7), Segments: []Segment{{0, 4}, {4, 5}, {5, 7}}, Rows: []int{2, 2, 3}, Watch: &Watch{},
	}
	for _, c := range []struct {
		name string
		show func()
		want string
	}{
		{"tokens", func() { p.See("", count(14)) }, "[[0 1 2 3 4 5 6 7 8 9] [] [10 11 12 13]]"},
		{"entries", func() { p.SeeEntries("", count(6), 2) }, "[[0 1 2 3] [] [4 5]]"},
		{"no entries", func() { p.SeeEntries("", nil, 8) }, "[[] [] []]"},
		{"heads", func() { p.SeeHeads("", count(14)) }, "[[0 7 1 8 2 9 3 10 4 11] [] [5 12 6 13]]"},
		{"pairs", func() {
			p.SeePairs("", count(28), &Routing{TopK: 2, Row: []int32{13, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 9, 12, 11}})
		}, "[[26 27 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17] [] [20 21 18 19 24 25 22 23]]"},
		{"lists", func() { p.SeeLists("", count(21), nil, []int32{0, 1, 2, 3, 1, 0, 2}, 3, 0) }, "[[3 6 7 9 10 11 12] [] [18 19]]"},
		{"lists from token 3", func() { p.SeeLists("", count(21), nil, []int32{0, 1, 2, 3, 1, 0, 2}, 3, 3) }, "[[9 10 11] [] []]"},
		{"longest", func() { p.SeeLongest(2); p.See("", count(7)); p.SeeLongest(0) }, "[[0 1 2 3] [] [5 6]]"},
		{"scored", func() {
			at := []int{0, 3, 3, 5, 6}
			p.Rows = []int{2, 3}
			p.Scored(func(i int) int { return at[i] }, len(at))
			p.SeeScored("", count(4), 2, 2)
		}, "[[0 1] [2 3]]"},
	} {
		if rows, _ := shown(p, c.show); fmt.Sprint(rows) != c.want {
			t.Errorf("%s: %v, want %s", c.name, rows, c.want)
		}
	}
}

func TestPlaces(t *testing.T) {
	p := &Pass{Tokens: make([]int32, 1), Segments: []Segment{{0, 1}}, Rows: []int{1}, Watch: &Watch{}}
	p.Enter(3, "attention")
	p.Backwards(true)
	see := func() { p.See("", count(1)) }
	if _, at := shown(p, see); at != (Place{3, "attention", true, false}) {
		t.Errorf("backward: %+v", at)
	}
	before := p.Again(true)
	if _, at := shown(p, see); at != (Place{3, "attention", false, true}) {
		t.Errorf("what is computed again belongs to the forward pass: %+v", at)
	}
	if p.Again(before); p.place.Again {
		t.Error("again for ever")
	}
}

// BenchmarkNobodyWatching is what an operator of an untraced step pays.
func BenchmarkNobodyWatching(b *testing.B) {
	p, x := &Pass{}, make([]float32, 16)
	for b.Loop() {
		p.See("a", x)
	}
}
