package deepseek

import (
	"math"
	"testing"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
)

// The float32 engine is held to the float64 reference by bounds that are derived
// for each tensor, not chosen.
//
// One rounding moves a value by at most 2^-24 of itself. What that does to an
// output is measured: the reference runs again with every input and parameter
// moved by a random relative amount of up to 2^-24, discrete choices held, and
// the response of each output (root of summed squares, relative to its norm) is
// its condition: what a single stage of roundings, spread over all values,
// costs. The engine rounds in more than one stage. A chain of K fused
// multiply-adds rounds K partial sums, whose root mean square is √(K/2) times
// the single products that the experiment moves; and independent stages add as
// the root of their number. So
//
//	bound = 2 · √(K/2) · √stages · condition + 2^-24
//
// where the last term is the rounding of the answer itself, with the longest chain K, and a factor 2 because four trials estimate the
// response to some 30 %, and norms hide elements that are worse than the mean.
const (
	unitRoundoff = 0x1p-24
	trials       = 4
)

// answers are outputs and gradients by name.
type answers map[string][]float64

// nudge returns data with every element moved by a relative amount of at most
// one unit roundoff; trial 0 returns data.
func nudge(data []float64, name string, trial int) []float64 {
	if trial == 0 {
		return data
	}
	s := detrand.Key(uint64(trial), "nudge:"+name)
	out := make([]float64, len(data))
	for i, v := range data {
		out[i] = v * (1 + unitRoundoff*(2*s.Float64At(uint64(i))-1))
	}
	return out
}

// conditions runs the reference trials times and returns the exact answers and
// the condition of each.
func conditions(run func(trial int, held *deepseektest.Choices) (answers, deepseektest.Choices)) (answers, map[string]float64) {
	exact, held := run(0, nil)
	cond := map[string]float64{}
	for trial := 1; trial <= trials; trial++ {
		moved, _ := run(trial, &held)
		for name, v := range moved {
			cond[name] = max(cond[name], distance(v, exact[name]))
		}
	}
	return exact, cond
}

// distance is ‖a-b‖ / ‖b‖, and ‖a‖ when b is zero.
func distance(a, b []float64) float64 {
	diff := make([]float64, len(b))
	for i, w := range b {
		diff[i] = a[i] - w
	}
	if n := norm(b); n > 0 {
		return norm(diff) / n
	}
	return norm(diff)
}

// depth describes how the engine reaches its answers: the longest chain of
// multiply-adds and the number of stages, each way.
type depth struct{ chain, stages float64 }

func (d depth) factor() float64 { return 2 * math.Sqrt(d.chain/2) * math.Sqrt(d.stages) }

// compare holds every answer to its bound. An answer may be zero by construction,
// as the gradient of a softmax over one element is: then the reference holds zero
// or its own rounding noise, and what the engine holds is the rounding of terms
// that cancel. It is bounded by the same factor times the roundoff of the largest
// answer.
func compare(t *testing.T, got map[string][]float32, exact answers, cond map[string]float64, d depth) {
	t.Helper()
	largest := 0.0
	for _, want := range exact {
		largest = max(largest, norm(want))
	}
	worst, at := 0.0, ""
	for name, want := range exact {
		g, ok := got[name]
		if !ok || len(g) != len(want) {
			t.Errorf("%s: engine gives %d values, reference %d", name, len(g), len(want))
			continue
		}
		_, err := deepseektest.Compare(g, want)
		bound := d.factor()*cond[name] + unitRoundoff
		if norm(want) < 1e-12*largest {
			err, bound = norm(widen(g)), d.factor()*unitRoundoff*largest
		}
		if !(err <= bound) {
			t.Errorf("%s: error %.3g, bound %.3g (condition %.3g)", name, err, bound, cond[name])
		}
		if r := err / bound; r > worst {
			worst, at = r, name
		}
	}
	t.Logf("%d tensors; the closest to its bound uses %.0f %% of it: %s", len(exact), 100*worst, at)
}

func norm(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v * v)
	}
	return math.Sqrt(sum)
}

func narrow(x []float64) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(v)
	}
	return out
}

func widen(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

// gaussian draws n float32 values, given as float64.
func gaussian(n int, name string) []float64 {
	s := detrand.Key(3, name)
	out := make([]float64, n)
	for i := range out {
		out[i] = float64(float32(s.NormalAt(uint64(i))))
	}
	return out
}
