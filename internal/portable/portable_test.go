package portable_test

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/internal/portable"
)

// ulps returns how far a is from b in units of b's last place.
func ulps(a, b float64) float64 {
	if a == b || a != a && b != b {
		return 0
	}
	return math.Abs(a-b) / math.Abs(math.Nextafter(b, math.Inf(1))-b)
}

// TestAgainstMath compares with package math, whose own error is up to 1 ulp, so
// that a function within 1 ulp may be 2 apart, and one within 2 ulp 3.
func TestAgainstMath(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.OneOf(rapid.Float64Range(-750, 715), rapid.Float64Range(-1, 1), rapid.Float64()).Draw(t, "x")
		for _, f := range []struct {
			name      string
			got, want float64
			most      float64
		}{
			{"exp", portable.Exp(x), math.Exp(x), 2},
			{"log", portable.Log(x), math.Log(x), 2},
			{"log1p", portable.Log1p(x), math.Log1p(x), 3},
			{"expm1", portable.Expm1(x), math.Expm1(x), 3},
		} {
			if f.name == "log" && math.Abs(x) < 0x1p-1022 {
				continue // math.Log is wrong for subnormal numbers on amd64
			}
			if d := ulps(f.got, f.want); d > f.most {
				t.Fatalf("%s(%v) = %v, math has %v: %v ulp apart", f.name, x, f.got, f.want, d)
			}
		}
	})
}

func TestEdges(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"exp 0", portable.Exp(0), 1},
		{"exp -inf", portable.Exp(-inf), 0},
		{"exp inf", portable.Exp(inf), inf},
		{"exp large", portable.Exp(710), inf},
		{"exp small", portable.Exp(-746), 0},
		{"log 0", portable.Log(0), -inf},
		{"log 1", portable.Log(1), 0},
		{"log inf", portable.Log(inf), inf},
		{"log smallest", portable.Log(5e-324), -744.4400719213812},
		{"softplus large", portable.Softplus(1e300), 1e300},
		{"softplus small", portable.Softplus(-1e300), 0},
		{"softplus 0", portable.Softplus(0), math.Ln2},
		{"sigmoid large", portable.Sigmoid(1e300), 1},
		{"sigmoid small", portable.Sigmoid(-1e300), 0},
		{"sigmoid 0", portable.Sigmoid(0), 0.5},
		{"log1p -1", portable.Log1p(-1), -inf},
		{"expm1 tiny", portable.Expm1(1e-300), 1e-300},
		{"expm1 -inf", portable.Expm1(-inf), -1},
	} {
		if c.got != c.want {
			t.Errorf("%s = %v, want %v", c.name, c.got, c.want)
		}
	}
	for _, f := range []func(float64) float64{portable.Exp, portable.Log, portable.Log1p, portable.Expm1, portable.Softplus, portable.Sigmoid} {
		if v := f(math.NaN()); v == v {
			t.Errorf("a function of NaN is %v", v)
		}
	}
	if v := portable.Log(-1); v == v {
		t.Errorf("log of -1 is %v", v)
	}
}

// TestBits pins the bits of 60,000 values: they must be the same everywhere.
func TestBits(t *testing.T) {
	h := fnv.New64a()
	var b [8]byte
	for i := range 10000 {
		x := float64(i-5000) * 0.1234567
		for _, v := range []float64{
			portable.Exp(x / 10), portable.Log(x*x + 1e-9), portable.Log1p(math.Abs(x) / 1e6), portable.Expm1(x / 1e5), portable.Softplus(x), portable.Sigmoid(x),
		} {
			binary.LittleEndian.PutUint64(b[:], math.Float64bits(v))
			h.Write(b[:])
		}
	}
	const want = 0xda9b03946d0d395
	if got := h.Sum64(); got != want {
		t.Errorf("bits %#x, want %#x", got, uint64(want))
	}
}
