package dtype

import (
	"math"
	"testing"

	"github.com/temper-ml/temper/internal/detrand"
)

// tensor returns values over many magnitudes, the scale changing from block to
// block.
func tensor(rows, cols int, seed uint64) []float32 {
	s := detrand.Key(seed, "dtype tensor")
	x := make([]float32, rows*cols)
	for i := range x {
		r, c := i/cols, i%cols
		x[i] = float32(math.Ldexp(s.NormalAt(uint64(i)), (r/7+c/11)%20-15))
	}
	return x
}

func TestFP8BlocksRoundTrip(t *testing.T) {
	for _, size := range [][3]int{{1, 1, 128}, {128, 128, 128}, {129, 300, 128}, {5, 7, 4}, {64, 127, 32}, {0, 5, 128}} {
		rows, cols, block := size[0], size[1], size[2]
		x := tensor(rows, cols, 1)
		codes, scale := make([]uint8, len(x)), make([]uint8, ScaleLen(rows, cols, block))
		QuantFP8(codes, scale, x, rows, cols, block)
		got := make([]float32, len(x))
		DequantFP8E8M0(got, codes, scale, rows, cols, block)
		across := (cols + block - 1) / block
		for i, v := range x {
			s := float64(E8M0ToF32(scale[i/cols/block*across+i%cols/block]))
			// Half a step of a 3-bit mantissa, or half the least subnormal.
			bound := math.Max(math.Abs(float64(v))/16, s*0x1p-10)
			if d := math.Abs(float64(got[i]) - float64(v)); d > bound {
				t.Fatalf("%v: element %d: %g became %g, off by %g > %g", size, i, v, got[i], d, bound)
			}
		}
		// What was quantised is kept exactly by a second pass.
		again := make([]uint8, len(x))
		QuantFP8(again, scale, got, rows, cols, block)
		twice := make([]float32, len(x))
		DequantFP8E8M0(twice, again, scale, rows, cols, block)
		for i := range got {
			if got[i] != twice[i] {
				t.Fatalf("%v: element %d: %g became %g on a second pass", size, i, got[i], twice[i])
			}
		}
	}
}

func TestDequantFP8Float32Scales(t *testing.T) {
	// A scale that is no power of two: the product rounds once.
	got := make([]float32, 6)
	DequantFP8(got, []uint8{0x39, 0xb9, 0x7e, 0x01, 0x00, 0x80}, []float32{0.1, 0.3}, 2, 3, 2)
	// Columns 0-1 of both rows have scale 0.1, column 2 has 0.3.
	tenth, third := float32(0.1), float32(0.3)
	want := []float32{1.125 * tenth, -1.125 * tenth, 448 * third, 0x1p-9 * tenth, 0, float32(math.Copysign(0, -1))}
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Errorf("element %d is %g, want %g", i, got[i], want[i])
		}
	}
}

func TestFP4RoundTrip(t *testing.T) {
	const rows, cols = 9, 96
	x := tensor(rows, cols, 2)
	packed, scale := make([]uint8, len(x)/2), make([]uint8, len(x)/32)
	QuantFP4(packed, scale, x, rows, cols)
	got := make([]float32, len(x))
	DequantFP4(got, packed, scale, rows, cols)
	for i, v := range x {
		s := E8M0ToF32(scale[i/32])
		want := E2M1ToF32(E2M1FromF32(v/s)) * s
		if got[i] != want {
			t.Fatalf("element %d: %g became %g, want %g", i, v, got[i], want)
		}
		if d := math.Abs(float64(got[i] - v)); d > math.Max(math.Abs(float64(v))/4, float64(s)/4) {
			t.Fatalf("element %d: %g became %g", i, v, got[i])
		}
	}
	// Low nibble first.
	DequantFP4(got[:32], append([]uint8{0x72}, make([]uint8, 15)...), []uint8{128}, 1, 32)
	if got[0] != 2 || got[1] != 12 {
		t.Errorf("byte 0x72 at scale 2 is %g, %g, want 2, 12", got[0], got[1])
	}
}

func TestBrokenElementsKeepTheirBlock(t *testing.T) {
	x := tensor(1, 32, 3)
	x[3], x[5] = float32(math.NaN()), float32(math.Inf(-1))
	codes, scale := make([]uint8, 32), make([]uint8, 1)
	QuantFP8(codes, scale, x, 1, 32, 128)
	got := make([]float32, 32)
	DequantFP8E8M0(got, codes, scale, 1, 32, 128)
	if got[3] == got[3] || got[5] != -448*E8M0ToF32(scale[0]) {
		t.Errorf("NaN became %g, -Inf %g", got[3], got[5])
	}
	for i, v := range x {
		if i != 3 && i != 5 && math.Abs(float64(got[i]-v)) > math.Max(math.Abs(float64(v))/16, float64(E8M0ToF32(scale[0]))*0x1p-10) {
			t.Errorf("element %d: %g became %g beside broken ones", i, v, got[i])
		}
	}
}

func TestNames(t *testing.T) {
	for d := F64; d <= Bool; d++ {
		if got, err := Parse(d.String()); err != nil || got != d || d.Size() == 0 {
			t.Errorf("%v parses as %v, %v; size %d", d, got, err, d.Size())
		}
	}
	if _, err := Parse("F4"); err == nil {
		t.Error("F4 was taken for a format")
	}
}
