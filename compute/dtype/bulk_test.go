package dtype

import (
	"fmt"
	"math"
	"testing"

	"github.com/temper-ml/temper/compute/internal/asm"
	"github.com/temper-ml/temper/internal/detrand"
)

// eachLevel runs f with each instruction set.
func eachLevel(t *testing.T, f func(t *testing.T)) {
	old := asm.Active()
	defer asm.SetActive(old)
	for _, l := range asm.Available() {
		asm.SetActive(l)
		t.Run(l.String(), f)
	}
}

// special are float32 bits that conversions get wrong.
var special = []uint32{
	0, 0x80000000, 1, 0x80000001, 0x7fff, 0x8000, 0x8001, 0x18000, 0x7f7fffff, 0x7f7f7fff, 0x7f7f8000,
	0x7f800000, 0xff800000, 0x7f800001, 0xff800001, 0x7fbfffff, 0x7fffffff, 0xffffffff, 0x7fc00000, 0x3f808000, 0x3f818000,
}

func TestBF16Bulk(t *testing.T) {
	s := detrand.Key(1, "dtype bulk")
	eachLevel(t, func(t *testing.T) {
		for n := range 100 {
			src := make([]float32, n)
			for i := range src {
				r := s.Uint64At(uint64(n*100 + i))
				src[i] = math.Float32frombits(uint32(r))
				if r>>60 == 0 {
					src[i] = math.Float32frombits(special[r>>32%uint64(len(special))])
				}
			}
			const canary = 0xbeef
			buf := make([]uint16, n+64)
			for i := range buf {
				buf[i] = canary
			}
			BF16FromF32(buf[32:32+n], src)
			for i, c := range buf {
				want := uint16(canary)
				if j := i - 32; j >= 0 && j < n {
					want = BF16FromF32Bits(src[j])
				}
				if c != want {
					t.Fatalf("n=%d: element %d is %#x, want %#x", n, i-32, c, want)
				}
			}
			back := make([]float32, n+64)
			F32FromBF16(back[32:32+n], buf[32:32+n])
			for i, v := range back {
				want := uint32(0)
				if j := i - 32; j >= 0 && j < n {
					want = uint32(buf[i]) << 16
				}
				if math.Float32bits(v) != want {
					t.Fatalf("n=%d: element %d widened to %#x, want %#x", n, i-32, math.Float32bits(v), want)
				}
			}
		}
	})
}

func TestBulkMatchesSingle(t *testing.T) {
	var codes []uint8
	var halves []uint16
	for c := range 256 {
		codes = append(codes, uint8(c))
		halves = append(halves, uint16(c)*257)
	}
	dst, e8, f16 := make([]float32, 256), make([]float32, 256), make([]float32, 256)
	F32FromE4M3(dst, codes, 1)
	F32FromE8M0(e8, codes)
	F32FromF16(f16, halves)
	same := func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b }
	for i := range codes {
		if !same(dst[i], E4M3ToF32(codes[i])) || !same(e8[i], E8M0ToF32(codes[i])) || !same(f16[i], F16ToF32(halves[i])) {
			t.Fatalf("code %d: %g, %g, %g", i, dst[i], e8[i], f16[i])
		}
	}
	back := make([]uint8, 256)
	E4M3FromF32s(back, dst, 1)
	for i, c := range back {
		if c != codes[i] && i != 0xff { // NaNs become 0x7f
			t.Fatalf("code %#x comes back as %#x", codes[i], c)
		}
	}
}

// TestCodesBulk holds the conversions to and from FP8 and FP4 to the plain
// loops: all codes, and values around all codes and all midpoints.
func TestCodesBulk(t *testing.T) {
	var codes []uint8
	for c := range 256 {
		codes = append(codes, uint8(c), uint8(c*37))
	}
	var values []float32
	for _, f := range formatsUnderTest {
		values = append(values, f.probes()...)
	}
	for _, b := range special {
		values = append(values, math.Float32frombits(b))
	}
	for len(values)%32 != 0 {
		values = append(values, 1)
	}
	scales := []float32{1, 0x1p-127, 0x1p-9, 0.3, 0x1p60, float32(math.NaN()), 2, 4, 8, 16, 32, 64, 128, 256, 3, 5}
	f32 := func(f func(o *bulkOps, dst []float32)) func(o *bulkOps) []uint32 {
		return func(o *bulkOps) (bits []uint32) {
			dst := make([]float32, 3*len(codes))
			f(o, dst)
			for _, v := range dst {
				if v != v {
					v = float32(math.NaN())
				}
				bits = append(bits, math.Float32bits(v))
			}
			return bits
		}
	}
	u8 := func(f func(o *bulkOps, dst []uint8)) func(o *bulkOps) []uint32 {
		return func(o *bulkOps) (bits []uint32) {
			dst := make([]uint8, len(values)+32)
			f(o, dst)
			for _, c := range dst {
				bits = append(bits, uint32(c))
			}
			return bits
		}
	}
	tests := map[string]func(o *bulkOps) []uint32{
		"f32FromE2M1":            f32(func(o *bulkOps, dst []float32) { o.f32FromE2M1(dst[:16*32], codes[:256], scales) }),
		"f32FromE2M1 of nothing": f32(func(o *bulkOps, dst []float32) { o.f32FromE2M1(nil, nil, nil) }),
		"maxFinite": f32(func(o *bulkOps, dst []float32) {
			for i := range dst {
				dst[i] = o.maxFinite(values[i%50 : i%50+i%60])
			}
		}),
	}
	for _, s := range scales {
		name := fmt.Sprint(" by ", s)
		tests["f32FromE4M3"+name] = f32(func(o *bulkOps, dst []float32) { o.f32FromE4M3(dst[:len(codes)], codes, s) })
		tests["e4m3FromF32"+name] = u8(func(o *bulkOps, dst []uint8) { o.e4m3FromF32(dst[:len(values)], values, s) })
		tests["e2m1FromF32"+name] = u8(func(o *bulkOps, dst []uint8) { o.e2m1FromF32(dst[:len(values)/2], values, s) })
	}
	eachLevel(t, func(t *testing.T) {
		for name, f := range tests {
			got, want := f(bulk()), f(&plainBulk)
			for i := range got {
				if got[i] != want[i] {
					t.Errorf("%s: element %d is %#x, want %#x", name, i, got[i], want[i])
					break
				}
			}
		}
	})
}

func TestLengthsMustAgree(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("no panic for 3 elements into 2")
		}
	}()
	F32FromBF16(make([]float32, 2), make([]uint16, 3))
}
