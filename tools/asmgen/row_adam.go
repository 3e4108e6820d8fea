package main

import "github.com/mmcloughlin/avo/operand"

// The numbers of an AdamW step, each in sixteen lanes, in the order of the
// fields of plain.Adam; the learning rate is negated.
const (
	adamBeta1 = iota
	adamBeta2
	adamRest1
	adamRest2
	adamEps
	adamMinusLR
	adamKeep
	adamCorr1
	adamCorr2
	adamGradScale
)

// rowAdam makes AdamW.
func rowAdam(r *row) {
	r.function("AdamW", "func(p, g, m, v []float32, a *[10][16]float32)",
		"is plain.AdamW, a holding the fields of plain.Adam in sixteen lanes each, LR negated.")
	pb, gb, mb, vb, n, a := r.base("p"), r.base("g"), r.base("m"), r.base("v"), r.length("p"), r.arg("a")
	num := func(i int) operand.Mem { return operand.Mem{Base: a, Disp: 64 * i} }
	r.loop(n, func(p int) {
		d := r.mul(r.ld(gb, p), num(adamGradScale))
		m := r.mul(r.ld(mb, p), num(adamBeta1))
		r.acc(m, d, num(adamRest1))
		v := r.mul(r.ld(vb, p), num(adamBeta2))
		r.acc(v, r.mul(d, num(adamRest2)), d)
		r.st(m, mb, p)
		r.st(v, vb, p)
		s := r.add(r.sqrt(r.div(v, num(adamCorr2))), num(adamEps))
		u := r.div(r.div(m, num(adamCorr1)), s)
		w := r.mul(r.ld(pb, p), num(adamKeep))
		r.acc(w, u, num(adamMinusLR))
		r.st(w, pb, p)
	})
	r.end()
}
