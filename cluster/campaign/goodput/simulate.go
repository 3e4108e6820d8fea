package goodput

import (
	"fmt"
	"math"
	"slices"
)

// Run is what is played: devices that train until Work seconds of undisturbed
// training are done, or for Horizon seconds of wall time, exactly one of which
// is given.
type Run struct {
	Devices  int
	NodeSize int // devices of one node
	Work     float64
	Horizon  float64
	Failures Failures
	Check    Checkpoint
	Policy   Policy
	Trials   int // 0: 400
	Seed     uint64
}

// Result is the mean of the trials, but for Finish. Times are seconds.
type Result struct {
	Wall, Useful  float64
	Walls         []float64 // wall time of each trial, in order
	Goodput, ETTR float64
	GoodputError  float64 // standard error of Goodput over the trials
	Losses        []Part
	Interruptions []Part // by cause, per run
	PerDay        float64
	Finish        Quantiles // of the wall time
	Interval      float64   // between checkpoints to storage, as used
	Spares        int       // nodes that stood ready
	Young, Daly   float64   // what the formulas say, 0 without failures
	Trials        int
}

// Part is a named share of something.
type Part struct {
	Name  string
	Value float64
}

// Quantiles are the 10th, 50th and 90th percentile.
type Quantiles struct{ P10, P50, P90 float64 }

// setup is a Run with its defaults, shared by the trials.
type setup struct {
	devices, nodes          int
	work, horizon, patience float64
	failure                 Failures
	check                   Checkpoint
	policy                  Policy
	seed                    uint64
	weight, free            float64
}

// Play runs the trials.
func (r *Run) Play() (*Result, error) {
	s, err := r.setup()
	if err != nil {
		return nil, err
	}
	trials := r.Trials
	if trials == 0 {
		trials = 400
	}
	out := &Result{Trials: trials, Interval: s.check.Interval}
	if s.policy.Capacity == Spares {
		out.Spares = s.policy.Spares
	}
	if r.Failures.MTBF > 0 {
		mtbf := r.Failures.MTBF / float64(r.Devices)
		out.Young, out.Daly = Young(s.check.Save, mtbf), Daly(s.check.Save, mtbf)
	}
	names := s.names()
	sums := make([]float64, len(names))
	var lost [losses]float64
	var moved, square float64
	walls := make([]float64, trials)
	for i := range trials {
		t := s.newTrial(i)
		if !t.run() {
			return nil, fmt.Errorf("goodput: policy %s: the work would never end: an interruption every %.4g s, %.4g s to restart and load, %.4g s between checkpoints",
				s.policy.Name, r.Failures.MTBF/float64(r.Devices), s.policy.Restart+s.check.Load, s.check.Interval)
		}
		walls[i] = t.now
		out.Wall += t.now / float64(trials)
		out.Useful += t.useful / float64(trials)
		moved += (t.useful + t.lost[SlowRanks] + t.lost[MissingNodes]) / t.now
		g := t.useful / t.now
		out.Goodput += g
		square += float64(g * g)
		for l, x := range t.lost {
			lost[l] += x
		}
		for c, n := range t.counts {
			sums[c] += float64(n)
		}
	}
	n := float64(trials)
	out.Goodput /= n
	out.GoodputError = math.Sqrt(max(0, square/n-float64(out.Goodput*out.Goodput)) / n)
	out.ETTR = moved / n
	for l, x := range lost {
		out.Losses = append(out.Losses, Part{Loss(l).String(), x / n})
	}
	total := 0.0
	for c, x := range sums {
		out.Interruptions = append(out.Interruptions, Part{names[c], x / n})
		total += x / n
	}
	out.PerDay = total / out.Wall * 86400
	out.Walls, out.Finish = walls, QuantilesOf(walls)
	return out, nil
}

// names are the causes of interruptions, silent corruption last.
func (s *setup) names() []string {
	var names []string
	for _, c := range s.failure.causes() {
		names = append(names, c.Name)
	}
	return append(names, "silent corruption, found late")
}

