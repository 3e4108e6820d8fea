package schedule

import "fmt"

// StageTime accounts for the time of one stage. The four parts add up to the
// makespan exactly.
type StageTime struct {
	Busy   float64 // computing
	Send   float64 // held by blocking sends
	Wait   float64 // waiting for a message that is on its way: communication not hidden
	Bubble float64 // waiting for another stage to compute, from the start of the step to its end
}

// Timeline is when every action of a pipeline runs. A Timeline that is used
// again reuses its memory.
type Timeline struct {
	Makespan float64
	Stages   []StageTime
	// Start and End hold the times of Compute[stage][i], unless Brief is set.
	// The end includes the time a blocking send holds the stage.
	Start, End [][]float64
	// Brief leaves Start and End empty, which is faster.
	Brief bool

	costs  costs
	lanes  []lane
	last   Op // the last operation that has lanes
	clocks []stageClock
	ready  []int32   // stages that may be able to go on
	at     []float64 // when each forward's, then each backward's output arrives; -1 before
	spans  []float64 // what Start and End point into
}

// stageClock is how far one stage has come.
type stageClock struct {
	next       int     // index of the next action
	now        float64 // end of the last one
	await      int     // index into Timeline.at that the stage is blocked on, or -1
	busy, held float64
	wait       float64
}

// Time runs the pipeline on the given durations: every action starts as soon as
// its stage is free and its inputs have arrived. It fills out and reports
// durations that do not fit the pipeline, and a compute order that never ends.
// It takes time proportional to the number of actions and allocates nothing
// when out has been used for a pipeline at least as large.
func (p *Pipeline) Time(d *Durations, out *Timeline) error {
	if len(p.Compute) != p.Stages {
		return fmt.Errorf("schedule: compute order of %d stages, must be %d", len(p.Compute), p.Stages)
	}
	if err := out.costs.reset(p.Shape, d); err != nil {
		return err
	}
	out.reset(p)
	for len(out.ready) > 0 {
		last := len(out.ready) - 1
		stage := out.ready[last]
		out.ready = out.ready[:last]
		if err := out.advance(p, int(stage)); err != nil {
			return err
		}
	}
	for stage := range out.clocks {
		if out.clocks[stage].next < len(p.Compute[stage]) {
			return p.deadlock(out)
		}
	}
	out.account()
	return nil
}

func (t *Timeline) reset(p *Pipeline) {
	t.clocks = resize(t.clocks, p.Stages)
	t.ready = resize(t.ready, p.Stages)[:0]
	for stage := range t.clocks {
		t.clocks[stage] = stageClock{await: -1}
		t.ready = append(t.ready, int32(p.Stages-1-stage))
	}
	t.last = Backward
	if t.costs.split {
		t.last = BackwardWeight
	}
	t.lay(p)
	t.at = resize(t.at, 2*p.Stages*p.Chunks*p.Micro)
	for i := range t.at {
		t.at[i] = -1
	}
	if t.Brief {
		t.Start, t.End = t.Start[:0], t.End[:0]
		return
	}
	actions := 0
	for _, order := range p.Compute {
		actions += len(order)
	}
	t.spans = resize(t.spans, 2*actions)
	t.Start, t.End = resize(t.Start, p.Stages), resize(t.End, p.Stages)
	free := t.spans
	for stage, order := range p.Compute {
		n := len(order)
		t.Start[stage], t.End[stage], free = free[:n:n], free[n:2*n:2*n], free[2*n:]
	}
}

// lane is what the clock needs to know of one operation on one chunk.
type lane struct {
	in, out                int32 // where in Timeline.at its input arrives and its output is noted, plus the microbatch; -1: nowhere
	to                     int32 // stage that waits for the output, or -1
	flight                 float64
	cost, hold, deliveries float64
}

// lay fills the lanes from the durations: operation op on chunk i is lane
// op*chunks+i.
func (t *Timeline) lay(p *Pipeline) {
	n, micro := p.Stages*p.Chunks, int32(p.Micro)
	c := &t.costs
	t.lanes = resize(t.lanes, (int(BackwardWeight)+1)*n)
	for i := range n {
		forward := lane{in: -1, out: int32(i) * micro, to: c.nextStage[i], cost: c.forward[i], hold: c.holdForward[i], deliveries: c.flightForward[i]}
		if from := c.prev[i]; from >= 0 {
			forward.in, forward.flight = from*micro, c.flightForward[from]
		}
		// The last backward of the model waits for its own forward.
		back := lane{in: int32(i) * micro, out: int32(n+i) * micro, to: c.prevStage[i], hold: c.holdBackward[i], deliveries: c.flightBackward[i]}
		if from := c.next[i]; from >= 0 {
			back.in, back.flight = (int32(n)+from)*micro, c.flightBackward[from]
		}
		t.lanes[int(Forward)*n+i] = forward
		back.cost = c.backward[i]
		t.lanes[int(Backward)*n+i] = back
		if c.split {
			back.cost = c.input[i]
			t.lanes[int(BackwardInput)*n+i] = back
			t.lanes[int(BackwardWeight)*n+i] = lane{in: -1, out: -1, to: -1, cost: c.weight[i]}
		}
	}
}

