package main

import (
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// rowCodes makes the loops between float32 and the codes of FP8 and FP4, whole
// blocks of sixteen only.
func rowCodes(r *row) {
	r.f32FromE4M3()
	r.e4m3FromF32()
	r.f32FromE2M1()
	r.e2m1FromF32()
	r.maxFinite()
}

// eachBlock runs body for whole blocks of n elements.
func (r *row) eachBlock(n reg.GPVirtual, body func()) {
	next, done := r.label("next"), r.label("done")
	r.SUBQ(operand.U8(16), n)
	r.JL(operand.LabelRef(done))
	r.Label(next)
	body()
	r.SUBQ(operand.U8(16), n)
	r.JGE(operand.LabelRef(next))
	r.Label(done)
}

// widenBytes returns bytes [lanes*p, lanes*p+lanes) at m as 32-bit integers.
func (r *row) widenBytes(m operand.Mem, p int) vec {
	v := r.vec(r.Context)
	r.VPMOVZXBD(m.Offset(r.lanes*p), v)
	return v
}

// narrowBytes returns sixteen small integers as bytes.
func (r *row) narrowBytes(v []vec) reg.VecVirtual {
	x := r.XMM()
	if r.lanes == 16 {
		r.VPMOVDB(v[0], x)
		return x
	}
	var words [2]reg.VecVirtual
	for p := range words {
		hi, w := r.XMM(), r.XMM()
		r.VEXTRACTI128(operand.U8(1), v[p], hi)
		r.VPACKUSDW(hi, v[p].AsX(), w)
		words[p] = w
	}
	r.VPACKUSWB(words[1], words[0], x)
	return x
}

// f32FromE4M3 makes F32FromE4M3.
func (r *row) f32FromE4M3() {
	r.function("F32FromE4M3", "func(dst []float32, src []uint8, scale float32)",
		"sets dst to scale times the values of the codes src; len(dst) is a multiple of 16.")
	dst, src, n, scale := r.base("dst"), r.base("src"), r.length("dst"), r.spread("scale")
	r.eachBlock(n, func() {
		for p := range r.parts() {
			c := r.widenBytes(at(src, 0), p)
			// With the exponent's bias a float32's, a subnormal m is (1+m/8)/128.
			v := r.addI(r.shl(r.and(c, r.bits(0x7f)), 20), r.bits(120<<23))
			small := r.sub(r.add(v, v), r.f32(0x1p-6))
			r.sel(v, small, v, less, r.f32(0x1p-6))
			r.sel(v, r.f32(float32(math.NaN())), v, greater, r.f32(448))
			v = r.or(v, r.shl(r.and(c, r.bits(0x80)), 24))
			r.VMOVUPS(r.mul(v, scale), at(dst, 4*r.lanes*p))
		}
		r.ADDQ(operand.U8(16), src)
		r.ADDQ(operand.U8(64), dst)
	})
	r.end()
}

// code returns the code of x*down in a format that drops so many bits, rounded
// as in fakeQuant. bias is what the exponent's bias is more in float32, in
// units of the code, sign the format's sign bit, nan the code of NaN.
func (r *row) code(x, down vec, largest, normal, magic float32, drop int, bias, sign, nan uint32) vec {
	q := r.mul(x, down)
	a := r.min(r.copy(r.f32(largest)), r.and(q, r.bits(^uint32(signBit))))
	b := r.addI(r.addI(a, r.bits(1<<(drop-1)-1)), r.and(r.shr(a, drop), r.bits(1)))
	b = r.subI(r.shr(b, drop), r.bits(bias))
	small := r.and(r.add(a, r.f32(magic)), r.bits(0xf))
	r.sel(b, small, a, less, r.f32(normal))
	shift := 0
	for 1<<(31-shift) != sign {
		shift++
	}
	b = r.or(b, r.and(r.shr(q, shift), r.bits(sign)))
	r.sel(b, r.bits(nan), a, unordered, a)
	return b
}

// e4m3FromF32 makes E4M3FromF32.
func (r *row) e4m3FromF32() {
	r.function("E4M3FromF32", "func(dst []uint8, src []float32, down float32)",
		"sets dst to the codes of src*down; len(src) is a multiple of 16.")
	dst, src, n, down := r.base("dst"), r.base("src"), r.length("src"), r.spread("down")
	r.eachBlock(n, func() {
		var codes []vec
		for p := range r.parts() {
			codes = append(codes, r.code(r.copy(at(src, 4*r.lanes*p)), down, 448, 0x1p-6, 0x1.8p14, 20, (127-7)<<3, 0x80, 0x7f))
		}
		r.VMOVDQU(r.narrowBytes(codes), at(dst, 0))
		r.ADDQ(operand.U8(16), dst)
		r.ADDQ(operand.U8(64), src)
	})
	r.end()
}

// e2m1Values are the magnitudes of the E2M1 codes.
var e2m1Values = [8]float32{0, .5, 1, 1.5, 2, 3, 4, 6}

// f32FromE2M1 makes F32FromE2M1.
func (r *row) f32FromE2M1() {
	r.function("F32FromE2M1", "func(dst []float32, packed []uint8, scale []float32)",
		"sets each 32 elements of dst to a scale times the values of sixteen bytes of codes.")
	dst, packed, scale, n := r.base("dst"), r.base("packed"), r.base("scale"), r.length("scale")
	words := make([]uint32, r.lanes)
	for i := range words {
		words[i] = math.Float32bits(e2m1Values[i%8]) | uint32(i/8)<<31
	}
	table := r.copy(r.data("e2m1", words))
	next, done := r.label("next"), r.label("done")
	r.TESTQ(n, n)
	r.JZ(operand.LabelRef(done))
	r.Label(next)
	s := r.vec(r.Context)
	r.VBROADCASTSS(at(scale, 0), s)
	// One nibble a byte: word b becomes its low nibble, then its high one.
	b, lo, hi := r.YMM(), r.YMM(), r.YMM()
	r.VPMOVZXBW(at(packed, 0), b)
	r.VPSLLW(operand.U8(4), b, hi)
	r.VPAND(r.nibbles(0x0f00), hi, hi)
	r.VPAND(r.nibbles(0x000f), b, lo)
	r.VPOR(hi, lo, b)
	for half := range 2 {
		x := b.AsX().(reg.VecVirtual)
		if half == 1 {
			x = r.XMM()
			r.VEXTRACTI128(operand.U8(1), b, x)
		}
		for p := range r.parts() {
			y := x
			if p == 1 {
				y = r.XMM()
				r.VPSRLDQ(operand.U8(8), x, y)
			}
			c, v := r.vec(r.Context), r.vec(r.Context)
			r.VPMOVZXBD(y, c)
			r.VPERMPS(table, c, v)
			if r.lanes == 8 { // the table has no room for the sign
				v = r.or(v, r.shl(r.and(c, r.bits(8)), 28))
			}
			r.VMOVUPS(r.mul(v, s), at(dst, 64*half+4*r.lanes*p))
		}
	}
	r.ADDQ(operand.U8(4), scale)
	r.ADDQ(operand.U8(16), packed)
	r.ADDQ(operand.U32(128), dst)
	r.DECQ(n)
	r.JNZ(operand.LabelRef(next))
	r.Label(done)
	r.end()
}

// nibbles is a memory operand of sixteen words w.
func (r *row) nibbles(w uint32) operand.Mem {
	words := make([]uint32, 8)
	for i := range words {
		words[i] = w | w<<16
	}
	return r.data([...]string{0: "lowNibbles", 1: "highNibbles"}[w>>8&1], words)
}

// e2m1FromF32 makes E2M1FromF32.
func (r *row) e2m1FromF32() {
	r.function("E2M1FromF32", "func(packed []uint8, src []float32, down float32)",
		"sets packed to the codes of src*down, two a byte; len(src) is a multiple of 16.")
	packed, src, n, down := r.base("packed"), r.base("src"), r.length("src"), r.spread("down")
	words := []uint32{0x10011001, 0x10011001, 0x10011001, 0x10011001} // 1, 16, 1, 16, ...
	r.eachBlock(n, func() {
		var codes []vec
		for p := range r.parts() {
			codes = append(codes, r.code(r.copy(at(src, 4*r.lanes*p)), down, 6, 1, 0x1.8p22, 22, (127-1)<<1, 8, 7))
		}
		b := r.narrowBytes(codes)
		r.VPMADDUBSW(r.data("pair", words), b, b)
		r.VPACKUSWB(b, b, b)
		r.VMOVQ(b, at(packed, 0))
		r.ADDQ(operand.U8(8), packed)
		r.ADDQ(operand.U8(64), src)
	})
	r.end()
}

// maxFinite makes MaxFinite.
func (r *row) maxFinite() {
	r.function("MaxFinite", "func(a []float32) float32", "returns the largest finite magnitude in a.")
	a, n := r.base("a"), r.length("a")
	acc := r.zeros()
	r.loop(n, func(p int) {
		v := r.and(r.ld(a, p), r.bits(^uint32(signBit)))
		r.sel(v, r.bits(0), v, notLessEqual, r.f32(math.MaxFloat32))
		r.VPMAXSD(v, acc[p], acc[p])
	})
	r.Store(r.fold(acc, func(ops ...operand.Op) { r.VPMAXSD(ops...) }), r.ReturnIndex(0))
	r.end()
}
