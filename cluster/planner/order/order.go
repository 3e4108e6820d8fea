package order

import (
	"slices"

	"github.com/temper-ml/temper/distributed/schedule"
)

// Order is the skeleton of one pipeline order: how often each stage runs what,
// which of it lies after the last gradient that an earlier stage waits for, and
// how many activations are alive at the moments that can be a stage's worst.
// Bounds on time and the exact memory then take a few sums per stage, whatever
// the number of microbatches.
type Order struct {
	Shape     schedule.Shape
	Split     bool    // input and weight gradients are separate actions
	Positions int     // parts the model is cut into
	Place     []int32 // position of each chunk, index stage*chunks+chunk
	Sends     []bool  // by position: the next one lies on another stage
	rows      []row   // one per stage
}

// row is one stage. Orders that split backwards have at most two chunks; counts
// are indexed by chunk and used by these orders alone.
type row struct {
	entry int32 // position of the stage's first action
	exit  int32 // position of the last gradient that the stage hands back
	final int32 // the stage on which that gradient's way ends
	total counts
	after counts // of total: after the exit
	last  counts // of the final stage: after the exit's gradient has passed
	alive []int32
	// alive holds, chunk by chunk, the activations alive at each moment that can
	// be the worst: several groups of as many values as there are chunks.
}

// counts says how often a stage runs each operation of its chunks; a pair counts
// for the chunk of its forward.
type counts struct {
	forward, backward, input, weight, pair [2]float64
}

// New returns the skeleton of an order. It reads it off the order of a short run and extends it:
// fill and drain do not change with the number of microbatches once there are
// twice as many as stages, and what is alive repeats from there on.
func New(s schedule.Shape) (*Order, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	g := &Order{Shape: s, Split: s.Kind.SplitsBackward(), Positions: s.Positions()}
	g.Place = make([]int32, s.Stages*s.Chunks)
	for i := range g.Place {
		g.Place[i] = int32(s.Position(i/s.Chunks, i%s.Chunks))
	}
	g.Sends = make([]bool, g.Positions)
	for q := range g.Sends {
		stage, chunk := s.Place(q)
		next, _, ok := s.Next(stage, chunk)
		g.Sends[q] = ok && next != stage
	}
	g.rows = make([]row, s.Stages)
	if s.Kind == schedule.OneFOneB || s.Kind == schedule.GPipe {
		g.simple()
		return g, nil
	}
	short := s
	short.Micro = min(s.Micro, shortRun*s.Stages)
	if n := s.GroupSize(); s.Kind == schedule.Interleaved {
		short.Micro, short.Group = min(s.Micro, shortRun*n+s.Micro%n), n // a last group that is not full stays so
	}
	p := &schedule.Pipeline{}
	if err := p.Reset(short); err != nil {
		return nil, err
	}
	for stage := range g.rows {
		r := &g.rows[stage]
		r.alive = alive(p.Compute[stage], s.Chunks)
		if g.Split {
			g.read(p, stage)
			g.extend(&r.total, float64(s.Micro-short.Micro))
		}
	}
	return g, nil
}

// shortRun is how many microbatches per stage an order needs to show all of its
// moments.
const shortRun = 4

// simple fills the rows of orders with one whole backward per forward.
func (g *Order) simple() {
	for stage := range g.rows {
		n := g.Shape.Micro
		if g.Shape.Kind == schedule.OneFOneB {
			n = min(n, g.Shape.Stages-stage)
		}
		g.rows[stage].alive = []int32{int32(n)}
	}
}

// alive lists the activations alive at each local peak of an order. Moments on
// the straight line between two others cannot be the worst, and are left out.
func alive(order []schedule.Action, chunks int) []int32 {
	now := make([]int32, chunks)
	var peaks [][]int32
	add := func() {
		if n := len(peaks); n >= 2 && between(peaks[n-2], peaks[n-1], now) {
			peaks = peaks[:n-1]
		}
		if !slices.ContainsFunc(peaks, func(p []int32) bool { return covers(p, now) }) {
			peaks = append(peaks, slices.Clone(now))
		}
	}
	for i := range order {
		a := &order[i]
		switch a.Op {
		case schedule.Forward:
			now[a.Chunk]++
			add()
		case schedule.Pair:
			now[a.Chunk]++
			add()
			now[a.Chunk2]--
		case schedule.Backward, schedule.BackwardWeight:
			now[a.Chunk]--
		}
	}
	var out []int32
	for i, p := range peaks {
		if !slices.ContainsFunc(peaks[i+1:], func(o []int32) bool { return covers(o, p) }) {
			out = append(out, p...)
		}
	}
	return out
}

