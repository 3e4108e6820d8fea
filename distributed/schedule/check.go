package schedule

import "fmt"

// Check reports the first fault of a compute order: an action that is missing,
// runs twice, belongs to another chunk's microbatches or runs on its own stage
// before what it needs; or a deadlock between stages.
func (p *Pipeline) Check() error {
	if err := p.Shape.Check(); err != nil {
		return err
	}
	if len(p.Compute) != p.Stages {
		return fmt.Errorf("schedule: compute order of %d stages, must be %d", len(p.Compute), p.Stages)
	}
	seen := make([]progress, p.Chunks*p.Micro)
	for stage := range p.Compute {
		clear(seen)
		if err := p.checkStage(stage, seen); err != nil {
			return err
		}
	}
	d := NewDurations(p.Shape)
	return p.Time(d, &Timeline{Brief: true})
}

// progress is how far one microbatch has come in one chunk.
type progress uint8

const (
	untouched progress = iota
	forwarded
	halfBack // its input gradient is done
	finished
)

var progressNames = [...]string{"not had its forward", "had its forward", "had its input gradient", "had its backward"}

func (p *Pipeline) checkStage(stage int, seen []progress) error {
	for n, a := range p.Compute[stage] {
		if !a.Op.IsCompute() {
			return fmt.Errorf("schedule: stage %d: action %d is %v, which computes nothing", stage, n, a)
		}
		for _, half := range a.halves() {
			if err := p.checkAction(stage, n, half, seen); err != nil {
				return err
			}
		}
	}
	for chunk := range p.Chunks {
		first, last := p.Micros(chunk)
		for micro := first; micro < last; micro++ {
			if was := seen[chunk*p.Micro+micro]; was != finished {
				return fmt.Errorf("schedule: stage %d: the order ends, but microbatch %d of chunk %d has only %s", stage, micro, chunk, progressNames[was])
			}
		}
	}
	return nil
}

func (p *Pipeline) checkAction(stage, n int, a Action, seen []progress) error {
	if int(a.Chunk) >= p.Chunks {
		return fmt.Errorf("schedule: stage %d: action %d is %v, but there are only %d chunks", stage, n, a, p.Chunks)
	}
	first, last := p.Micros(int(a.Chunk))
	if int(a.Micro) < first || int(a.Micro) >= last {
		return fmt.Errorf("schedule: stage %d: action %d is %v, but chunk %d has microbatches %d..%d", stage, n, a, a.Chunk, first, last-1)
	}
	was := &seen[int(a.Chunk)*p.Micro+int(a.Micro)]
	need, then := untouched, forwarded
	switch a.Op {
	case Backward:
		need, then = forwarded, finished
	case BackwardInput:
		need, then = forwarded, halfBack
	case BackwardWeight:
		need, then = halfBack, finished
	}
	if *was != need {
		return fmt.Errorf("schedule: stage %d: action %d is %v, but the microbatch has %s there, and must have %s", stage, n, a, progressNames[*was], progressNames[need])
	}
	*was = then
	return nil
}
