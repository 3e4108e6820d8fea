package sim

// Cost is what one disturbance does to the step when it comes alone.
type Cost struct {
	Name    string
	Wall    Time
	Extra   Time // beyond the undisturbed step
	Stopped *Stop
}

// Comparison is a disturbed step beside the undisturbed one.
type Comparison struct {
	Plain     *Run
	Disturbed *Run
	Costs     []Cost // one by one, in the order of the file
	// Together is what the disturbances cost beyond the sum of the single
	// costs; below zero when they hide behind each other. It is zero when one
	// of them stops the step.
	Together Time
}

// Compare runs the step without and with f, then with each disturbance alone.
// Only the two first runs are kept.
func (p *Program) Compare(f *Faults) (*Comparison, error) {
	plain, err := p.Run(nil)
	if err != nil {
		return nil, err
	}
	disturbed, err := p.Run(f)
	if err != nil {
		return nil, err
	}
	c := &Comparison{Plain: plain, Disturbed: disturbed}
	singles := f.Singles()
	sum, stopped := Time(0), disturbed.Stopped != nil
	for _, single := range singles {
		r := disturbed
		if len(singles) > 1 {
			if r, err = p.Run(single.Faults); err != nil {
				return nil, err
			}
		}
		c.Costs = append(c.Costs, Cost{Name: single.Name, Wall: r.Wall, Extra: r.Wall - plain.Wall, Stopped: r.Stopped})
		sum += r.Wall - plain.Wall
	}
	if !stopped {
		c.Together = disturbed.Wall - plain.Wall - sum
	}
	return c, nil
}

// StageTime is the mean Ledger of a stage's ranks, in seconds, with the
// largest bubble among them.
type StageTime struct {
	Stage                                 int
	Compute, Communication, Bubble, Stall float64
	LargestBubble                         float64
}

// Stages adds the ledgers up by pipeline stage.
func (run *Run) Stages() []StageTime {
	out := make([]StageTime, len(run.Program.Stages))
	block := run.Program.block()
	for s := range out {
		var sum Ledger
		var largest Time
		for r := s * block; r < (s+1)*block; r++ {
			l := run.Ranks[r]
			sum.Compute += l.Compute / Time(block)
			sum.Communication += l.Communication / Time(block)
			sum.Bubble += l.Bubble / Time(block)
			sum.Stall += l.Stall / Time(block)
			largest = max(largest, l.Bubble)
		}
		out[s] = StageTime{
			Stage: s, Compute: sum.Compute.Seconds(), Communication: sum.Communication.Seconds(),
			Bubble: sum.Bubble.Seconds(), Stall: sum.Stall.Seconds(), LargestBubble: largest.Seconds(),
		}
	}
	return out
}