// QuantilesOf returns the quantiles of a list, which stays as it is.
func QuantilesOf(list []float64) Quantiles {
	sorted := slices.Sorted(slices.Values(list))
	return Quantiles{quantile(sorted, 0.1), quantile(sorted, 0.5), quantile(sorted, 0.9)}
}

// quantile interpolates in a sorted list.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	f := at - float64(i)
	return float64(sorted[i]*(1-f)) + float64(sorted[i+1]*f)
}

// setup checks the run and fills in what is left out.
func (r *Run) setup() (*setup, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	s := &setup{
		devices: r.Devices, nodes: (r.Devices + r.NodeSize - 1) / r.NodeSize, work: r.Work, horizon: r.Horizon,
		failure: r.Failures, check: r.Check, policy: r.Policy, seed: r.Seed,
	}
	if s.work == 0 {
		s.work = math.Inf(1)
	}
	if s.horizon == 0 {
		s.horizon = math.Inf(1)
	}
	s.patience = math.Inf(1)
	if r.Work > 0 {
		s.patience = float64(1000*r.Work) + 1e9
	}
	if s.policy.Capacity == Shrink && s.policy.ShrinkShare == 0 {
		s.policy.ShrinkShare = min(1, float64(r.NodeSize)/float64(r.Devices))
	}
	if s.policy.Capacity == Spares && s.policy.Spares == 0 {
		s.policy.Spares = s.failure.EnoughSpares(s.devices, s.policy.Repair)
	}
	c := &s.check
	c.Write = max(c.Write, c.Save)
	c.Interval = r.interval()
	for _, d := range []struct {
		v  *float64
		to float64
	}{{&c.CopyInterval, c.Interval}, {&c.Kept, 7 * 86400}, {&c.Milestone, 86400}} {
		if *d.v == 0 {
			*d.v = d.to
		}
	}
	s.free = 1
	if s.policy.Source == Memory {
		s.free = c.CopyInterval / (c.CopyInterval + c.Copy)
	}
	for _, x := range s.failure.causes() {
		s.weight += x.Weight
	}
	return s, nil
}

// interval is the time between checkpoints: given, or Daly's, but long enough
// to write one, and an hour when nothing fails.
func (r *Run) interval() float64 {
	c := r.Check
	if c.Interval > 0 {
		return c.Interval
	}
	if r.Failures.MTBF == 0 {
		return max(3600, c.Write)
	}
	// What the training loses is the stop, not the write behind it; a save that
	// stops nothing still is worth a second, or there would be no end to them.
	return max(Daly(max(c.Save, 1), r.Failures.MTBF/float64(r.Devices)), c.Write, 1)
}

func (r *Run) check() error {
	switch {
	case r.Devices < 1 || r.Devices > 1<<24:
		return fmt.Errorf("goodput: devices is %d, must lie in [1, %d]: nearest legal value %d", r.Devices, 1<<24, min(max(r.Devices, 1), 1<<24))
	case r.NodeSize < 1:
		return fmt.Errorf("goodput: node size is %d, must be at least 1", r.NodeSize)
	case (r.Work == 0) == (r.Horizon == 0):
		return fmt.Errorf("goodput: work is %v s and horizon %v s: give exactly one", r.Work, r.Horizon)
	case r.Trials < 0 || r.Trials > 1e6:
		return fmt.Errorf("goodput: trials is %d, must lie in [0, 1000000]: nearest legal value %d", r.Trials, min(max(r.Trials, 0), 1000000))
	}
	if err := within("work", r.Work, 0, 1e10); err != nil {
		return err
	}
	if err := within("horizon", r.Horizon, 0, 1e10); err != nil {
		return err
	}
	for _, check := range []func() error{r.Failures.Check, r.Check.Check, r.Policy.Check} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// Compare plays one run under several policies. All of them meet the same
// failures at the same moments of wall time.
func Compare(r Run, policies []Policy) ([]*Result, error) {
	var out []*Result
	for _, p := range policies {
		r.Policy = p
		one, err := r.Play()
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}
