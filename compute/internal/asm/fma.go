package asm

import "math"

// FMA32 returns x*y + z rounded once, as a hardware float32 fused
// multiply-add does.
//
// The product of two float32 values is exact in float64, so only the sum
// rounds there. Rounding that sum again to float32 goes wrong only if it
// landed on the midpoint of two float32 values, or if the result is subnormal
// in float32, where midpoints lie elsewhere. Both are rare and left to
// fmaRare.
func FMA32(x, y, z float32) float32 {
	s := float64(float64(x)*float64(y)) + float64(z)
	b := math.Float64bits(s)
	if uint32(b)<<3 == 1<<31 || b<<1 < tinyBits {
		return fmaRare(x, y, z)
	}
	return float32(s)
}

// tinyBits is the doubled bit pattern of 2^-126, the smallest normal float32,
// as a float64: b<<1 < tinyBits holds for the bits b of all smaller values of
// either sign.
const tinyBits = (1023 - 126) << 53

// fmaRare is FMA32 with the float64 sum rounded to odd: if the sum is inexact
// and its last bit even, its odd neighbour on the side of the error takes its
// place. A value so rounded keeps enough of the discarded part for the second
// rounding to be right.
func fmaRare(x, y, z float32) float32 {
	p := float64(float64(x) * float64(y))
	c := float64(z)
	s := p + c
	// Two-sum: s + e is the exact sum.
	t := s - p
	e := (p - (s - t)) + (c - t)
	b := math.Float64bits(s)
	if e == 0 || e != e || b&1 == 1 {
		return float32(s)
	}
	if (e > 0) == (s > 0) {
		b++ // away from zero
	} else {
		b--
	}
	return float32(math.Float64frombits(b))
}
