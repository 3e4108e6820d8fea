package schedule

import "fmt"

// Pipeline is the compute order of every stage: which chunk works on which
// microbatch, in which order. It holds no times and no tensors.
type Pipeline struct {
	Shape
	Compute [][]Action // Compute[stage] is that stage's order

	memory []Action // what Compute points into, kept for the next Reset
}

// NewPipeline returns the compute order of a schedule. It refuses shapes that
// break a rule of the schedule with a *RuleError.
func NewPipeline(k Kind, stages, chunks, micro int) (*Pipeline, error) {
	p := &Pipeline{}
	return p, p.Reset(Shape{Kind: k, Stages: stages, Chunks: chunks, Micro: micro})
}

// Reset makes p the compute order of another shape, reusing its memory.
func (p *Pipeline) Reset(s Shape) error {
	if err := s.Check(); err != nil {
		return err
	}
	perStage := s.mostActions()
	if perStage > maxActions/s.Stages {
		return s.tooLarge(perStage)
	}
	p.Shape = s
	p.memory = resize(p.memory, perStage*s.Stages)
	p.Compute = resize(p.Compute, s.Stages)
	for stage := range p.Compute {
		from := stage * perStage
		p.Compute[stage] = p.memory[from : from : from+perStage]
	}
	p.order()
	return nil
}

// tooLarge names the number of microbatches that fits, or, where even the
// smallest legal one does not, the number of stages.
func (s Shape) tooLarge(perStage int) error {
	unit := 1
	if s.Kind == DualPipe || s.Group != 0 {
		unit = s.period()
	}
	nearest, field := int(int64(s.Micro)*int64(maxActions/s.Stages)/int64(perStage))/unit*unit, "microbatches"
	if s.reduced(nearest).Check() != nil {
		nearest, field = maxActions/perStage, "stages"
	}
	return fmt.Errorf("schedule: %v has %d actions, must be at most %d, nearest legal value %d %s", s, int64(perStage)*int64(s.Stages), maxActions, nearest, field)
}

// reduced returns the shape with another number of microbatches.
func (s Shape) reduced(micro int) Shape {
	s.Micro = micro
	return s
}

// mostActions returns how many actions one stage has at most.
func (s Shape) mostActions() int {
	perChunk := 2
	if s.Kind.SplitsBackward() {
		perChunk = 3
	}
	if s.Kind == DualPipe {
		return perChunk * s.Micro
	}
	return perChunk * s.Chunks * s.Micro
}

// order fills Compute.
func (p *Pipeline) order() {
	switch p.Kind {
	case GPipe:
		p.alternate(func(int) int { return p.Micro })
	case OneFOneB:
		p.alternate(func(stage int) int { return p.Stages - 1 - stage })
	case Interleaved:
		p.alternate(func(stage int) int { return 2*(p.Stages-1-stage) + (p.Chunks-1)*p.GroupSize() })
	case ZBH1:
		p.zeroBubbleH1()
	case ZBV:
		p.zeroBubbleV()
	case DualPipe, DualPipeV:
		p.dualPipe()
	}
}

// alternate fills the orders that first run a number of forwards, then one
// forward and one backward by turns, then the remaining backwards.
func (p *Pipeline) alternate(warmup func(stage int) int) {
	forward, backward := p.sequences()
	for stage := range p.Compute {
		w := min(warmup(stage), len(forward))
		out := p.Compute[stage][:2*len(forward)]
		copy(out, forward[:w])
		byTurns(out[w:2*len(forward)-w], forward[w:], backward)
		copy(out[2*len(forward)-w:], backward[len(forward)-w:])
		p.Compute[stage] = out
	}
}

// byTurns fills an order with one action of each list by turns. It is the inner
// loop of NewPipeline, and half the time if out is cut instead of indexed.
func byTurns(out, forward, backward []Action) {
	backward = backward[:len(forward)]
	for i := range forward {
		if len(out) < 2 {
			return
		}
		out[0], out[1] = forward[i], backward[i]
		out = out[2:]
	}
}

// sequences returns the forwards and the backwards in the order in which every
// stage runs them. With several chunks, groups of microbatches pass all chunks
// before the next group starts; backwards visit the chunks in reverse.
func (p *Pipeline) sequences() (forward, backward []Action) {
	n := p.Chunks * p.Micro
	both := make([]Action, 0, 2*n)
	group := p.GroupSize()
	for pass, op := range [...]Op{Forward, Backward} {
		for first := 0; first < p.Micro; first += group {
			for c := range p.Chunks {
				if pass == 1 {
					c = p.Chunks - 1 - c
				}
				for m := first; m < min(first+group, p.Micro); m++ {
					both = append(both, Action{Op: op, Chunk: uint8(c), Micro: int32(m)})
				}
			}
		}
	}
	return both[:n], both[n:]
}
