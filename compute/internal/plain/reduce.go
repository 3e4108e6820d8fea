package plain

import "math"

// Lanes is the number of virtual lanes of a row reduction.
const Lanes = 16

// tree adds sixteen lanes in the one order that every register width can
// follow: l+8, l+4, l+2, l+1.
func tree(l *[Lanes]float32) float32 {
	for h := Lanes / 2; h > 0; h /= 2 {
		for i := 0; i < h; i++ {
			l[i] += l[i+h]
		}
	}
	return l[0]
}

// pad adds the +0 that a row of n elements is thought padded with.
func pad(l *[Lanes]float32, n int) {
	if n%Lanes == 0 {
		return
	}
	for i := n % Lanes; i < Lanes; i++ {
		l[i] += 0
	}
}

// Dot is
//
//	for i := range a {
//		lane[i%16] = FMA32(a[i], b[i], lane[i%16])
//	}
//	return tree(lane)
func Dot(a, b []float32) float32 {
	var l [Lanes]float32
	for i := range a {
		l[i%Lanes] = FMA32(a[i], b[i], l[i%Lanes])
	}
	pad(&l, len(a))
	return tree(&l)
}

// Sum is
//
//	for i := range a {
//		lane[i%16] += a[i]
//	}
//	return tree(lane)
func Sum(a []float32) float32 {
	var l [Lanes]float32
	for i, v := range a {
		l[i%Lanes] += v
	}
	pad(&l, len(a))
	return tree(&l)
}

// SumSquares is Dot(a, a).
func SumSquares(a []float32) float32 { return Dot(a, a) }

// Max is
//
//	m := -Inf
//	for i := range a {
//		m = a[i] > m ? a[i] : m
//	}
//	return m
//
// so that NaNs are passed over. The order does not matter; which of two zeros
// is returned is not defined, hence callers use it only inside x - Max.
func Max(a []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range a {
		if v > m {
			m = v
		}
	}
	return m
}

// MaxAbs is the largest |a[i]|, compared as the integers that the bits of
// |a[i]| are; a NaN is larger than every number, so it is returned if present.
// It is 0 for no elements.
func MaxAbs(a []float32) float32 {
	var m uint32
	for _, v := range a {
		m = max(m, math.Float32bits(v)&0x7fffffff)
	}
	return math.Float32frombits(m)
}
