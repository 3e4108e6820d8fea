package asm

import (
	"math"
	"math/big"
	"testing"
)

// exactFMA is x*y + z by arbitrary-precision arithmetic, for finite operands.
func exactFMA(x, y, z float32) float32 {
	if x == 0 || y == 0 || z == 0 {
		// One of the two terms is exact, and the signs of zeros are those of
		// the float64 sum.
		p := float64(x) * float64(y)
		if z == 0 && p != 0 {
			return float32(p)
		}
		return float32(p + float64(z))
	}
	p := new(big.Float).SetPrec(2000).SetFloat64(float64(x))
	p.Mul(p, new(big.Float).SetFloat64(float64(y)))
	p.Add(p, new(big.Float).SetFloat64(float64(z)))
	if p.Sign() == 0 {
		return 0 // exact cancellation rounds to +0
	}
	f, _ := p.Float32() // rounds to nearest even, also subnormals
	return f
}

func finite(x float32) bool { return x-x == 0 }

func checkFMA(t *testing.T, x, y, z float32) {
	t.Helper()
	got := FMA32(x, y, z)
	if !finite(x) || !finite(y) || !finite(z) {
		// float64 arithmetic has the same rules for these.
		want := float32(float64(x)*float64(y) + float64(z))
		if math.Float32bits(got) != math.Float32bits(want) && (got == got || want == want) {
			t.Fatalf("FMA32(%g, %g, %g) = %g, want %g", x, y, z, got, want)
		}
		return
	}
	if want := exactFMA(x, y, z); math.Float32bits(got) != math.Float32bits(want) {
		t.Fatalf("FMA32(%x, %x, %x) = %x (%#08x), want %x (%#08x)",
			x, y, z, got, math.Float32bits(got), want, math.Float32bits(want))
	}
}

// edges are bit patterns around which float32 arithmetic changes its ways.
var edges = []uint32{
	0, 1, 2, 3, 0x007fffff, 0x00800000, 0x00800001, 0x00ffffff, 0x01000000,
	0x0c000000, 0x1f800000, 0x20000000, 0x33800000, 0x34000000, 0x3effffff,
	0x3f000000, 0x3f7fffff, 0x3f800000, 0x3f800001, 0x3fffffff, 0x40000000,
	0x4b000000, 0x4b800000, 0x4b800001, 0x5f7fffff, 0x7e800000, 0x7f000000,
	0x7f7ffffe, 0x7f7fffff, 0x7f800000, 0x7fc00000,
}

func TestFMA32Edges(t *testing.T) {
	var vs []float32
	for _, e := range edges {
		vs = append(vs, math.Float32frombits(e), math.Float32frombits(e|1<<31))
	}
	for _, x := range vs {
		for _, y := range vs {
			for _, z := range vs {
				checkFMA(t, x, y, z)
			}
		}
	}
}

// TestFMA32Midpoint walks sums that lie a hair beside a rounding midpoint,
// where rounding to float64 first loses the hair.
func TestFMA32Midpoint(t *testing.T) {
	hit := false
	for shift := range 126 {
		hair := math.Float32frombits(uint32(127-shift) << 23) // 2^-shift
		for _, z := range []float32{1 + 0x1p-23, 1, 0x1p-100, 0x1.8p-126, 0x1p-148} {
			for _, x := range []float32{hair, -hair, 3 * hair, -5 * hair} {
				for _, y := range []float32{1, 1 + 0x1p-12, 1 - 0x1p-23, 1 - 0x1p-24, z} {
					checkFMA(t, x, y, z)
					checkFMA(t, x, y, -z)
				}
			}
		}
		// 24929 * 673 = 2^24 + 1, the midpoint of two float32 values.
		for _, z := range []float32{hair, -hair} {
			checkFMA(t, 24929, 673, z)
			twice := float32(float64(float64(24929)*673) + float64(z))
			hit = hit || twice != FMA32(24929, 673, z)
		}
		checkFMA(t, hair*0x1.000002p0, 1-0x1p-23, 2*hair*(0x1p23+1))
	}
	if !hit {
		t.Fatal("no case on which rounding twice differs: the test tests nothing")
	}
}

func FuzzFMA32(f *testing.F) {
	for _, e := range edges {
		f.Add(e, uint32(0x3f800001), e^1<<31)
		f.Add(e, e, uint32(1))
	}
	f.Fuzz(func(t *testing.T, a, b, c uint32) {
		x, y := math.Float32frombits(a), math.Float32frombits(b)
		checkFMA(t, x, y, math.Float32frombits(c))
		// And with z near x*y, so that terms cancel or meet at every distance.
		p := math.Float32bits(x * y)
		for _, d := range []uint32{0, 1, ^uint32(0), c << 23, c & 0x1ffffff} {
			checkFMA(t, x, y, math.Float32frombits((p+d)^1<<31))
			checkFMA(t, x, y, math.Float32frombits(p+d))
		}
	})
}

func BenchmarkFMA32(b *testing.B) {
	x, y := float32(1.25), float32(0.75)
	var acc float32
	for b.Loop() {
		for range 1024 {
			acc = FMA32(x, y, acc)
		}
	}
	sink = acc
}

var sink float32
