package planner

// passes are the durations of one part of the model, by its position along the
// forward pass: what one microbatch costs there, in seconds.
type passes struct {
	forward, backward, input, weight float64
	pair                             float64 // its forward beside the backward of the stage's other part; 0 in orders without pairs
	send                             float64 // to the next position, and the gradient back; 0 on the same stage
}

// The pipeline's clock counts in ticks of 2^-36 s; rounding a duration moves it
// by at most half of one. The bound gives that away for every action it sums.
const halfTick = 1.0 / (1 << 37)

// ends fills in, for every stage, a time before which it cannot have run its
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
func (g *geometry) ends(d []passes, head, tail, ends []float64) {
	d, head, tail, ends = d[:g.positions], head[:g.positions], tail[:g.positions], ends[:g.shape.Stages]
	before, behind := 0.0, 0.0
	for q := range d {
		p := &d[q]
		head[q], tail[q] = before, behind
		forward, backward := p.forward, p.backward
		if g.split {
			backward = min(p.input, p.backward)
			if p.pair > 0 {
				forward, backward = min(forward, p.pair), min(backward, p.pair)
			}
		}
		before += forward + p.send
		behind += backward + p.send
	}
	actions := 2
	if g.split {
		actions = 3
		g.folded(d, head, tail, ends)
	} else {
		g.plain(d, head, ends)
	}
	slack := float64(halfTick * float64(actions*g.shape.Micro*g.shape.Chunks+4*g.positions))
	for s := range ends {
		ends[s] = max(0, ends[s]-slack-float64(1e-12*ends[s]))
	}
}

// plain bounds orders whose backwards are whole: every stage starts and ends
// with its first chunk.
func (g *geometry) plain(d []passes, head, ends []float64) {
	micro := float64(g.shape.Micro)
	for stage := len(ends) - 1; stage >= 0; stage-- {
		work := 0.0
		for q := stage; q < len(d); q += len(ends) {
			work += d[q].forward + d[q].backward
		}
		ends[stage] = head[stage] + float64(micro*work)
		if stage < len(ends)-1 {
			ends[stage] = max(ends[stage], ends[stage+1]+d[stage].send+d[stage].backward)
		}
	}
}

// folded bounds orders that split backwards.
func (g *geometry) folded(d []passes, head, tail, ends []float64) {
	for s := range ends {
		ends[s] = 0
	}
	chunks := g.shape.Chunks
	for s := range g.rows {
		r := &g.rows[s]
		a, b := &d[g.place[s*chunks]], &d[g.place[s*chunks+chunks-1]]
		f := int(r.final) * chunks
		own := head[r.entry] + r.total.time(a, b)
		back := own - r.after.time(a, b) + tail[r.exit] + r.last.time(&d[g.place[f]], &d[g.place[f+chunks-1]])
		ends[s] = max(ends[s], own)
		ends[r.final] = max(ends[r.final], back)
	}
}
