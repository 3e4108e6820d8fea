package deepseektest

import (
	"math"
	"path/filepath"
	"testing"
)

// TestGoldens compares the reference with PyTorch: logits, losses and the gradient of every tensor under each loss alone. Both
// sides compute in float64 with different orders of summation, so they agree to rounding: 1e-12 of an array's norm leaves a
// factor of forty over the worst seen.
func TestGoldens(t *testing.T) {
	for _, name := range []string{"tiny-v4", "tiny-v3"} {
		t.Run(name, func(t *testing.T) {
			g, err := LoadGolden(filepath.Join("..", "testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			for _, loss := range LossNames {
				checkGolden(t, g, loss)
			}
		})
	}
}

const goldenTolerance = 1e-12

func checkGolden(t *testing.T, g *Golden, loss string) {
	scales := map[string]Scales{"lm": {LM: 1}, "mtp": {MTP: 1}, "balance": {Balance: 1}, "indexer": {Indexer: 1}}
	r := New(g.Config, g.Params)
	out, err := r.Run(g.Batch, scales[loss])
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{"lm": out.LM, "mtp": out.MTP, "balance": out.Balance, "indexer": out.Indexer}
	if e := math.Abs(got[loss] - g.Losses[loss]); e > goldenTolerance*math.Abs(g.Losses[loss]) {
		t.Errorf("%s: loss %.17g, PyTorch has %.17g", loss, got[loss], g.Losses[loss])
	}
	if loss == "lm" {
		t.Logf("smallest top-k gap %.3g, nearest kink %.3g", r.Margin, r.Tape.Kink())
		closeTo(t, "logits", out.Logits, g.Logits)
		closeTo(t, "mtp logits", out.MTPLogits, g.MTPLogits)
	}
	largest := 0.0
	for name, want := range g.Probes[loss] {
		grad, ok := out.Grads[name]
		if !ok {
			t.Errorf("%s: no gradient for %s", loss, name)
			continue
		}
		have := Probe(grad)
		// A signed sum of n elements may be as large as sqrt(n) times the norm.
		bound := goldenTolerance * want[0] * math.Sqrt(float64(len(grad)))
		for i := range want {
			if e := math.Abs(have[i] - want[i]); e > bound {
				t.Errorf("%s: gradient of %s, probe %d: %.17g, PyTorch has %.17g (norm %.3g)", loss, name, i, have[i], want[i], want[0])
				break
			} else if want[0] > 0 {
				largest = math.Max(largest, e/want[0])
			}
		}
	}
	t.Logf("%s: %d tensors, largest error of a probe %.2g of the norm", loss, len(g.Probes[loss]), largest)
}

func closeTo(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, PyTorch has %d", what, len(got), len(want))
	}
	var diff, norm float64
	for i := range want {
		diff += (got[i] - want[i]) * (got[i] - want[i])
		norm += want[i] * want[i]
	}
	t.Logf("%s: error %.2g of the norm", what, math.Sqrt(diff/norm))
	if diff > goldenTolerance*goldenTolerance*norm {
		t.Errorf("%s: error %.3g of the norm, bound %.3g", what, math.Sqrt(diff/norm), goldenTolerance)
	}
}
