package main

import (
	"github.com/mmcloughlin/avo/operand"
)

// rowFormats makes the conversions to and from bfloat16 and the rounding
// halves of the fake quantisations.
func rowFormats(r *row) {
	r.bf16FromF32()
	r.f32FromBF16()
	r.flat("QuantE4M3", "is the loop of plain.FakeQuantE4M3.", "x", "x", "up down", func(in, s []vec) []vec {
		return []vec{r.fakeQuant(in[0], s[0], s[1], 448, 0x1p-6, 0x1.8p14, 20)}
	})
	r.flat("QuantE2M1", "is the loop of plain.FakeQuantE2M1.", "x", "x", "up down", func(in, s []vec) []vec {
		return []vec{r.fakeQuant(in[0], s[0], s[1], 6, 1, 0x1.8p22, 22)}
	})
}

// fakeQuant rounds x*down to a short format and multiplies by up: values below
// normal are rounded by adding magic, the others by dropping bits.
func (r *row) fakeQuant(x, up, down vec, largest, normal, magic float32, drop int) vec {
	q := r.mul(x, down)
	sign := r.and(q, r.bits(signBit))
	a := r.and(q, r.bits(^uint32(signBit)))
	a = r.min(r.copy(r.f32(largest)), a)
	b := r.addI(r.addI(a, r.bits(1<<(drop-1)-1)), r.and(r.shr(a, drop), r.bits(1)))
	b = r.and(b, r.bits(^uint32(0)<<drop))
	small := r.sub(r.add(a, r.f32(magic)), r.f32(magic))
	r.sel(b, small, a, less, r.f32(normal))
	y := r.mul(r.or(b, sign), up)
	r.sel(y, x, x, unordered, x)
	return y
}

// bf16FromF32 makes BF16FromF32.
func (r *row) bf16FromF32() {
	r.function("BF16FromF32", "func(dst []uint16, src []float32)", "rounds to bfloat16; len(src) is a multiple of 16.")
	dst, src, n := r.base("dst"), r.base("src"), r.length("src")
	r.loop(n, func(p int) {
		if r.masked || p > 0 {
			return
		}
		if r.lanes == 16 {
			v := r.roundBF16(r.ld(src, 0))
			r.VPMOVDW(r.shr(v, 16), operand.Mem{Base: dst})
		} else {
			lo := r.shr(r.roundBF16(r.ld(src, 0)), 16)
			hi := r.shr(r.roundBF16(r.ld(src, 1)), 16)
			v := r.YMM()
			r.VPACKUSDW(hi, lo, v) // 0-3 of lo, 0-3 of hi, 4-7 of lo, 4-7 of hi
			r.VPERMQ(operand.U8(0b11_01_10_00), v, v)
			r.VMOVDQU(v, operand.Mem{Base: dst})
		}
		r.ADDQ(operand.U8(32), dst)
	})
	r.end()
}

// f32FromBF16 makes F32FromBF16.
func (r *row) f32FromBF16() {
	r.function("F32FromBF16", "func(dst []float32, src []uint16)", "widens bfloat16; len(dst) is a multiple of 16.")
	dst, src, n := r.base("dst"), r.base("src"), r.length("dst")
	r.loop(n, func(p int) {
		if r.masked {
			return
		}
		v := r.vec(r.Context)
		r.VPMOVZXWD(operand.Mem{Base: src, Disp: 2 * r.lanes * p}, v)
		r.st(r.shl(v, 16), dst, p)
		if p == r.parts()-1 {
			r.ADDQ(operand.U8(32), src)
		}
	})
	r.end()
}
