package plain

// InvSqrt is 1/sqrt(x), both operations correctly rounded.
func InvSqrt(x float32) float32 { return 1 / sqrt(x) }

// RowRMS is
//
//	r = 1 / sqrt(SumSquares(x)/len(x) + eps)
func RowRMS(x []float32, eps float32) float32 {
	return InvSqrt(float32(SumSquares(x)/float32(len(x))) + eps)
}

// ScaleTo is
//
//	for i := range y {
//		y[i] = float32(x[i]*r) * w[i]
//	}
//
// without the second product where w is nil: the normalising half of RMSNorm.
func ScaleTo(y, x, w []float32, r float32) {
	if w == nil {
		for i := range y {
			y[i] = x[i] * r
		}
		return
	}
	for i := range y {
		y[i] = float32(x[i]*r) * w[i]
	}
}

// RMSNormDX is
//
//	s := Dot(float32(w*dy), x)
//	k := -float32(float32(float32(s*r)*r)/len(x)) * r
//	for i := range dx {
//		dx[i] += FMA32(x[i], k, float32(float32(w[i]*dy[i])*r))
//	}
//
// with w[i] = 1 where w is nil.
func RMSNormDX(dx, dy, x, w []float32, r float32) {
	var l [Lanes]float32
	for i := range x {
		g := dy[i]
		if w != nil {
			g *= w[i]
		}
		l[i%Lanes] = FMA32(g, x[i], l[i%Lanes])
	}
	pad(&l, len(x))
	k := RMSNormK(tree(&l), r, len(x))
	for i := range dx {
		g := dy[i]
		if w != nil {
			g *= w[i]
		}
		dx[i] += FMA32(x[i], k, float32(g*r))
	}
}

// RMSNormK is the factor of x in the gradient of an RMS normalisation.
func RMSNormK(s, r float32, n int) float32 {
	return -float32(float32(float32(s*r)*r)/float32(n)) * r
}

// RMSNormDW is
//
//	for i := range dw {
//		dw[i] = FMA32(float32(x[i]*r), dy[i], dw[i])
//	}
func RMSNormDW(dw, dy, x []float32, r float32) {
	for i := range dw {
		dw[i] = FMA32(float32(x[i]*r), dy[i], dw[i])
	}
}
