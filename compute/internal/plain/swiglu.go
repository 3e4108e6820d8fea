package plain

// minPS is "a < b ? a : b", as the vector units take a minimum.
func minPS(a, b float32) float32 {
	if a < b {
		return a
	}
	return b
}

// maxPS is "a > b ? a : b", as the vector units take a maximum.
func maxPS(a, b float32) float32 {
	if a > b {
		return a
	}
	return b
}

// SwiGLU is
//
//	for i := range h {
//		a := SiluF(minPS(limit, g[i]))
//		c := maxPS(-limit, minPS(limit, u[i]))
//		h[i] = float32(weight*a) * c
//	}
//
// +Inf as limit clamps nothing. A NaN in g or u reaches h.
func SwiGLU(h, g, u []float32, weight, limit float32) {
	for i := range h {
		a := SiluF(minPS(limit, g[i]))
		c := maxPS(-limit, minPS(limit, u[i]))
		h[i] = float32(weight*a) * c
	}
}

// SwiGLUBackward overwrites dg and du and returns the gradient of the weight:
//
//	for i := range dh {
//		x := minPS(limit, g[i])
//		c := maxPS(-limit, minPS(limit, u[i]))
//		d := 1 + ExpF(-x)
//		s, a := 1/d, x/d                     // sigmoid, silu
//		lane[i%16] = FMA32(dh[i], float32(a*c), lane[i%16])
//		w := weight * dh[i]
//		du[i] = w * a                        // 0 where |u| > limit
//		t := s * FMA32(x, 1-s, 1)            // silu'
//		dg[i] = float32(w*c) * t             // 0 where g > limit
//	}
//	return tree(lane)
func SwiGLUBackward(dg, du, dh, g, u []float32, weight, limit float32) float32 {
	var l [Lanes]float32
	for i := range dh {
		x := minPS(limit, g[i])
		c := maxPS(-limit, minPS(limit, u[i]))
		d := 1 + ExpF(-x)
		s, a := 1/d, x/d
		l[i%Lanes] = FMA32(dh[i], float32(a*c), l[i%Lanes])
		w := weight * dh[i]
		vu := w * a
		if u[i] > limit || u[i] < -limit {
			vu = 0
		}
		t := s * FMA32(x, 1-s, 1)
		vg := float32(w*c) * t
		if g[i] > limit {
			vg = 0
		}
		du[i], dg[i] = vu, vg
	}
	pad(&l, len(dh))
	return tree(&l)
}
