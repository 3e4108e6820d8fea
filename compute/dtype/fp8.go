package dtype

import "math"

// The largest finite values of the quantised formats.
const (
	MaxE4M3 = 448
	MaxE2M1 = 6
)

// e4m3 holds the value of every E4M3 code.
var e4m3 = func() (t [256]float32) {
	for c := range t {
		e, m := c>>3&15, c&7
		v := math.Ldexp(float64(8+m), e-10)
		switch {
		case c&0x7f == 0x7f:
			v = math.NaN()
		case e == 0:
			v = math.Ldexp(float64(m), -9)
		}
		if c >= 0x80 {
			v = math.Copysign(v, -1)
		}
		t[c] = float32(v)
	}
	return t
}()

// E4M3ToF32 returns the value of an E4M3 code.
func E4M3ToF32(c uint8) float32 { return e4m3[c] }

// E4M3FromF32 rounds v to E4M3, to nearest with ties to even. Values beyond
// 448, infinities too, become 448 with their sign; NaN becomes 0x7f.
func E4M3FromF32(v float32) uint8 {
	b := math.Float32bits(v)
	sign := uint8(b >> 24 & 0x80)
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000:
		return 0x7f
	case b >= 0x43e00000: // 448
		return sign | 0x7e
	case b < 0x3c800000: // 2^-6: subnormal, a multiple of 2^-9
		// The sum's last bit is worth 2^-9.
		s := math.Float32frombits(b) + 0x1.8p14
		return sign | uint8(math.Float32bits(s)&0xf)
	}
	b += 0x7ffff + b>>20&1
	return sign | uint8(b>>20-(127-7)<<3)
}

// E8M0ToF32 returns 2^(c-127), NaN for 255.
func E8M0ToF32(c uint8) float32 {
	switch c {
	case 0:
		return 0x1p-127
	case 255:
		return float32(math.NaN())
	}
	return math.Float32frombits(uint32(c) << 23)
}

// E8M0FromF32 returns the code of the power of two v, or ok = false if v is
// not one that E8M0 has.
func E8M0FromF32(v float32) (c uint8, ok bool) {
	b := math.Float32bits(v)
	if v == 0x1p-127 {
		return 0, true
	}
	c = uint8(b >> 23)
	return c, b&0x807fffff == 0 && c != 0 && c != 255
}

// ScaleE4M3 returns the scale of an FP8 group whose largest magnitude is
// amax: the least power of two s with max(amax, 1e-4) <= 448*s, which is
// 2^ceil(log2(amax/448)).
func ScaleE4M3(amax float32) float32 {
	if amax < 1e-4 {
		amax = 1e-4
	}
	// 448 is 1.75*2^8: a mantissa above 1.75 carries into the exponent.
	return math.Float32frombits(((math.Float32bits(amax)+0x1fffff)>>23 - 8) << 23)
}

// ScaleInverse returns 1/s for a power of two s from 2^-126 to 2^126.
func ScaleInverse(s float32) float32 {
	return math.Float32frombits(254<<23 - math.Float32bits(s))
}
