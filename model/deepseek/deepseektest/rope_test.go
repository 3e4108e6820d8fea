package deepseektest

import (
	"math"
	"testing"

	"github.com/temper-ml/temper/model/arch"
)

// TestPublishedFrequencies: of the 32 pairs of the published models, YaRN leaves those below low alone, divides those from high
// on by the factor, and changes every one between. The ends are worked out by hand from 64 ln(L/(2 pi beta))/(2 ln theta):
// 15.45 and 24.71 for V4 (L 65536, theta 160000), 10.47 and 22.51 for V3 (L 4096, theta 10000).
func TestPublishedFrequencies(t *testing.T) {
	for _, c := range []struct {
		model     string
		theta     float64
		low, high int
	}{{"deepseek-v4-flash", 160000, 15, 25}, {"deepseek-v4-pro", 160000, 15, 25}, {"deepseek-v3", 10000, 10, 23}} {
		cfg, err := arch.Builtin(c.model)
		if err != nil {
			t.Fatal(err)
		}
		got := frequencies(c.theta, cfg.RopeDim, cfg.RopeScaling)
		for i, f := range got {
			plain := math.Pow(c.theta, -float64(i)/32)
			ratio := f / plain
			switch {
			case i <= c.low && math.Abs(ratio-1) > 1e-12,
				i >= c.high && math.Abs(ratio*cfg.RopeScaling.Factor-1) > 1e-12,
				i > c.low && i < c.high && (ratio >= 1-1e-3 || ratio <= (1+1e-3)/cfg.RopeScaling.Factor):
				t.Errorf("%s: pair %d turns at %g of its plain speed", c.model, i, ratio)
			}
		}
		if plain := frequencies(cfg.RopeTheta, cfg.RopeDim, nil); plain[31] != math.Pow(cfg.RopeTheta, -62.0/64) {
			t.Errorf("%s: plain pair 31 turns at %g", c.model, plain[31])
		}
	}
}
