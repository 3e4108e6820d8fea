package plain

import (
	"math"

	"github.com/temper-ml/temper/compute/dtype"
)

// FakeQuantE4M3 rounds one group to what FP8 with a power-of-two scale keeps:
//
//	amax := MaxAbs(x), at least 1e-4
//	s := the least power of two with amax <= 448*s
//	for i := range x {
//		x[i] = s * E4M3(x[i] / s)
//	}
func FakeQuantE4M3(x []float32) {
	up := dtype.ScaleE4M3(MaxAbs(x))
	down := dtype.ScaleInverse(up)
	for i, v := range x {
		x[i] = dtype.E4M3ToF32(dtype.E4M3FromF32(v*down)) * up
	}
}

// FakeQuantE2M1 rounds one group to what FP4 with a power-of-two scale keeps:
//
//	amax := MaxAbs(x), at least 6*2^-126
//	s := the least power of two with amax <= 6*s
//	for i := range x {
//		x[i] = s * E2M1(x[i] / s)
//	}
func FakeQuantE2M1(x []float32) {
	up := dtype.ScaleE2M1(MaxAbs(x))
	down := dtype.ScaleInverse(up)
	for i, v := range x {
		if v != v {
			continue // FP4 has no NaN; training must see it
		}
		x[i] = dtype.E2M1ToF32(dtype.E2M1FromF32(v*down)) * up
	}
}

// RoundBF16 is
//
//	for i := range x {
//		x[i] = float32(bf16(x[i])) // to nearest, ties to even
//	}
func RoundBF16(x []float32) {
	for i, v := range x {
		x[i] = math.Float32frombits(uint32(dtype.BF16FromF32Bits(v)) << 16)
	}
}
