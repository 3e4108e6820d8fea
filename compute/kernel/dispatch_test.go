package kernel

import (
	"math"
	"testing"

	"github.com/temper-ml/temper/compute/internal/asm"
	"github.com/temper-ml/temper/internal/detrand"
)

// scoreOps are the loops that no exported function of one kernel stands for.
var scoreOps = map[string]func(o *rowOps, a, b []float32, s, m float32) float32{
	"scaleMax":  func(o *rowOps, a, _ []float32, s, _ float32) float32 { return o.scaleMax(a, s) },
	"expScaled": func(o *rowOps, a, _ []float32, s, m float32) float32 { o.expScaled(a, s, m); return 0 },
	"scoreDX":   func(o *rowOps, a, b []float32, s, m float32) float32 { o.scoreDX(a, b, s, m); return 0 },
	"reluAxpy":  func(o *rowOps, a, b []float32, s, _ float32) float32 { o.reluAxpy(a, b, s); return 0 },
	"reluDX":    func(o *rowOps, a, b []float32, s, _ float32) float32 { o.reluDX(a, b, s); return 0 },
	"maxTo":     func(o *rowOps, a, b []float32, _, _ float32) float32 { o.maxTo(a, b); return 0 },
}

// rowWithRoom returns n values, ordinary ones, zeros of both signs, infinities
// and NaN, followed by canaries.
func rowWithRoom(n int, seed uint64) []float32 {
	s := detrand.Key(seed, "dispatch")
	x := make([]float32, n+32)
	for i := range x {
		r := s.Uint64At(uint64(i))
		x[i] = float32(int32(r)) * 0x1p-28
		switch r >> 40 % 20 {
		case 0:
			x[i] = 0
		case 1:
			x[i] = float32(math.Copysign(0, -1))
		case 2:
			x[i] = float32(math.Inf(int(r>>60)%2*2 - 1))
		case 3:
			x[i] = float32(math.NaN())
		}
		if i >= n {
			x[i] = 12345
		}
	}
	return x
}

func TestScoreLoopsAgree(t *testing.T) {
	same := func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b }
	for name, f := range scoreOps {
		for _, level := range asm.Available() {
			for n := range 70 {
				for seed := range uint64(4) {
					a, b := rowWithRoom(n, seed), rowWithRoom(n, seed+100)
					if seed == 0 { // a row of nothing but NaN
						for i := range n {
							a[i] = float32(math.NaN())
						}
					}
					c, d := append([]float32(nil), a...), append([]float32(nil), b...)
					got := f(opsOf[level], a[:n], b[:n], 0.37, 1.25)
					want := f(&plainOps, c[:n], d[:n], 0.37, 1.25)
					if !same(got, want) {
						t.Fatalf("%s on %v, n=%d: returns %g, want %g", name, level, n, got, want)
					}
					for i := range a {
						if !same(a[i], c[i]) || !same(b[i], d[i]) {
							t.Fatalf("%s on %v, n=%d: element %d is %g and %g, want %g and %g", name, level, n, i, a[i], b[i], c[i], d[i])
						}
					}
				}
			}
		}
	}
}