// Worst returns the most that is alive on a stage at any moment, when one
// microbatch of each of its chunks weighs so much.
func (g *Order) Worst(stage int, kept []int64) int64 { return g.rows[stage].worst(kept) }

// worst returns the most that is alive when one microbatch of each chunk weighs
// so much.
func (r *row) worst(kept []int64) int64 {
	most := int64(0)
	for i := 0; i < len(r.alive); i += len(kept) {
		sum := int64(0)
		for c, k := range kept {
			sum += int64(r.alive[i+c]) * k
		}
		most = max(most, sum)
	}
	return most
}

// between reports whether b is halfway between a and c.
func between(a, b, c []int32) bool {
	for i := range a {
		if a[i]+c[i] != 2*b[i] {
			return false
		}
	}
	return true
}

// covers reports whether a is at least b everywhere.
func covers(a, b []int32) bool {
	for i := range a {
		if a[i] < b[i] {
			return false
		}
	}
	return true
}

// read fills the counts of one row.
func (g *Order) read(p *schedule.Pipeline, stage int) {
	r, order := &g.rows[stage], p.Compute[stage]
	exit := 0
	for i := range order {
		r.total.add(&order[i])
		if r.after.add(&order[i]); handsBack(order[i].Op) {
			exit, r.after = i, counts{}
		}
	}
	r.entry = int32(g.Shape.Position(stage, int(order[0].Chunk)))
	chunk, micro := gradient(&order[exit])
	r.exit = int32(g.Shape.Position(stage, chunk))
	g.finish(r, p, chunk, micro)
}

// finish notes what the stage at the start of the model still runs after the
// gradient of the microbatch has passed it.
func (g *Order) finish(r *row, p *schedule.Pipeline, chunk int, micro int32) {
	stage, at := 0, 0
	if g.Shape.Kind == schedule.DualPipe && chunk == 1 {
		stage, at = g.Shape.Stages-1, 1
	}
	r.final = int32(stage)
	order := p.Compute[stage]
	for i := len(order) - 1; i >= 0; i-- {
		if handsBack(order[i].Op) {
			if c, m := gradient(&order[i]); c == at && m == micro {
				return
			}
		}
		r.last.add(&order[i])
	}
}

// extend adds the actions of more microbatches in the middle of the run.
func (g *Order) extend(c *counts, more float64) {
	if g.Shape.Kind == schedule.DualPipe {
		more /= 2
	}
	for i := range g.Shape.Chunks {
		switch g.Shape.Kind {
		case schedule.DualPipe, schedule.DualPipeV:
			c.pair[i] += more
		default:
			c.forward[i] += more
			c.input[i] += more
			c.weight[i] += more
		}
	}
}

// handsBack reports whether an operation ends with a gradient for an earlier position.
func handsBack(op schedule.Op) bool {
	return op == schedule.Backward || op == schedule.BackwardInput || op == schedule.Pair
}

// gradient returns whose gradient an action hands back.
func gradient(a *schedule.Action) (chunk int, micro int32) {
	if a.Op == schedule.Pair {
		return int(a.Chunk2), a.Micro2
	}
	return int(a.Chunk), a.Micro
}

// add counts one action.
func (c *counts) add(a *schedule.Action) {
	i := a.Chunk & 1
	switch a.Op {
	case schedule.Forward:
		c.forward[i]++
	case schedule.Backward:
		c.backward[i]++
	case schedule.BackwardInput:
		c.input[i]++
	case schedule.BackwardWeight:
		c.weight[i]++
	case schedule.Pair:
		c.pair[i]++
	}
}

// time returns the seconds of the counted actions of the parts a and b.
func (c *counts) time(a, b *Passes) float64 {
	return float64(c.forward[0]*a.Forward) + float64(c.backward[0]*a.Backward) + float64(c.input[0]*a.Input) + float64(c.weight[0]*a.Weight) + float64(c.pair[0]*a.Pair) +
		float64(c.forward[1]*b.Forward) + float64(c.backward[1]*b.Backward) + float64(c.input[1]*b.Input) + float64(c.weight[1]*b.Weight) + float64(c.pair[1]*b.Pair)
}
