package main

import (
	"strings"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// reduction makes a function of slices, and of float32 scalars, that returns
// one number: body adds a part to its accumulator.
func (r *row) reduction(name, doc, ins, scalars string, body func(acc vec, in, s []vec, p int)) {
	sig := "func(" + strings.Join(strings.Fields(ins), ", ") + " []float32"
	if scalars != "" {
		sig += ", " + scalars + " float32"
	}
	r.function(name, sig+") float32", doc)
	var bases []reg.Register
	for _, s := range strings.Fields(ins) {
		bases = append(bases, r.base(s))
	}
	n := r.length(strings.Fields(ins)[0])
	var sv []vec
	for _, s := range strings.Fields(scalars) {
		sv = append(sv, r.spread(s))
	}
	acc := r.zeros()
	r.loop(n, func(p int) {
		var in []vec
		for _, b := range bases {
			in = append(in, r.ld(b, p))
		}
		body(acc[p], in, sv, p)
	})
	r.giveSum(acc)
	r.end()
}

// rowReductions makes the row reductions and the softmax passes.
func rowReductions(r *row) {
	r.reduction("Dot", "is plain.Dot.", "a b", "", func(acc vec, in, _ []vec, _ int) {
		r.acc(acc, in[0], in[1])
	})
	r.reduction("Dot3", "is plain.Dot of the rounded products w*dy, and x.", "dy w x", "", func(acc vec, in, _ []vec, _ int) {
		r.acc(acc, r.mul(in[0], in[1]), in[2])
	})
	r.reduction("Sum", "is plain.Sum.", "a", "", func(acc vec, in, _ []vec, _ int) {
		r.VADDPS(in[0], acc, acc)
	})
	r.reduction("SumExp", "is plain.SumExp.", "x", "m", func(acc vec, in, s []vec, p int) {
		e := r.exp(r.sub(in[0], s[0]))
		r.clip(e, p)
		r.VADDPS(e, acc, acc)
	})
	r.expSum()
	r.maxima()
	r.scores()
	r.flat("SubMul", "sets dx = p * (dy - s), the second half of plain.SoftmaxDX.", "dx", "dy p", "s", func(in, s []vec) []vec {
		return []vec{r.mul(in[1], r.sub(in[0], s[0]))}
	})
}

// scores makes the passes over attention and indexer scores.
func (r *row) scores() {
	r.flat("ReluAxpy", "is plain.ReluAxpy.", "x dst", "x dst", "s", func(in, s []vec) []vec {
		zero := r.copy(r.f32(0))
		v := r.add(r.max(zero, in[0]), zero)
		return []vec{v, r.fma(s[0], v, in[1])}
	})
	r.flat("ReluDX", "is plain.ReluDX.", "x", "x d", "s", func(in, s []vec) []vec {
		v := r.copy(in[0])
		r.sel(v, r.mul(s[0], in[1]), in[0], greater, r.f32(0))
		return []vec{v}
	})
	r.flat("MaxTo", "is plain.MaxTo.", "dst", "dst x", "", func(in, _ []vec) []vec {
		return []vec{r.max(in[1], in[0])}
	})
	r.flat("ExpScaled", "is plain.ExpScaled.", "x", "x", "s m", func(in, s []vec) []vec {
		return []vec{r.exp(r.sub(r.mul(in[0], s[0]), s[1]))}
	})
	r.flat("ScoreDX", "is plain.ScoreDX.", "ds", "ds p", "delta scale", func(in, s []vec) []vec {
		return []vec{r.mul(r.fma(r.negate(s[0]), in[1], r.mul(in[0], in[1])), s[1])}
	})
}

// expSum makes ExpSum.
func (r *row) expSum() {
	r.function("ExpSum", "func(x []float32, m float32) float32", "is plain.ExpSum.")
	x, n, m := r.base("x"), r.length("x"), r.spread("m")
	acc := r.zeros()
	r.loop(n, func(p int) {
		e := r.exp(r.sub(r.ld(x, p), m))
		r.st(e, x, p)
		r.clip(e, p)
		r.VADDPS(e, acc[p], acc[p])
	})
	r.giveSum(acc)
	r.end()
}

// maxima makes Max, ScaleMax and MaxAbs.
func (r *row) maxima() {
	for _, scaled := range []bool{false, true} {
		var s vec
		if scaled {
			r.function("ScaleMax", "func(a []float32, s float32) float32", "is plain.ScaleMax.")
			s = r.spread("s")
		} else {
			r.function("Max", "func(a []float32) float32", "is plain.Max.")
		}
		a, n := r.base("a"), r.length("a")
		var acc []vec
		for range r.parts() {
			acc = append(acc, r.copy(r.f32(-inf)))
		}
		r.loop(n, func(p int) {
			v := r.ld(a, p)
			if scaled {
				v = r.mul(v, s)
				r.st(v, a, p)
			}
			if r.masked {
				v = r.orElse(v, r.f32(-inf), p)
			}
			r.VMAXPS(acc[p], v, acc[p]) // v > acc ? v : acc passes over NaN
		})
		r.Store(r.fold(acc, func(ops ...operand.Op) { r.VMAXPS(ops...) }), r.ReturnIndex(0))
		r.end()
	}

	r.function("MaxAbs", "func(a []float32) float32", "is plain.MaxAbs.")
	a, n := r.base("a"), r.length("a")
	acc := r.zeros()
	r.loop(n, func(p int) {
		r.VPMAXSD(r.and(r.ld(a, p), r.bits(^uint32(signBit))), acc[p], acc[p])
	})
	r.Store(r.fold(acc, func(ops ...operand.Op) { r.VPMAXSD(ops...) }), r.ReturnIndex(0))
	r.end()
}

// orElse is v within the row and c beyond its end.
func (r *row) orElse(v vec, c operand.Op, p int) vec {
	d := r.copy(c)
	if r.lanes == 16 {
		r.VMOVUPS(v, r.kmask, d)
	} else {
		r.VBLENDVPS(r.ymask[p], v, d, d)
	}
	return d
}
