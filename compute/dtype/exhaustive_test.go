package dtype

import (
	"math"
	"slices"
	"testing"
)

// A format is one of the short formats as the oracle sees it: the values of
// its codes, and what rounds to it.
type format struct {
	name  string
	codes int
	value func(c uint8) float32
	round func(v float32) uint8
	sign  uint8
	max   float64
}

var formatsUnderTest = []format{
	{"E4M3", 256, E4M3ToF32, E4M3FromF32, 0x80, 448},
	{"E2M1", 16, E2M1ToF32, E2M1FromF32, 8, 6},
}

// nearest is the oracle: the code nearest to |v| in float64, of two equally
// near ones the even one, saturating.
func (f *format) nearest(v float64) uint8 {
	best, dist := uint8(0), math.Inf(1)
	for c := range int(f.sign) {
		x := float64(f.value(uint8(c)))
		if math.IsNaN(x) {
			continue
		}
		d := math.Abs(math.Min(math.Abs(v), f.max) - x)
		if d < dist || d == dist && c%2 == 0 {
			best, dist = uint8(c), d
		}
	}
	if math.Signbit(v) {
		best |= f.sign
	}
	return best
}

// probes are the codes' values, the midpoints between them and the float32
// neighbours of both, and the ends of the float32 range.
func (f *format) probes() []float32 {
	var vs []float64
	for c := range f.codes {
		if x := float64(f.value(uint8(c))); !math.IsNaN(x) {
			vs = append(vs, x)
		}
	}
	slices.Sort(vs)
	var out []float32
	for i, v := range vs {
		out = append(out, around(float32(v))...)
		if i > 0 {
			out = append(out, around(float32((v+vs[i-1])/2))...)
		}
	}
	for _, v := range []float32{0, math.SmallestNonzeroFloat32, 0x1p-126, math.MaxFloat32, float32(math.Inf(1)), 1000, 449, 479, 480, 481, 464} {
		out = append(out, around(v)...)
		out = append(out, around(-v)...)
	}
	return out
}

func around(v float32) []float32 {
	inf := float32(math.Inf(1))
	return []float32{math.Nextafter32(v, -inf), v, math.Nextafter32(v, inf)}
}

func TestRoundingAgainstOracle(t *testing.T) {
	for _, f := range formatsUnderTest {
		probes := f.probes()
		for b := uint64(0); b < 1<<32; b += 1<<17 + 12345 { // a sweep over all exponents
			probes = append(probes, math.Float32frombits(uint32(b)))
		}
		for _, v := range probes {
			if v != v {
				continue
			}
			if got, want := f.round(v), f.nearest(float64(v)); got != want {
				t.Fatalf("%s: %g (%#x) rounds to %#x = %g, want %#x = %g",
					f.name, v, math.Float32bits(v), got, f.value(got), want, f.value(want))
			}
		}
	}
}

func TestEveryCodeRoundTrips(t *testing.T) {
	for _, f := range formatsUnderTest {
		for c := range f.codes {
			v := f.value(uint8(c))
			if v != v {
				c &^= int(f.sign) // all NaNs become the positive one
			}
			if got := f.round(v); got != uint8(c) {
				t.Errorf("%s: code %#x is %g, which rounds to %#x", f.name, c, v, got)
			}
		}
	}
	for c := range 256 {
		v := E8M0ToF32(uint8(c))
		got, ok := E8M0FromF32(v)
		if c == 255 {
			if v == v || ok {
				t.Errorf("E8M0 255 must be NaN and NaN no scale, got %g, %v", v, ok)
			}
			continue
		}
		if want := math.Ldexp(1, c-127); float64(v) != want || !ok || got != uint8(c) {
			t.Errorf("E8M0 %d is %g, want %g; its code is %d, %v", c, v, want, got, ok)
		}
	}
	for _, v := range []float32{0, -1, 3, 0x1p-128, float32(math.Inf(1))} {
		if _, ok := E8M0FromF32(v); ok {
			t.Errorf("E8M0FromF32 took %g, which it has not", v)
		}
	}
}

