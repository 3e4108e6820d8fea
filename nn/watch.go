package nn

// Watch shows what every operator of a pass computes, row by row, as soon as it
// has been computed. A pass without one looks at nothing and allocates nothing.
type Watch struct {
	// See is called with each output. The output, and the slices in it, are valid
	// during the call. Values that See changes are what later operators read:
	// that is how tests make faults.
	See func(*Output)

	// Rows[i] is how many of the batch's segments belong to its rows up to and
	// including i.
	Rows []int

	out        Output
	runs, rows []Segment
	first      int   // of the runs of the row that is being described
	scored     []int // supervised positions of the rows up to and including i
}

// Output is what one operator computed for all rows of a micro-batch. A row's
// values, in an order that does not depend on the other rows, are runs of a
// slice.
type Output struct {
	Place
	// Name says what was computed; in a backward pass, of what it is the gradient.
	Name string
	// Floats or Ints hold the values; the other one is nil.
	Floats []float32
	Ints   []int32
	// Runs are ranges of values; Rows[i] is the range of the runs of row i.
	Runs, Rows []Segment
	// Part says that more calls follow with values that continue the rows', in order.
	Part bool
}

// Place says where a pass is.
type Place struct {
	// Layer is the block, MTP blocks after the trunk; -1 is outside all blocks.
	Layer int
	// Sublayer is "embedding", "attention", "feed-forward", "mtp" or "head".
	Sublayer string
	// Backward tells gradients from values.
	Backward bool
	// Again says that a value is computed a second time, in the backward pass.
	Again bool
}

// Enter says which sublayer runs from now on.
func (p *Pass) Enter(layer int, sublayer string) { p.place.Layer, p.place.Sublayer = layer, sublayer }

// Backwards says whether what runs from now on computes gradients. It returns
// what was said before.
func (p *Pass) Backwards(backward bool) (before bool) {
	before, p.place.Backward = p.place.Backward, backward
	return before
}

// Again says that what runs until it is called with false has run before. It
// returns what was said before.
func (p *Pass) Again(again bool) (before bool) {
	before, p.place.Again = p.place.Again, again
	return before
}

// See shows an output of the same number of values for each token.
func (p *Pass) See(name string, x []float32) {
	if p.Watch != nil {
		p.tokens(name, x, nil)
	}
}

// SeeInts is See for integers.
func (p *Pass) SeeInts(name string, x []int32) {
	if p.Watch != nil {
		p.tokens(name, nil, x)
	}
}

// SeeEntries shows an output of the same number of values for each whole block
// of ratio tokens of a segment.
func (p *Pass) SeeEntries(name string, x []float32, ratio int) {
	if p.Watch != nil {
		p.entries(name, x, ratio)
	}
}

// SeeHeads shows an output [heads, T].
func (p *Pass) SeeHeads(name string, x []float32) {
	if p.Watch != nil {
		p.heads(name, x)
	}
}

// SeePairs shows an output of the same number of values for each pair of a token
// and an expert, in row order; a row has them in token order.
func (p *Pass) SeePairs(name string, x []float32, rt *Routing) {
	if p.Watch != nil {
		p.pairs(name, x, rt)
	}
}

// SeeLists shows lists, floats or ints: that of token t is the first count[t] of
// the values from t·room on. Lists of the first skip tokens of a segment are left out.
func (p *Pass) SeeLists(name string, floats []float32, ints, count []int32, room, skip int) {
	if p.Watch != nil {
		p.lists(name, floats, ints, count, room, skip)
	}
}

// SeeScored shows an output of the same number of values for each of n
// supervised positions from position lo on, of those that [Pass.Scored] counted.
func (p *Pass) SeeScored(name string, x []float32, lo, n int) {
	if p.Watch != nil {
		p.part(name, x, lo, n)
	}
}

// SeeLongest leaves segments shorter than least out of what is shown from now on:
// they are computed only because another segment of the micro-batch needs it.
func (p *Pass) SeeLongest(least int) { p.least = least }

