package kerneltest

import (
	"flag"
	"math"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
)

var stride = flag.Uint("stride", 10007, "TestFunctionAccuracy visits every stride-th of the float32 values; 1 visits all")

// A function of one number, its twin, its value in float64, and how far it may
// be off in units in the last place, or else absolutely, because exp flushes
// results below 2^-126 to 0.
type function struct {
	name  string
	run   func(dst, src []float32)
	one   func(x float32) float32
	exact func(x float64) float64
	ulps  float64
	flush float64
}

func softplus(x float64) float64 { return math.Max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

var functions = []function{
	{"exp", kernel.Exp, kernel.ExpF, math.Exp, 1, tiny},
	{"log", kernel.Log, kernel.LogF, math.Log, 1, 0},
	{"sigmoid", kernel.Sigmoid, kernel.SigmoidF, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }, 2.5, 2 * tiny},
	{"silu", kernel.Silu, kernel.SiluF, func(x float64) float64 { return x / (1 + math.Exp(-x)) }, 2.5, 90 * 2 * tiny},
	{"softplus", kernel.Softplus, kernel.SoftplusF, softplus, 2, tiny},
	{"sqrtsoftplus", kernel.SqrtSoftplus, kernel.SqrtSoftplusF, func(x float64) float64 { return math.Sqrt(softplus(x)) }, 1.5, 0x1p-63},
}

// tiny is the least normal number.
const tiny = 0x1p-126

// ulps returns the error of got in units in the last place of want.
func ulps(got float32, want float64) float64 {
	e := math.Max(float64(math.Ilogb(want)), -126)
	return math.Abs(float64(got)-want) / math.Ldexp(1, int(e)-23)
}

func TestFunctionAccuracy(t *testing.T) {
	const chunk = 1 << 12
	src, dst := make([]float32, 0, chunk), make([]float32, chunk)
	for _, f := range functions {
		worst, at := 0.0, float32(0)
		flush := func() {
			f.run(dst[:len(src)], src)
			for i, x := range src {
				want, got := f.exact(float64(x)), dst[i]
				switch {
				case want != want || math.IsInf(want, 0):
					if float64(got) != want && !(want != want && got != got) {
						t.Fatalf("%s(%g) is %g, want %g", f.name, x, got, want)
					}
				case math.Abs(want) > math.MaxFloat32:
					if !math.IsInf(float64(got), 0) {
						t.Fatalf("%s(%g) is %g, want Inf", f.name, x, got)
					}
				case math.Abs(float64(got)-want) <= f.flush:
				default:
					if u := ulps(got, want); u > worst {
						worst, at = u, x
					}
				}
			}
			src = src[:0]
		}
		for b := uint64(0); b < 1<<32; b += uint64(*stride) {
			src = append(src, math.Float32frombits(uint32(b)))
			if len(src) == chunk {
				flush()
			}
		}
		// All of -105 to 105 more densely, where the functions live.
		for x := float32(-105); x < 105; x += 0.0009 {
			src = append(src, x)
			if len(src) == chunk {
				flush()
			}
		}
		flush()
		t.Logf("%-12s at most %.3f units in the last place, at %g", f.name, worst, at)
		if worst > f.ulps {
			t.Errorf("%s(%g) is off by %.3f units in the last place, want at most %g", f.name, at, worst, f.ulps)
		}
	}
}

func TestFunctionSpecialValues(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	neg0 := float32(math.Copysign(0, -1))
	ln2 := float32(math.Ln2)
	for _, c := range []struct {
		name    string
		x, want float32
	}{
		{"exp", 0, 1},
		{"exp", neg0, 1},
		{"exp", inf, inf},
		{"exp", -inf, 0},
		{"exp", nan, nan},
		{"exp", 88.72283, 3.4027985e38},
		{"exp", 88.722839, inf},
		{"exp", -87.33654, 1.1754997e-38},
		{"exp", -87.33655, 0},
		{"exp", 1e-40, 1},
		{"exp", -1e-40, 1},
		{"exp", math.MaxFloat32, inf},
		{"exp", -math.MaxFloat32, 0},
		{"log", 1, 0},
		{"log", 0, -inf},
		{"log", neg0, -inf},
		{"log", -1, nan},
		{"log", -1e-45, nan},
		{"log", inf, inf},
		{"log", -inf, nan},
		{"log", nan, nan},
		{"log", 1e-45, -103.27893},
		{"log", math.MaxFloat32, 88.72284},
		{"log", tiny, -87.33655},
		{"sigmoid", 0, 0.5},
		{"sigmoid", inf, 1},
		{"sigmoid", -inf, 0},
		{"sigmoid", nan, nan},
		{"silu", 0, 0},
		{"silu", neg0, neg0},
		{"silu", inf, inf},
		{"silu", -inf, nan},
		{"silu", nan, nan},
		{"silu", -1000, neg0},
		{"softplus", 0, ln2},
		{"softplus", inf, inf},
		{"softplus", -inf, 0},
		{"softplus", nan, nan},
		{"softplus", 1000, 1000},
		{"sqrtsoftplus", inf, inf},
		{"sqrtsoftplus", -inf, 0},
		{"sqrtsoftplus", nan, nan},
	} {
		for _, f := range functions {
			if f.name == c.name {
				SameBits(t, c.name, []float32{f.one(c.x)}, []float32{c.want})
			}
		}
	}
}

// TestFunctionTwins holds the one-number functions to the vector ones.
func TestFunctionTwins(t *testing.T) {
	x := numbers(7, 3000, 40)
	copy(x, []float32{0, float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 1e-45, -1e-45})
	EachSetting(t, []int{1}, func(t *testing.T) {
		for _, f := range functions {
			got, want := make([]float32, len(x)), make([]float32, len(x))
			f.run(got, x)
			for i, v := range x {
				want[i] = f.one(v)
			}
			SameBits(t, f.name, got, want)
		}
	})
}

// TestExpIsMonotone visits the seams of the range reduction, where n changes.
func TestExpIsMonotone(t *testing.T) {
	for n := -126; n <= 127; n++ {
		x := float32((float64(n) + 0.5) * math.Ln2)
		last := kernel.ExpF(x - 2e-5*float32(math.Abs(float64(x))+1))
		for v, i := x, 0; i < 40; i++ {
			y := kernel.ExpF(v)
			if y < last*(1-0x1p-23) {
				t.Fatalf("exp falls from %g to %g at %g", last, y, v)
			}
			last = y
			v = math.Nextafter32(v, float32(math.Inf(1)))
		}
	}
}
