package dtype

import "math"

var e2m1 = [16]float32{
	0, .5, 1, 1.5, 2, 3, 4, 6,
	float32(math.Copysign(0, -1)), -.5, -1, -1.5, -2, -3, -4, -6,
}

// E2M1ToF32 returns the value of the E2M1 code in c's low nibble.
func E2M1ToF32(c uint8) float32 { return e2m1[c&15] }

// E2M1FromF32 rounds v to E2M1, to nearest with ties to even. Values beyond 6
// become 6 with their sign. The format has no NaN, which becomes 6.
func E2M1FromF32(v float32) uint8 {
	b := math.Float32bits(v)
	sign := uint8(b >> 28 & 8)
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000:
		return 7
	case b >= 0x40c00000: // 6
		return sign | 7
	case b < 0x3f800000: // 1: subnormal, a multiple of 1/2
		s := math.Float32frombits(b) + 0x1.8p22
		return sign | uint8(math.Float32bits(s)&3)
	}
	b += 0x1fffff + b>>22&1
	return sign | uint8(b>>22-(127-1)<<1)
}

// ScaleE2M1 returns the scale of an FP4 group whose largest magnitude is
// amax: the least power of two s with max(amax, 6*2^-126) <= 6*s, which is
// 2^ceil(log2(amax/6)).
func ScaleE2M1(amax float32) float32 {
	if amax < 6*0x1p-126 {
		amax = 6 * 0x1p-126
	}
	// 6 is 1.5*2^2: a mantissa above 1.5 carries into the exponent.
	return math.Float32frombits(((math.Float32bits(amax)+0x3fffff)>>23 - 2) << 23)
}