// advance runs a stage until it is done or waits for another.
func (t *Timeline) advance(p *Pipeline, stage int) error {
	c, order, n := t.clocks[stage], p.Compute[stage], p.Stages*p.Chunks
	for ; c.next < len(order); c.next++ {
		a := order[c.next]
		if int(a.Chunk) >= p.Chunks || uint32(a.Micro) >= uint32(p.Micro) || a.Op > t.last {
			if a.Op != Pair || !t.legal(p, a) {
				return fmt.Errorf("schedule: stage %d: action %d is %v, which a pipeline of %d chunks and %d microbatches cannot run", stage, c.next, a, p.Chunks, p.Micro)
			}
			if !t.pair(p, stage, &c, a) {
				break
			}
			continue
		}
		l := &t.lanes[int(a.Op)*n+stage*p.Chunks+int(a.Chunk)]
		start := c.now
		if l.in >= 0 {
			arrives := t.at[int(l.in)+int(a.Micro)]
			if arrives < 0 {
				c.await = int(l.in) + int(a.Micro)
				break
			}
			if arrives > start {
				c.wait += min(arrives-start, l.flight)
				start = arrives
			}
		}
		c.busy += l.cost
		c.held += l.hold
		c.now = start + l.cost + l.hold
		if !t.Brief {
			t.Start[stage][c.next], t.End[stage][c.next] = start, c.now
		}
		if l.out >= 0 {
			t.deliver(int(l.out)+int(a.Micro), start+l.cost+l.deliveries, l.to)
		}
	}
	t.clocks[stage] = c
	return nil
}

// legal reports whether a pair exists in a pipeline.
func (t *Timeline) legal(p *Pipeline, a Action) bool {
	return p.Chunks == 2 && a.Chunk < 2 && a.Chunk2 == 1-a.Chunk &&
		uint32(a.Micro) < uint32(p.Micro) && uint32(a.Micro2) < uint32(p.Micro)
}

// pair runs a forward and a backward together, if both inputs are there.
func (t *Timeline) pair(p *Pipeline, stage int, c *stageClock, a Action) bool {
	n, i, j := p.Stages*p.Chunks, stage*p.Chunks+int(a.Chunk), stage*p.Chunks+int(a.Chunk2)
	f, b := &t.lanes[int(Forward)*n+i], &t.lanes[int(Backward)*n+j]
	start, flight := c.now, 0.0
	for k, l := range [2]*lane{f, b} {
		if l.in < 0 {
			continue
		}
		index := int(l.in) + int(a.Micro)
		if k == 1 {
			index = int(l.in) + int(a.Micro2)
		}
		arrives := t.at[index]
		if arrives < 0 {
			c.await = index
			return false
		}
		if arrives > start {
			start, flight = arrives, l.flight
		}
	}
	cost, hold := t.costs.pair[i], max(f.hold, b.hold)
	c.wait += min(start-c.now, flight)
	c.busy += cost
	c.held += hold
	c.now = start + cost + hold
	if !t.Brief {
		t.Start[stage][c.next], t.End[stage][c.next] = start, c.now
	}
	t.deliver(int(f.out)+int(a.Micro), start+cost+f.deliveries, f.to)
	t.deliver(int(b.out)+int(a.Micro2), start+cost+b.deliveries, b.to)
	return true
}

// deliver notes when an output arrives, and wakes the stage that waits for it.
func (t *Timeline) deliver(index int, at float64, to int32) {
	t.at[index] = at
	if to >= 0 && t.clocks[to].await == index {
		t.clocks[to].await = -1
		t.ready = append(t.ready, to)
	}
}

// account fills the makespan and what each stage did with it.
func (t *Timeline) account() {
	t.Makespan = 0
	for i := range t.clocks {
		t.Makespan = max(t.Makespan, t.clocks[i].now)
	}
	t.Stages = resize(t.Stages, len(t.clocks))
	for i := range t.clocks {
		c := &t.clocks[i]
		t.Stages[i] = StageTime{Busy: c.busy, Send: c.held, Wait: c.wait, Bubble: t.Makespan - c.busy - c.held - c.wait}
	}
}

// deadlock names the first stage that cannot go on and what it waits for.
func (p *Pipeline) deadlock(t *Timeline) error {
	for stage := range t.clocks {
		c := &t.clocks[stage]
		if c.next >= len(p.Compute[stage]) {
			continue
		}
		i, micro, pass := c.await/p.Micro, c.await%p.Micro, Forward
		if n := p.Stages * p.Chunks; i >= n {
			i, pass = i-n, Backward
		}
		return fmt.Errorf("schedule: deadlock: stage %d waits in %v (action %d of %d) for the %v of microbatch %d on stage %d chunk %d, which cannot run before",
			stage, p.Compute[stage][c.next], c.next, len(p.Compute[stage]), pass, micro, i/p.Chunks, i%p.Chunks)
	}
	return nil
}
