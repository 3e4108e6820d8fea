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

	costs     costs
	micro     int // microbatches
	backwards int // where the backwards start in at
	clocks    []stageClock
	ready     []int32   // stages that may be able to go on
	at        []float64 // when each forward's, then each backward's output arrives; -1 before
	spans     []float64 // what Start and End point into
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
	t.micro, t.backwards = p.Micro, p.Stages*p.Chunks*p.Micro
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

// advance runs a stage until it is done or waits for another.
func (t *Timeline) advance(p *Pipeline, stage int) error {
	c, order := &t.clocks[stage], p.Compute[stage]
	for ; c.next < len(order); c.next++ {
		a := &order[c.next]
		if int(a.Chunk) >= p.Chunks || int(a.Chunk2) >= p.Chunks || uint32(a.Micro) >= uint32(p.Micro) || uint32(a.Micro2) >= uint32(p.Micro) {
			return fmt.Errorf("schedule: stage %d: action %d is %v, but there are %d chunks and %d microbatches", stage, c.next, *a, p.Chunks, p.Micro)
		}
		i, micro := stage*p.Chunks+int(a.Chunk), int(a.Micro)
		var in, in2 message
		var cost, hold float64
		switch a.Op {
		case Forward:
			in, cost, hold = t.activation(i, micro), t.costs.forward[i], t.costs.holdForward[i]
		case Backward:
			in, cost, hold = t.gradient(i, micro), t.costs.backward[i], t.costs.holdBackward[i]
		case BackwardInput:
			in, cost, hold = t.gradient(i, micro), t.costs.input[i], t.costs.holdBackward[i]
		case BackwardWeight:
			cost = t.costs.weight[i]
		case Pair:
			j := stage*p.Chunks + int(a.Chunk2)
			in, in2 = t.activation(i, micro), t.gradient(j, int(a.Micro2))
			cost, hold = t.costs.pair[i], max(t.costs.holdForward[i], t.costs.holdBackward[j])
		default:
			return fmt.Errorf("schedule: stage %d: action %d is %v, which computes nothing", stage, c.next, *a)
		}
		if in.at < 0 || in2.at < 0 {
			c.await = in.index
			if in.at >= 0 {
				c.await = in2.index
			}
			return nil
		}
		if in2.at > in.at {
			in = in2
		}
		start := max(c.now, in.at)
		c.wait += start - max(c.now, min(start, in.at-in.flight))
		c.busy += cost
		c.held += hold
		c.now = start + cost + hold
		if !t.Brief {
			t.Start[stage][c.next], t.End[stage][c.next] = start, c.now
		}
		t.deliver(a, i, start+cost)
	}
	return nil
}

// message is an input of an action: when it arrives (-1: not known yet), how
// long it was on its way, and where in Timeline.at it is noted.
type message struct {
	at, flight float64
	index      int
}

// activation is the input of a forward.
func (t *Timeline) activation(i, micro int) message {
	from := int(t.costs.prev[i])
	if from < 0 {
		return message{}
	}
	k := from*t.micro + micro
	return message{at: t.at[k], flight: t.costs.flightForward[from], index: k}
}

// gradient is the input of a backward: at the end of the model, the forward.
func (t *Timeline) gradient(i, micro int) message {
	from := int(t.costs.next[i])
	if from < 0 {
		k := i*t.micro + micro
		return message{at: t.at[k], index: k}
	}
	k := t.backwards + from*t.micro + micro
	return message{at: t.at[k], flight: t.costs.flightBackward[from], index: k}
}

// deliver notes when the outputs of an action arrive, and wakes who waits.
func (t *Timeline) deliver(a *Action, i int, end float64) {
	switch a.Op {
	case Forward:
		t.send(i*t.micro+int(a.Micro), end+t.costs.flightForward[i], t.costs.nextStage[i])
	case Backward, BackwardInput:
		t.send(t.backwards+i*t.micro+int(a.Micro), end+t.costs.flightBackward[i], t.costs.prevStage[i])
	case Pair:
		t.send(i*t.micro+int(a.Micro), end+t.costs.flightForward[i], t.costs.nextStage[i])
		i += int(a.Chunk2) - int(a.Chunk)
		t.send(t.backwards+i*t.micro+int(a.Micro2), end+t.costs.flightBackward[i], t.costs.prevStage[i])
	}
}

func (t *Timeline) send(index int, at float64, to int32) {
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
		k, pass := c.await, Forward
		if k >= t.backwards {
			k, pass = k-t.backwards, Backward
		}
		i, micro := k/t.micro, k%t.micro
		return fmt.Errorf("schedule: deadlock: stage %d waits in %v (action %d of %d) for the %v of microbatch %d on stage %d chunk %d, which cannot run before",
			stage, p.Compute[stage][c.next], c.next, len(p.Compute[stage]), pass, micro, i/p.Chunks, i%p.Chunks)
	}
	return nil
}
