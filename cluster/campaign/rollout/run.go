package rollout

import (
	"fmt"
	"math"
	"slices"

	"github.com/temper-ml/temper/internal/detrand"
)

// Lengths describes the sequences: a prompt, and a response whose length is
// lognormal, cut at Max, of the given mean after the cut.
type Lengths struct {
	Prompt, Mean, Max float64
	Spread            float64 // standard deviation of the logarithm; 0: all alike
}

// Check refuses lengths that no distribution has.
func (l Lengths) Check() error {
	switch {
	case !(l.Prompt >= 0 && l.Prompt <= 1e8):
		return fmt.Errorf("rollout: prompt length is %v, must lie in [0, 1e8]", l.Prompt)
	case !(l.Mean >= 1 && l.Mean <= 1e8):
		return fmt.Errorf("rollout: mean length is %v, must lie in [1, 1e8]", l.Mean)
	case !(l.Max >= l.Mean && l.Max <= 1e8):
		return fmt.Errorf("rollout: maximum length is %v, must be at least the mean, %v, and at most 1e8", l.Max, l.Mean)
	case !(l.Spread >= 0 && l.Spread <= 3):
		return fmt.Errorf("rollout: spread is %v, must lie in [0, 3]", l.Spread)
	}
	return nil
}

// Quantiles returns n lengths evenly over the distribution, shortest first.
func (l Lengths) Quantiles(n int) []float64 {
	out := make([]float64, n)
	fill := func(mu float64) (mean float64) {
		for i := range out {
			z := math.Sqrt2 * math.Erfinv(2*(float64(i)+0.5)/float64(n)-1)
			out[i] = min(l.Max, max(1, math.Exp(mu+float64(l.Spread*z))))
			mean += out[i] / float64(n)
		}
		return mean
	}
	low, high := -50.0, math.Log(l.Max)+50
	for range 100 {
		if mid := (low + high) / 2; fill(mid) < l.Mean {
			low = mid
		} else {
			high = mid
		}
	}
	fill(high)
	return out
}

// Run is a rollout of all replicas: each Group responses to the same prompt.
type Run struct {
	Lengths
	Prompts, Group int
	Replicas       int
	Seed           uint64
}

// Result is a rollout. Times are seconds.
type Result struct {
	Seconds   float64
	Prefill   float64 // reading prompts, once for each group
	Tail      float64 // after fewer than half of the sequences that could run are left
	Steady    float64 // as Seconds, if what is unfinished is taken over into the next rollout
	Generated float64 // tokens
	PerDevice float64 // generated tokens per second and device
	Slots     int     // sequences that a replica runs at once
	FullStep  Step    // a decode step in the middle of the rollout
	BoundBy   string
	FLOPs     float64
}

// Play generates: every replica has the same share of the sequences, with
// lengths from all over the distribution, in random order.
func (e *Engine) Play(r Run) (*Result, error) {
	if err := r.Lengths.Check(); err != nil {
		return nil, err
	}
	if r.Prompts < 1 || r.Group < 1 || r.Replicas < 1 || r.Prompts > 1e7 || r.Group > 1e5 || r.Prompts*r.Group > 1e8 {
		return nil, fmt.Errorf("rollout: %d prompts with %d responses each on %d replicas: each must be at least 1, and all responses at most 1e8", r.Prompts, r.Group, r.Replicas)
	}
	all := r.Prompts * r.Group
	n := (all + r.Replicas - 1) / r.Replicas
	middle := r.Prompt + r.Mean/2
	slots := min(n, e.Slots(middle))
	if slots < 1 {
		return nil, fmt.Errorf("rollout: a replica of %d devices has no memory left for one sequence of %.0f tokens: use more devices for a replica", e.Replica, middle)
	}
	out := &Result{Slots: slots, FullStep: e.Step(float64(slots), middle)}
	out.BoundBy = out.FullStep.BoundBy()
	prompts := math.Ceil(float64(n) / float64(r.Group))
	out.Prefill = e.Prefill(prompts*r.Prompt, r.Prompt)
	lengths := r.Quantiles(min(n, mostSequences))
	scale := float64(n) / float64(len(lengths)) // beyond mostSequences, each stands for several in turn
	generate, tail := e.decode(lengths, slots, r)
	out.Seconds = out.Prefill + generate + float64((scale-1)*(generate-tail))
	out.Tail = tail
	out.Steady = min(out.Seconds, out.Prefill+float64(float64(n)*r.Mean/float64(slots)*out.FullStep.Seconds()))
	out.Generated = float64(all) * r.Mean
	out.FLOPs = float64(out.Generated*e.FLOPs(middle)) + float64(float64(r.Prompts)*r.Prompt*e.FLOPs(r.Prompt/2))
	out.PerDevice = out.Generated / out.Seconds / float64(r.Replicas*e.Replica)
	return out, nil
}

