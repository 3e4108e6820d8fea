package plain

// ReluAxpy is
//
//	for i := range x {
//		x[i] = (0 > x[i] ? 0 : x[i]) + 0 // +0 for both zeros, NaN for NaN
//		dst[i] = FMA32(s, x[i], dst[i])
//	}
func ReluAxpy(dst, x []float32, s float32) {
	for i, v := range x {
		v = maxPS(0, v) + 0
		x[i] = v
		dst[i] = FMA32(s, v, dst[i])
	}
}

// ReluDX is the gradient of ReluAxpy's x, given in x what it left there:
//
//	for i := range x {
//		if x[i] > 0 {
//			x[i] = s * d[i]
//		}
//	}
func ReluDX(x, d []float32, s float32) {
	for i, v := range x {
		if v > 0 {
			x[i] = s * d[i]
		}
	}
}

// MaxTo is
//
//	for i := range dst {
//		dst[i] = x[i] > dst[i] ? x[i] : dst[i]
//	}
func MaxTo(dst, x []float32) {
	for i, v := range x {
		dst[i] = maxPS(v, dst[i])
	}
}

// ScaleMax is Scale followed by Max.
func ScaleMax(x []float32, s float32) float32 {
	Scale(x, s)
	return Max(x)
}

// ExpScaled is
//
//	for i := range x {
//		x[i] = ExpF(float32(x[i]*s) - m)
//	}
func ExpScaled(x []float32, s, m float32) {
	for i, v := range x {
		x[i] = ExpF(float32(v*s) - m)
	}
}

// ScoreDX turns the gradients of probabilities p, in ds, into those of the
// scores before scaling:
//
//	for i := range ds {
//		ds[i] = FMA32(-delta, p[i], float32(ds[i]*p[i])) * scale
//	}
func ScoreDX(ds, p []float32, delta, scale float32) {
	for i, d := range ds {
		ds[i] = FMA32(-delta, p[i], float32(d*p[i])) * scale
	}
}
