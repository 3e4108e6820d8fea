package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Lane-major groups of sixteen tokens: entry i of a group is 64 bytes.
const entry = 64

// rowSinkhorn makes the mixing map of sixteen tokens and its gradient in
// pieces; package kernel calls them in the order of plain.HCMap.
func rowSinkhorn(r *row) {
	r.hcGates()
	r.hcGatesBackward()
	r.hcSoftmax()
	r.hcSinkhorn()
	r.hcSinkhornBackward()
	r.hcSoftmaxBackward()
}

// lanes emits body for the parts of a group; n consecutive entries from base
// are addressed by the function it is given.
func (r *row) entries(body func(at func(base reg.Register, i int) operand.Mem)) {
	for p := range r.parts() {
		body(func(base reg.Register, i int) operand.Mem {
			return operand.Mem{Base: base, Disp: entry*i + 4*r.lanes*p}
		})
	}
}

// logit is z = FMA32(m[i], scale, base[i]).
func (r *row) logit(m operand.Mem, scale, base operand.Mem) vec {
	z, s := r.vec(r.Context), r.vec(r.Context)
	r.VBROADCASTSS(base, z)
	r.VBROADCASTSS(scale, s)
	r.acc(z, s, m)
	return z
}

// hcGates makes the pre and post weights.
func (r *row) hcGates() {
	r.function("HCGates", "func(out, m *[24][16]float32, scale *[3]float32, base *[24]float32, eps float32)",
		"sets the first eight numbers of out as plain.HCMap does.")
	out, m, scale, base, eps := r.arg("out"), r.arg("m"), r.arg("scale"), r.arg("base"), r.spread("eps")
	r.entries(func(at func(reg.Register, int) operand.Mem) {
		for i := range 8 {
			s := r.sigmoid(r.logit(at(m, i), operand.Mem{Base: scale, Disp: 4 * (i / 4)}, operand.Mem{Base: base, Disp: 4 * i}))
			if i < 4 {
				s = r.add(s, eps)
			} else {
				s = r.add(s, s)
			}
			r.VMOVUPS(s, at(out, i))
		}
	})
	r.end()
}

// hcGatesBackward makes their gradient.
func (r *row) hcGatesBackward() {
	r.function("HCGatesBackward", "func(dz, dout, m *[24][16]float32, scale *[3]float32, base *[24]float32)",
		"sets the first eight numbers of dz as plain.HCMapBackward does.")
	dz, dout, m, scale, base := r.arg("dz"), r.arg("dout"), r.arg("m"), r.arg("scale"), r.arg("base")
	r.entries(func(at func(reg.Register, int) operand.Mem) {
		for i := range 8 {
			s := r.sigmoid(r.logit(at(m, i), operand.Mem{Base: scale, Disp: 4 * (i / 4)}, operand.Mem{Base: base, Disp: 4 * i}))
			t := r.copy(r.f32(1))
			r.VSUBPS(s, t, t)
			t = r.mul(s, t)
			d := r.copy(at(dout, i))
			if i >= 4 {
				d = r.add(d, d)
			}
			r.VMOVUPS(r.mul(d, t), at(dz, i))
		}
	})
	r.end()
}

// hcSoftmax makes the row softmax of the comb numbers.
func (r *row) hcSoftmax() {
	r.function("HCSoftmax", "func(c *[16][16]float32, m *[24][16]float32, scale *[3]float32, base *[24]float32)",
		"is plain's combSoftmax.")
	c, m, scale, base := r.arg("c"), r.arg("m"), r.arg("scale"), r.arg("base")
	r.entries(func(at func(reg.Register, int) operand.Mem) {
		for j := 0; j < 16; j += 4 {
			var z [4]vec
			for k := range z {
				z[k] = r.logit(at(m, 8+j+k), operand.Mem{Base: scale, Disp: 8}, operand.Mem{Base: base, Disp: 4 * (8 + j + k)})
			}
			mx := r.max(r.max(z[0], z[1]), r.max(z[2], z[3]))
			for k := range z {
				z[k] = r.exp(r.sub(z[k], mx))
			}
			inv := r.div(r.copy(r.f32(1)), r.add(r.add(z[0], z[1]), r.add(z[2], z[3])))
			for k := range z {
				r.VMOVUPS(r.mul(z[k], inv), at(c, j+k))
			}
		}
	})
	r.end()
}