// mostSequences is how many sequences of a replica are played one by one.
const mostSequences = 1 << 14

// decode plays a replica: running sequences advance together until the next one
// ends, whose place the next waiting one takes.
func (e *Engine) decode(lengths []float64, slots int, r Run) (seconds, tail float64) {
	order := detrand.Key(r.Seed, "rollout/order").Permutation(len(lengths))
	next := 0
	var running []float64 // the token counts at which they end, a sorted list
	clock, started := 0.0, 0.0
	for next < len(order) || len(running) > 0 {
		for len(running) < slots && next < len(order) {
			end := clock + lengths[order[next]]
			at, _ := slices.BinarySearch(running, end)
			running = slices.Insert(running, at, end)
			started += clock
			next++
		}
		steps := running[0] - clock
		b := float64(len(running))
		// A sequence that runs is, on average, as long as it has been running.
		context := r.Prompt + clock + steps/2 - started/b
		dt := steps * e.Step(b, context).Seconds()
		seconds += dt
		if next == len(order) && 2*len(running) < slots {
			tail += dt
		}
		clock = running[0]
		for len(running) > 0 && running[0] <= clock {
			running = running[1:]
			started -= started / b // the mean stays
			b--
		}
	}
	return seconds, tail
}

// Sync is the seconds in which new weights reach the replica: every device
// receives its part over the slowest domain that all devices span, in a
// pipelined broadcast, and writes it.
func (e *Engine) Sync(devices int) float64 {
	at := e.Cluster.Domains[e.Cluster.DomainOf(0, 1, devices)]
	part := e.total * e.weight / float64(e.Replica)
	return at.Latency + part/(at.Bandwidth*fallback(at.Efficiency, 0.7)) + part/(e.bandwidth/float64(e.Replica))
}

// MostReplica is the largest replica that Choose tries: beyond it, an exchange
// between all of its devices in every layer is not what anybody serves with.
const MostReplica = 512

// largest is the largest replica that makes sense.
func (s *Spec) largest() int {
	scaleUp := 1
	if n := len(s.Cluster.Domains); n > 1 {
		scaleUp = s.Cluster.Domains[n-2].Size
	}
	total, _, _ := s.Model.Count()
	fewest := 1
	for weights := float64(total) * max(0.5, bytesOf[s.DType]); float64(fewest)*float64(s.Cluster.Device.Memory) < 1.2*weights; {
		fewest *= 2
	}
	return min(MostReplica, max(scaleUp, 4*fewest))
}

// Choose returns the fastest engine for the run on a number of devices. The
// replica sizes tried are the powers of two that hold the weights, up to the
// larger of the scale-up domain and four times the fewest devices, and to
// MostReplica; a Replica of s that is not 0 is taken as it is. Replicas of r is not read.
func Choose(s Spec, devices int, r Run) (*Engine, *Result, error) {
	var best *Engine
	var result *Result
	var refused error
	first, last := 1, min(devices, s.largest())
	if s.Replica > 0 {
		first, last = s.Replica, s.Replica
		if first > devices {
			return nil, nil, fmt.Errorf("rollout: replica is %d devices, must lie in 1..%d, which generate: nearest legal value %d", s.Replica, devices, devices)
		}
	}
	for n := first; n <= last; n *= 2 {
		s.Replica = n
		e, err := New(s)
		if err == nil {
			one := r
			one.Replicas = devices / n
			var out *Result
			if out, err = e.Play(one); err == nil && (result == nil || out.Seconds < result.Seconds) {
				best, result = e, out
			}
		}
		if err != nil {
			refused = err
		}
	}
	if best == nil {
		return nil, nil, refused
	}
	return best, result, nil
}
