package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// rowStreams makes the loops over the four residual streams of a token.
func rowStreams(r *row) {
	r.hcPre()
	r.hcPreBackward()
	r.hcPost()
	if r.lanes == 16 {
		r.hcPostBackward()
	} else {
		r.hcMixBackward()
	}
}

// streams returns the addresses of four rows of n elements.
func (r *row) streams(first reg.Register, n reg.Register) [4]reg.Register {
	rows := [4]reg.Register{first}
	for k := 1; k < 4; k++ {
		g := r.GP64()
		r.LEAQ(operand.Mem{Base: rows[k-1], Index: n, Scale: 4}, g)
		rows[k] = g
	}
	return rows
}

// arg loads a pointer argument.
func (r *row) arg(name string) reg.Register { return r.Load(r.Param(name), r.GP64()) }

// coefs is an array of factors; with AVX-512 and hold they stay in registers.
type coefs struct {
	r    *row
	base reg.Register
	held []vec
}

// factors makes n factors at the argument of that name ready for use.
func (r *row) factors(name string, n int, hold bool) *coefs {
	c := &coefs{r: r, base: r.arg(name)}
	for i := 0; i < n && hold && r.lanes == 16; i++ {
		v := r.vec(r.Context)
		r.VBROADCASTSS(c.at(i), v)
		c.held = append(c.held, v)
	}
	return c
}

func (c *coefs) at(i int) operand.Mem { return operand.Mem{Base: c.base, Disp: 4 * i} }

// get returns factor i in all lanes.
func (c *coefs) get(i int) vec {
	if c.held != nil {
		return c.held[i]
	}
	v := c.r.vec(c.r.Context)
	c.r.VBROADCASTSS(c.at(i), v)
	return v
}

// hcPre makes HCPre.
func (r *row) hcPre() {
	r.function("HCPre", "func(a, x []float32, pre *[4]float32)", "is plain.HCPre.")
	a, n := r.base("a"), r.length("a")
	x := r.streams(r.base("x"), n)
	pre := r.factors("pre", 4, true)
	r.loop(n, func(p int) {
		v := r.mul(r.ld(x[0], p), pre.get(0))
		for j := 1; j < 4; j++ {
			r.acc(v, r.ld(x[j], p), pre.get(j))
		}
		r.st(v, a, p)
	})
	r.end()
}

// hcPreBackward makes HCPreBackward.
func (r *row) hcPreBackward() {
	r.function("HCPreBackward", "func(dx []float32, dpre *[4]float32, da, x []float32, pre *[4]float32)", "is plain.HCPreBackward.")
	da, n := r.base("da"), r.length("da")
	dx, x := r.streams(r.base("dx"), n), r.streams(r.base("x"), n)
	pre := r.factors("pre", 4, true)
	var acc [4][]vec
	for j := range acc {
		acc[j] = r.zeros()
	}
	r.loop(n, func(p int) {
		d := r.ld(da, p)
		for j := range acc {
			r.acc(acc[j][p], d, r.ld(x[j], p))
			v := r.ld(dx[j], p)
			r.acc(v, d, pre.get(j))
			r.st(v, dx[j], p)
		}
	})
	dpre := r.arg("dpre")
	for j := range acc {
		r.VMOVSS(r.foldAdd(acc[j]), operand.Mem{Base: dpre, Disp: 4 * j})
	}
	r.end()
}

// hcPost makes HCPost.
func (r *row) hcPost() {
	r.function("HCPost", "func(y, x, f []float32, post *[4]float32, comb *[16]float32)", "is plain.HCPost.")
	f, n := r.base("f"), r.length("f")
	y, x := r.streams(r.base("y"), n), r.streams(r.base("x"), n)
	post, comb := r.factors("post", 4, true), r.factors("comb", 16, true)
	r.loop(n, func(p int) {
		fv := r.ld(f, p)
		var xv [4]vec
		for j := range xv {
			xv[j] = r.ld(x[j], p)
		}
		for k := range y {
			v := r.mul(fv, post.get(k))
			for j := range xv {
				r.acc(v, xv[j], comb.get(4*j+k))
			}
			r.st(v, y[k], p)
		}
	})
	r.end()
}

