package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// swapPairs is the immediate of VPERMILPS that swaps lanes 2i and 2i+1.
const swapPairs = operand.U8(0b10_11_00_01)

// rowRotations makes Rope for a multiple of 8 pairs, and Hadamard for 16
// elements and more.
func rowRotations(r *row) {
	r.function("Rope", "func(x, cos, sin []float32, sign float32)", "is plain.Rope; len(cos) is a multiple of 8.")
	x, cos, sin, n := r.base("x"), r.base("cos"), r.base("sin"), r.length("x")
	// The even lane of a pair takes -sin, the odd one +sin.
	signs := r.xor(r.spread("sign"), r.alternate("negEven", signBit, 0))
	twice := r.copy(r.twice())
	r.loop(n, func(p int) {
		if r.masked {
			return // no partial blocks
		}
		v := r.ld(x, p)
		swapped := r.vec(r.Context)
		r.VPERMILPS(swapPairs, v, swapped)
		y := r.mul(v, r.doubled(cos, twice, p))
		r.acc(y, swapped, r.mul(r.doubled(sin, twice, p), signs))
		r.st(y, x, p)
		if p == r.parts()-1 {
			r.SUBQ(operand.U8(32), cos) // the index moves 64 bytes, they 32
			r.SUBQ(operand.U8(32), sin)
		}
	})
	r.end()
	r.hadamard()
}

// alternate is a memory operand with even and odd in turn.
func (r *row) alternate(name string, even, odd uint32) operand.Mem {
	words := make([]uint32, r.lanes)
	for i := range words {
		words[i] = even
		if i%2 == 1 {
			words[i] = odd
		}
	}
	return r.data(name, words)
}

// twice is the permutation 0, 0, 1, 1, 2, 2, ...
func (r *row) twice() operand.Mem {
	words := make([]uint32, r.lanes)
	for i := range words {
		words[i] = uint32(i / 2)
	}
	return r.data("twice", words)
}

// doubled loads the factors of part p's pairs, each for both of its lanes.
func (r *row) doubled(base reg.Register, twice vec, p int) vec {
	v := r.vec(r.Context)
	m := operand.Mem{Base: base, Index: r.index, Scale: 1, Disp: 2 * r.lanes * p}
	if r.lanes == 16 {
		r.VMOVUPS(m, v.AsY())
	} else {
		r.VMOVUPS(m, v.AsX())
	}
	r.VPERMPS(v, twice, v)
	return v
}

// hadamard makes Hadamard: the stages within sixteen elements in registers,
// the wider ones in memory.
func (r *row) hadamard() {
	r.function("Hadamard", "func(x []float32, scale float32)", "is plain.Hadamard; len(x) is at least 16.")
	x, n, scale := r.base("x"), r.length("x"), r.spread("scale")
	size := r.GP64()
	r.MOVQ(n, size)
	r.SHLQ(operand.U8(2), size)
	r.loop(n, func(p int) {
		if r.masked || p > 0 {
			return
		}
		var v []vec
		for q := range r.parts() {
			v = append(v, r.ld(x, q))
		}
		v = r.butterflies(v)
		for q := range v {
			r.st(v[q], x, q)
		}
	})
	r.wideStages(x, size)
	m := r.GP64()
	r.MOVQ(size, m)
	r.SHRQ(operand.U8(2), m)
	r.loop(m, func(p int) {
		if !r.masked {
			r.st(r.mul(r.ld(x, p), scale), x, p)
		}
	})
	r.end()
}

// butterflies does the stages of distance 1, 2, 4 and 8: lane l becomes
// x[l] + x[l^h], or x[l^h] - x[l] where l has the bit h, which is
// fma(x[l], ±1, x[l^h]) with nothing rounded twice.
func (r *row) butterflies(v []vec) []vec {
	for _, h := range []int{1, 2, 4, 8} {
		if h == 8 && r.lanes == 8 {
			return []vec{r.add(v[0], v[1]), r.sub(v[0], v[1])}
		}
		words := make([]uint32, r.lanes)
		for l := range words {
			words[l] = 0x3f800000
			if l&h != 0 {
				words[l] |= signBit
			}
		}
		signs := r.data([]string{1: "sign1", 2: "sign2", 4: "sign4", 8: "sign8"}[h], words)
		for q := range v {
			s := r.vec(r.Context)
			switch {
			case h == 1:
				r.VPERMILPS(swapPairs, v[q], s)
			case h == 2:
				r.VPERMILPS(operand.U8(0b01_00_11_10), v[q], s)
			case h == 4 && r.lanes == 8:
				r.VPERM2F128(operand.U8(1), v[q], v[q], s)
			case h == 4:
				r.VSHUFF32X4(operand.U8(0b10_11_00_01), v[q], v[q], s)
			default:
				r.VSHUFF32X4(operand.U8(0b01_00_11_10), v[q], v[q], s)
			}
			r.acc(s, v[q], signs)
			v[q] = s
		}
	}
	return v
}

// wideStages does the stages of distance 16 and more over size bytes at x.
func (r *row) wideStages(x reg.Register, size reg.GPVirtual) {
	h, b, end, hi := r.GP64(), r.GP64(), r.GP64(), r.GP64()
	r.index = r.GP64()
	stage, pairs, run, done := r.label("stage"), r.label("pairs"), r.label("run"), r.label("done")
	r.MOVQ(operand.U32(64), h)
	r.Label(stage)
	r.CMPQ(h, size)
	r.JGE(operand.LabelRef(done))
	r.XORQ(b, b)
	r.Label(pairs)
	r.MOVQ(b, r.index)
	r.LEAQ(operand.Mem{Base: b, Index: h, Scale: 1}, end)
	r.LEAQ(operand.Mem{Base: x, Index: h, Scale: 1}, hi)
	r.Label(run)
	for p := range r.parts() {
		u, w := r.ld(x, p), r.ld(hi, p)
		r.st(r.add(u, w), x, p)
		r.st(r.sub(u, w), hi, p)
	}
	r.ADDQ(operand.U8(64), r.index)
	r.CMPQ(r.index, end)
	r.JL(operand.LabelRef(run))
	r.LEAQ(operand.Mem{Base: b, Index: h, Scale: 2}, b)
	r.CMPQ(b, size)
	r.JL(operand.LabelRef(pairs))
	r.SHLQ(operand.U8(1), h)
	r.JMP(operand.LabelRef(stage))
	r.Label(done)
}
