package order

// Passes are the durations of one part of the model, by its position along the
// forward pass: what one microbatch costs there, in seconds.
type Passes struct {
	Forward, Backward, Input, Weight float64
	Pair                             float64 // its forward beside the backward of the stage's other part; 0 in orders without pairs
	Send                             float64 // to the next position, and the gradient back; 0 on the same stage
}

// The pipeline's clock counts in ticks of 2^-36 s; rounding a duration moves it
// by at most half of one. The bound gives that away for every action it sums.
const halfTick = 1.0 / (1 << 37)

// Ends fills in, for every stage, a time before which it cannot have run its
// last action, whatever the durations. These chains exist in every run:
//
//   - a stage cannot start before its first microbatch has come through the
//     positions before it;
//   - it runs its own actions one after the other;
//   - the last gradient it hands back still has to pass the positions before it,
//     and the stage where they end then runs what its order puts after that.
//
// head and tail are scratch of at least as many values as there are positions.
// It allocates nothing and takes time proportional to the number of positions.
func (g *Order) Ends(d []Passes, head, tail, ends []float64) {
	d, head, tail, ends = d[:g.Positions], head[:g.Positions], tail[:g.Positions], ends[:g.Shape.Stages]
	before, behind := 0.0, 0.0
	for q := range d {
		p := &d[q]
		head[q], tail[q] = before, behind
		forward, backward := p.Forward, p.Backward
		if g.Split {
			backward = min(p.Input, p.Backward)
			if p.Pair > 0 {
				forward, backward = min(forward, p.Pair), min(backward, p.Pair)
			}
		}
		before += forward + p.Send
		behind += backward + p.Send
	}
	actions := 2
	if g.Split {
		actions = 3
		g.folded(d, head, tail, ends)
	} else {
		g.plain(d, head, ends)
	}
	slack := float64(halfTick * float64(actions*g.Shape.Micro*g.Shape.Chunks+4*g.Positions))
	for s := range ends {
		ends[s] = max(0, ends[s]-slack-float64(1e-12*ends[s]))
	}
}

// plain bounds orders whose backwards are whole: every stage starts and ends
// with its first chunk.
func (g *Order) plain(d []Passes, head, ends []float64) {
	micro := float64(g.Shape.Micro)
	for stage := len(ends) - 1; stage >= 0; stage-- {
		work := 0.0
		for q := stage; q < len(d); q += len(ends) {
			work += d[q].Forward + d[q].Backward
		}
		ends[stage] = head[stage] + float64(micro*work)
		if stage < len(ends)-1 {
			ends[stage] = max(ends[stage], ends[stage+1]+d[stage].Send+d[stage].Backward)
		}
	}
}

// folded bounds orders that split backwards.
func (g *Order) folded(d []Passes, head, tail, ends []float64) {
	for s := range ends {
		ends[s] = 0
	}
	chunks := g.Shape.Chunks
	for s := range g.rows {
		r := &g.rows[s]
		a, b := &d[g.Place[s*chunks]], &d[g.Place[s*chunks+chunks-1]]
		f := int(r.final) * chunks
		own := head[r.entry] + r.total.time(a, b)
		back := own - r.after.time(a, b) + tail[r.exit] + r.last.time(&d[g.Place[f]], &d[g.Place[f+chunks-1]])
		ends[s] = max(ends[s], own)
		ends[r.final] = max(ends[r.final], back)
	}
}