// hcPostBackward makes HCPostBackward in one pass: twenty accumulators and the
// four gradients stay in registers.
func (r *row) hcPostBackward() {
	r.function("HCPostBackward", "func(dx, df []float32, dpost *[4]float32, dcomb *[16]float32, dy, x, f []float32, post *[4]float32, comb *[16]float32)",
		"is plain.HCPostBackward.")
	f, n := r.base("f"), r.length("f")
	dy := r.streams(r.base("dy"), n)
	df, bytes := r.base("df"), r.GP64()
	r.MOVQ(n, bytes)
	r.SHLQ(operand.U8(2), bytes)
	// Streams j of x and dx are addressed by moving pointers.
	x, dx := r.base("x"), r.base("dx")
	post, comb := r.factors("post", 4, false), r.factors("comb", 16, false)
	var acc [20][]vec
	for i := range acc {
		acc[i] = r.zeros()
	}
	r.loop(n, func(p int) {
		var d [4]vec
		for k := range d {
			d[k] = r.ld(dy[k], p)
		}
		mix := func(c *coefs, at int) vec {
			v := r.vec(r.Context)
			r.VMULPS_BCST(c.at(at), d[0], v)
			for k := 1; k < 4; k++ {
				r.VFMADD231PS_BCST(c.at(at+k), d[k], v)
			}
			return v
		}
		fv := r.ld(f, p)
		for k := range d {
			r.acc(acc[k][p], d[k], fv)
		}
		r.st(mix(post, 0), df, p)
		xj, dxj := r.GP64(), r.GP64()
		r.MOVQ(x, xj)
		r.MOVQ(dx, dxj)
		for j := range 4 {
			xv := r.ld(xj, p)
			for k := range d {
				r.acc(acc[4+4*j+k][p], d[k], xv)
			}
			r.st(mix(comb, 4*j), dxj, p)
			if j < 3 {
				r.ADDQ(bytes, xj)
				r.ADDQ(bytes, dxj)
			}
		}
	})
	dpost, dcomb := r.arg("dpost"), r.arg("dcomb")
	for i := range acc {
		to := operand.Mem{Base: dpost, Disp: 4 * i}
		if i >= 4 {
			to = operand.Mem{Base: dcomb, Disp: 4 * (i - 4)}
		}
		r.VMOVSS(r.foldAdd(acc[i]), to)
	}
	r.end()
}

// hcMixBackward makes HCMixBackward, a fifth of HCPostBackward for sets with
// too few registers for all of it.
func (r *row) hcMixBackward() {
	r.function("HCMixBackward", "func(out []float32, dots *[4]float32, dy, x []float32, c *[4]float32)",
		"sets out to plain.HCPre of dy and c, and dots[k] to plain.Dot of dy[k] and x.")
	out, n := r.base("out"), r.length("out")
	dy, x := r.streams(r.base("dy"), n), r.base("x")
	c := r.factors("c", 4, true)
	var acc [4][]vec
	for k := range acc {
		acc[k] = r.zeros()
	}
	r.loop(n, func(p int) {
		xv := r.ld(x, p)
		var v vec
		for k := range acc {
			d := r.ld(dy[k], p)
			r.acc(acc[k][p], d, xv)
			if k == 0 {
				v = r.mul(d, c.get(0))
			} else {
				r.acc(v, d, c.get(k))
			}
		}
		r.st(v, out, p)
	})
	dots := r.arg("dots")
	for k := range acc {
		r.VMOVSS(r.foldAdd(acc[k]), operand.Mem{Base: dots, Disp: 4 * k})
	}
	r.end()
}
