package main

// rowNorms makes the halves of RMSNorm and its gradient.
func rowNorms(r *row) {
	r.flat("ScaleTo", "is plain.ScaleTo with weights, r as s.", "y", "x w", "s", func(in, s []vec) []vec {
		return []vec{r.mul(r.mul(in[0], s[0]), in[1])}
	})
	r.flat("ScaleTo1", "is plain.ScaleTo without weights, r as s.", "y", "x", "s", func(in, s []vec) []vec {
		return []vec{r.mul(in[0], s[0])}
	})
	r.flat("NormDX", "is the second loop of plain.RMSNormDX with weights, r as s.", "dx", "dx dy x w", "s k", func(in, s []vec) []vec {
		g := r.mul(r.mul(in[1], in[3]), s[0])
		return []vec{r.add(in[0], r.fma(in[2], s[1], g))}
	})
	r.flat("NormDX1", "is the second loop of plain.RMSNormDX without weights, r as s.", "dx", "dx dy x", "s k", func(in, s []vec) []vec {
		g := r.mul(in[1], s[0])
		return []vec{r.add(in[0], r.fma(in[2], s[1], g))}
	})
	r.flat("NormDW", "is plain.RMSNormDW, r as s.", "dw", "dw dy x", "s", func(in, s []vec) []vec {
		return []vec{r.fma(r.mul(in[2], s[0]), in[1], in[0])}
	})
}

// rowActivations makes SwiGLU and its gradient.
func rowActivations(r *row) {
	r.flat("SwiGLU", "is plain.SwiGLU.", "h", "g u", "weight limit", func(in, s []vec) []vec {
		weight, limit := s[0], s[1]
		a := r.silu(r.min(limit, in[0]))
		return []vec{r.mul(r.mul(a, weight), r.clamp(in[1], limit))}
	})

	r.function("SwiGLUBackward", "func(dg, du, dh, g, u []float32, weight, limit float32) float32", "is plain.SwiGLUBackward.")
	dg, du, dh, g, u := r.base("dg"), r.base("du"), r.base("dh"), r.base("g"), r.base("u")
	n := r.length("dh")
	weight, limit := r.spread("weight"), r.spread("limit")
	acc := r.zeros()
	r.loop(n, func(p int) {
		gv := r.ld(g, p)
		x := r.min(limit, gv)
		d := r.onePlusExpNeg(x)
		s, a := r.div(r.copy(r.f32(1)), d), r.div(x, d)
		t := r.copy(r.f32(1))
		r.VSUBPS(s, t, t)
		r.horner(t, x, r.f32(1)) // (1-s)*x + 1
		t = r.mul(s, t)
		dhv, uv := r.ld(dh, p), r.ld(u, p)
		c := r.clamp(uv, limit)
		r.acc(acc[p], dhv, r.mul(a, c))
		w := r.mul(weight, dhv)
		vu := r.mul(w, a)
		r.sel(vu, r.f32(0), uv, greater, limit)
		r.sel(vu, r.f32(0), uv, less, r.negate(limit))
		r.st(vu, du, p)
		vg := r.mul(r.mul(w, c), t)
		r.sel(vg, r.f32(0), gv, greater, limit)
		r.st(vg, dg, p)
	})
	r.giveSum(acc)
	r.end()
}

// clamp is maxPS(-limit, minPS(limit, v)).
func (r *row) clamp(v, limit vec) vec { return r.max(r.negate(limit), r.min(limit, v)) }