func TestKnownCodes(t *testing.T) {
	for _, c := range []struct {
		code uint8
		want float32
	}{
		{0x7e, 448}, {0xfe, -448}, {0x08, 0x1p-6}, {0x01, 0x1p-9}, {0x07, 7 * 0x1p-9}, {0x38, 1}, {0x39, 1.125}, {0x3f, 1.875}, {0x40, 2},
	} {
		if got := E4M3ToF32(c.code); got != c.want {
			t.Errorf("E4M3 %#x is %g, want %g", c.code, got, c.want)
		}
	}
	if v := E4M3ToF32(0x7f); v == v {
		t.Errorf("E4M3 0x7f is %g, want NaN", v)
	}
	nan := float32(math.NaN())
	if got := E4M3FromF32(nan); got != 0x7f {
		t.Errorf("E4M3 of NaN is %#x, want 0x7f", got)
	}
	if got := math.Float32bits(E4M3ToF32(0x80)); got != 0x80000000 {
		t.Errorf("E4M3 0x80 is %#x, want -0", got)
	}
}

func TestEveryBF16(t *testing.T) {
	for c := range 1 << 16 {
		v := BF16ToF32(uint16(c))
		got := BF16FromF32Bits(v)
		want := uint16(c)
		if v != v {
			want |= 0x40 // NaNs become quiet
		}
		if got != want {
			t.Fatalf("BF16 %#x is %g, which rounds to %#x, want %#x", c, v, got, want)
		}
		if v != v || math.IsInf(float64(v), 0) {
			continue
		}
		// The midpoint to the next code up in magnitude goes to the even one.
		next := float64(BF16ToF32(uint16(c + 1)))
		if math.IsInf(next, 0) {
			next = math.Copysign(0x1p128, next)
		}
		mid := math.Float32frombits(uint32(c)<<16 | 0x8000)
		if float64(mid) != (float64(v)+next)/2 {
			t.Fatalf("%g is not the midpoint of %g and %g", mid, v, next)
		}
		for i, m := range []float32{math.Float32frombits(math.Float32bits(mid) - 1), mid, math.Float32frombits(math.Float32bits(mid) + 1)} {
			want := uint16(c)
			if i == 2 || i == 1 && c&1 == 1 {
				want++
			}
			if got := BF16FromF32Bits(m); got != want {
				t.Fatalf("%g rounds to BF16 %#x, want %#x", m, got, want)
			}
		}
	}
}

func TestEveryF16(t *testing.T) {
	for c := range 1 << 16 {
		e, m := c>>10&31, float64(c&1023)
		want := math.Ldexp(1+m/1024, e-15)
		switch {
		case e == 31 && m != 0:
			if v := F16ToF32(uint16(c)); v == v {
				t.Fatalf("F16 %#x is %g, want NaN", c, v)
			}
			continue
		case e == 31:
			want = math.Inf(1)
		case e == 0:
			want = math.Ldexp(m, -24)
		}
		if c&0x8000 != 0 {
			want = math.Copysign(want, -1)
		}
		if got := F16ToF32(uint16(c)); math.Float32bits(got) != math.Float32bits(float32(want)) {
			t.Fatalf("F16 %#x is %g, want %g", c, got, want)
		}
	}
}

func TestScales(t *testing.T) {
	for _, c := range []struct {
		name  string
		scale func(float32) float32
		max   float64
		floor float32
	}{
		{"ScaleE4M3", ScaleE4M3, 448, 1e-4},
		{"ScaleE2M1", ScaleE2M1, 6, 6 * 0x1p-126},
	} {
		check := func(amax float32) {
			got := c.scale(amax)
			want := math.Exp2(math.Ceil(math.Log2(float64(max(amax, c.floor)) / c.max)))
			for want*c.max < float64(max(amax, c.floor)) { // log2 rounds
				want *= 2
			}
			for want/2*c.max >= float64(max(amax, c.floor)) {
				want /= 2
			}
			if float64(got) != want {
				t.Fatalf("%s(%g) is %g, want %g", c.name, amax, got, want)
			}
			if ScaleInverse(got)*got != 1 {
				t.Fatalf("ScaleInverse(%g) is %g", got, ScaleInverse(got))
			}
		}
		for e := -149; e < 120; e++ {
			for _, v := range around(float32(math.Ldexp(c.max, e))) {
				if v >= 0 {
					check(v)
				}
			}
		}
		for b := uint32(0); b < 0x7e000000; b += 0x12345 {
			check(math.Float32frombits(b))
		}
		check(c.floor)
	}
}
