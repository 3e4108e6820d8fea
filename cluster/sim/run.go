package sim

import "slices"

// Ledger is where one rank's time went. The four always add up to the wall
// time of the run.
type Ledger struct {
	Compute       Time // working
	Communication Time // transfers that the rank had to wait for
	Bubble        Time // waiting for another stage's work, or for the end
	Stall         Time // waiting for a slower member of its group, or for one that never came
}

// Total is the sum of the four.
func (l Ledger) Total() Time { return l.Compute + l.Communication + l.Bubble + l.Stall }

// Waiting is what others waited for because one rank was late.
type Waiting struct {
	Rank  int
	Node  int
	Cause Cause // what made it late for most of the time
	Total Time  // summed over those who waited
	Times int
}

// Run is one simulated step.
type Run struct {
	Program  *Program
	Wall     Time // until the last rank is done or, in a stopped run, until that is noticed
	Ranks    []Ledger
	Culprits []Waiting // ranks that others waited for, worst first; late through no fault of their own are not listed; the cause is that of the first 64
	Stopped  *Stop     // nil when every rank came to the end

	// Imbalance is the load of the busiest rank of an expert group over the mean
	// load, averaged over all draws; 0 where routing was not disturbed.
	Imbalance float64

	e *engine
}

// Stop describes a step that never ended.
type Stop struct {
	Rank, Node int    // the first to stop
	Cause      string // hung or dead
	At         Time   // when it stopped
	DetectedBy int    // the rank whose wait was the first to be too long
	Detected   Time
	Blocked    int // ranks that waited, directly or not
	Done       int // ranks that had finished their step
}

// finish closes the books.
func (e *engine) finish(f *Faults) *Run {
	run := &Run{Program: e.p, Ranks: e.ledger, e: e}
	for r := range e.ranks {
		run.Wall = max(run.Wall, e.ranks[r].clock)
	}
	run.Stopped = e.stopped(f)
	if run.Stopped != nil {
		run.Wall = max(run.Wall, run.Stopped.Detected)
	}
	for r := range e.ranks {
		rest := run.Wall - e.ranks[r].clock
		switch e.ranks[r].state {
		case done:
			e.ledger[r].Bubble += rest
		default:
			e.ledger[r].Stall += rest
		}
	}
	if t := e.d.router; t != nil && t.count > 0 {
		run.Imbalance = t.sum / float64(t.count)
	}
	for r, w := range e.waited {
		if w.Total > 0 {
			w.Rank, w.Node = r, r/e.p.Node
			run.Culprits = append(run.Culprits, w)
		}
	}
	slices.SortStableFunc(run.Culprits, func(a, b Waiting) int {
		switch {
		case a.Total != b.Total:
			if a.Total > b.Total {
				return -1
			}
			return 1
		default:
			return a.Rank - b.Rank
		}
	})
	for i := range run.Culprits[:min(len(run.Culprits), named)] {
		run.Culprits[i].Cause = e.cause(run.Culprits[i].Rank)
	}
	return run
}

// named is the number of culprits whose cause is looked for.
const named = 64

// cause is what makes the instructions of a rank longest beyond undisturbed.
func (e *engine) cause(r int) Cause {
	var sums [causes]Time
	code := e.p.Code(r)
	for pc := range code {
		if code[pc].Kind == Compute {
			for c, t := range e.d.extras(e, int32(r), int32(pc), &code[pc]) {
				sums[c] += max(0, t)
			}
		}
	}
	best := SlowDie
	for c := range causes {
		if sums[c] > sums[best] {
			best = c
		}
	}
	return best
}

// stopped says who stopped the run and when that was noticed, or nil.
func (e *engine) stopped(f *Faults) *Stop {
	first := -1
	var s Stop
	for r := range e.ranks {
		switch e.ranks[r].state {
		case done:
			s.Done++
		case halted:
			if first < 0 || e.d.halt[r] < e.d.halt[first] {
				first = r
			}
		default:
			s.Blocked++
			if e.d.halt != nil && e.d.halt[r] < never && (first < 0 || e.d.halt[r] < e.d.halt[first]) {
				first = r
			}
		}
	}
	if s.Done == len(e.ranks) {
		return nil
	}
	if first < 0 {
		// A program whose receives and collectives are in an order that can
		// never be met; Program.Check finds what it can, this is the rest.
		s.Rank, s.Node, s.Cause = -1, -1, "deadlock"
		return &s
	}
	s.Rank, s.Node, s.At = first, first/e.p.Node, e.d.halt[first]
	s.Cause = "hung"
	s.Detected, s.DetectedBy = never, -1
	timeout := f.timeout()
	if e.d.dead[first] {
		s.Cause, s.Detected, s.DetectedBy = "dead", s.At+f.heartbeat(), first
	}
	for r := range e.ranks {
		me := &e.ranks[r]
		if me.state != atCollective && me.state != atReceive && me.state != atWait {
			continue
		}
		if at := me.clock + timeout; at < s.Detected {
			s.Detected, s.DetectedBy = at, r
		}
	}
	if s.Detected == never { // nobody waits for it: the launcher's own watchdog
		s.Detected, s.DetectedBy = s.At+timeout, first
	}
	return &s
}