// Scored says which of the pass's positions are supervised, ascending, for
// [Pass.SeeScored]; a position may be there several times.
func (p *Pass) Scored(position func(i int) int, n int) {
	w := p.Watch
	if w == nil {
		return
	}
	w.scored = w.scored[:0]
	at := 0
	for _, to := range p.Rows {
		for at < n && position(at) < p.Segments[to-1].End {
			at++
		}
		w.scored = append(w.scored, at)
	}
}

// begin prepares an output.
func (p *Pass) begin(name string, floats []float32, ints []int32) *Output {
	w := p.Watch
	w.runs, w.rows = w.runs[:0], w.rows[:0]
	w.out = Output{Place: p.place, Name: name, Floats: floats, Ints: ints}
	if w.out.Again {
		w.out.Backward = false
	}
	return &w.out
}

// show ends it.
func (w *Watch) show() {
	w.out.Runs, w.out.Rows = w.runs, w.rows
	w.See(&w.out)
	w.out = Output{}
}

// run adds n values to the row that is being described.
func (w *Watch) run(at, n int) {
	last := len(w.runs) - 1
	switch {
	case n <= 0:
	case last >= w.first && w.runs[last].End == at:
		w.runs[last].End += n
	default:
		w.runs = append(w.runs, Segment{at, at + n})
	}
}

// eachRow calls f for the segments of each row in order; the runs that it adds
// are the row's.
func (p *Pass) eachRow(f func(s Segment)) {
	w, from := p.Watch, 0
	for _, to := range p.Rows {
		w.first = len(w.runs)
		for _, s := range p.Segments[from:to] {
			f(s)
		}
		w.rows = append(w.rows, Segment{w.first, len(w.runs)})
		from = to
	}
	w.show()
}

func (p *Pass) tokens(name string, floats []float32, ints []int32) {
	p.begin(name, floats, ints)
	width := (len(floats) + len(ints)) / p.T()
	p.eachRow(func(s Segment) {
		if s.Len() >= p.least {
			p.Watch.run(s.Start*width, s.Len()*width)
		}
	})
}

func (p *Pass) entries(name string, x []float32, ratio int) {
	p.begin(name, x, nil)
	at, total := 0, 0
	for _, s := range p.Segments {
		total += s.Len() / ratio
	}
	width := len(x) / max(total, 1)
	p.eachRow(func(s Segment) {
		n := s.Len() / ratio * width
		if s.Len() >= p.least {
			p.Watch.run(at, n)
		}
		at += n
	})
}

func (p *Pass) heads(name string, x []float32) {
	p.begin(name, x, nil)
	t := p.T()
	p.eachRow(func(s Segment) {
		for i := s.Start; i < s.End; i++ {
			for at := i; at < len(x); at += t {
				p.Watch.run(at, 1)
			}
		}
	})
}

func (p *Pass) pairs(name string, x []float32, rt *Routing) {
	p.begin(name, x, nil)
	width := len(x) / len(rt.Row)
	p.eachRow(func(s Segment) {
		for _, row := range rt.Row[s.Start*rt.TopK : s.End*rt.TopK] {
			p.Watch.run(int(row)*width, width)
		}
	})
}

func (p *Pass) lists(name string, floats []float32, ints, count []int32, room, skip int) {
	p.begin(name, floats, ints)
	p.eachRow(func(s Segment) {
		for t := s.Start + skip; t < s.End; t++ {
			p.Watch.run(t*room, int(count[t]))
		}
	})
}

func (p *Pass) part(name string, x []float32, lo, n int) {
	p.begin(name, x, nil).Part = true
	w, width, from := p.Watch, len(x)/n, 0
	for _, to := range w.scored {
		w.first = len(w.runs)
		first, last := max(from, lo), min(to, lo+n)
		w.run((first-lo)*width, (last-first)*width)
		w.rows = append(w.rows, Segment{w.first, len(w.runs)})
		from = to
	}
	w.show()
}