// hcSinkhorn makes the normalisations: columns, then iters-1 times rows and
// columns, in place or, with room for steps, each after the other in memory.
func (r *row) hcSinkhorn() {
	for _, keep := range []bool{false, true} {
		name, sig := "HCSinkhorn", "func(c *[16][16]float32, iters int, eps float32)"
		doc := "adds eps to c and normalises it as plain.HCMap does."
		if keep {
			name, sig = "HCSinkhornSteps", "func(steps *float32, c *[16][16]float32, iters int, eps float32)"
			doc = "is HCSinkhorn with its 2*iters-1 results and their factors left in steps, c being kept."
		}
		r.function(name, sig, doc)
		c, eps, left := r.arg("c"), r.spread("eps"), r.GP64()
		r.Load(r.Param("iters"), left)
		var to reg.Register = c
		var step reg.GPVirtual
		if keep {
			step = r.GP64()
			r.Load(r.Param("steps"), step)
			to = step
		}
		r.entries(func(at func(reg.Register, int) operand.Mem) {
			for i := range 16 {
				r.VMOVUPS(r.add(eps, at(c, i)), at(to, i))
			}
		})
		r.normalise(to, to, 1, 4, eps, keep)
		again, done := r.label("again"), r.label("done")
		r.Label(again)
		r.DECQ(left)
		r.JZ(operand.LabelRef(done))
		for _, by := range [][2]int{{4, 1}, {1, 4}} {
			if !keep {
				r.normalise(c, c, by[0], by[1], eps, false)
				continue
			}
			prev := r.GP64()
			r.MOVQ(step, prev)
			r.ADDQ(operand.U32(20*entry), step)
			r.normalise(step, prev, by[0], by[1], eps, true)
		}
		r.JMP(operand.LabelRef(again))
		r.Label(done)
		r.end()
	}
}

// normalise emits plain's normalise from one matrix to another, which may be
// the same; keep stores the factors behind the result.
func (r *row) normalise(to, from reg.Register, line, step int, eps vec, keep bool) {
	r.entries(func(at func(reg.Register, int) operand.Mem) {
		for i := range 4 {
			var v [4]vec
			for k := range v {
				v[k] = r.copy(at(from, i*line+k*step))
			}
			sum := r.add(r.add(r.add(v[0], v[1]), r.add(v[2], v[3])), eps)
			inv := r.div(r.copy(r.f32(1)), sum)
			for k := range v {
				r.VMOVUPS(r.mul(v[k], inv), at(to, i*line+k*step))
			}
			if keep {
				r.VMOVUPS(inv, at(to, 16+i))
			}
		}
	})
}

// hcSinkhornBackward makes the way back through the kept normalisations.
func (r *row) hcSinkhornBackward() {
	r.function("HCSinkhornBackward", "func(d *[16][16]float32, steps *float32, iters int)",
		"takes the gradient d back through the results that HCSinkhornSteps left.")
	d, left, step, size := r.arg("d"), r.GP64(), r.GP64(), r.GP64()
	r.Load(r.Param("iters"), left)
	r.Load(r.Param("steps"), step)
	// The last result is 2*iters-2 steps on.
	r.MOVQ(left, size)
	r.IMUL3Q(operand.U32(2*20*entry), size, size)
	r.LEAQ(operand.Mem{Base: step, Index: size, Scale: 1, Disp: -2 * 20 * entry}, step)
	again, done := r.label("again"), r.label("done")
	r.Label(again)
	r.normaliseBackward(d, step, 1, 4)
	r.DECQ(left)
	r.JZ(operand.LabelRef(done))
	r.SUBQ(operand.U32(20*entry), step)
	r.normaliseBackward(d, step, 4, 1)
	r.SUBQ(operand.U32(20*entry), step)
	r.JMP(operand.LabelRef(again))
	r.Label(done)
	r.end()
}

// lineDot is FMA32(a1, b1, float32(a0*b0)) + FMA32(a3, b3, float32(a2*b2)).
func (r *row) lineDot(a [4]vec, b func(k int) operand.Mem) vec {
	s, t := r.mul(a[0], b(0)), r.mul(a[2], b(2))
	r.acc(s, a[1], b(1))
	r.acc(t, a[3], b(3))
	return r.add(s, t)
}

// normaliseBackward emits plain's normaliseBackward of the step at y.
func (r *row) normaliseBackward(d, y reg.Register, line, step int) {
	r.entries(func(at func(reg.Register, int) operand.Mem) {
		for i := range 4 {
			var v [4]vec
			for k := range v {
				v[k] = r.copy(at(d, i*line+k*step))
			}
			t := r.lineDot(v, func(k int) operand.Mem { return at(y, i*line+k*step) })
			for k := range v {
				r.VMOVUPS(r.mul(r.sub(v[k], t), at(y, 16+i)), at(d, i*line+k*step))
			}
		}
	})
}

// hcSoftmaxBackward makes the gradient of the row softmax.
func (r *row) hcSoftmaxBackward() {
	r.function("HCSoftmaxBackward", "func(d, p *[16][16]float32)",
		"takes the gradient d back through the row softmax whose result is p.")
	d, q := r.arg("d"), r.arg("p")
	r.entries(func(at func(reg.Register, int) operand.Mem) {
		for j := 0; j < 16; j += 4 {
			var v [4]vec
			for k := range v {
				v[k] = r.copy(at(d, j+k))
			}
			t := r.lineDot(v, func(k int) operand.Mem { return at(q, j+k) })
			for k := range v {
				r.VMOVUPS(r.mul(r.sub(v[k], t), at(q, j+k)), at(d, j+k))
			}
		}
	})
	r.end()
}
