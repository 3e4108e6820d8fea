package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A row is the loop of one function of package plain for one instruction set.
// It runs over blocks of sixteen elements; a block is one register of AVX-512
// or two of AVX2, its parts. A body is written for one part and emitted for
// each, once for whole blocks and once for a masked last block, whose loads
// give +0 beyond the end and whose stores leave memory there alone.
type row struct {
	*build.Context
	isa
	index  reg.GPVirtual     // byte offset of the block
	masked bool              // emitting the last block
	kmask  reg.Register      // its elements, AVX-512
	ymask  [2]reg.VecVirtual // its elements, AVX2
	ymem   operand.Mem       // where the masks are, AVX2
	consts map[string]operand.Mem
	labels int
}

// vec is a register of the row's width.
type vec = reg.VecVirtual

// parts is the number of registers that a block takes.
func (r *row) parts() int { return 16 / r.lanes }

// rows fills a file with the functions of package plain.
func rows(c *build.Context, s isa) {
	consts := map[string]operand.Mem{}
	for _, f := range []func(r *row){
		rowMaps, rowFunctions, rowReductions, rowNorms, rowActivations,
		rowRotations, rowStreams, rowSinkhorn, rowAdam, rowFormats, rowCodes,
	} {
		f(&row{Context: c, isa: s, consts: consts})
	}
}

func rowsAVX512(c *build.Context) { rows(c, avx512) }
func rowsAVX2(c *build.Context)   { rows(c, avx2) }

// function opens a function. doc follows its name.
func (r *row) function(name, signature, doc string) {
	r.Function(name + r.name)
	r.Attributes(attr.NOSPLIT)
	r.Pragma("noescape")
	r.SignatureExpr(signature)
	r.Doc(fmt.Sprintf("%s%s %s", name, r.name, doc))
	r.index = nil
	r.labels = 0
}

// base loads the address of a slice argument.
func (r *row) base(name string) reg.Register { return r.Load(r.Param(name).Base(), r.GP64()) }

// length loads the length of a slice argument.
func (r *row) length(name string) reg.GPVirtual {
	n := r.GP64()
	r.Load(r.Param(name).Len(), n)
	return n
}

// spread loads a float32 argument into all lanes.
func (r *row) spread(name string) vec {
	addr, err := r.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	v := r.vec(r.Context)
	r.VBROADCASTSS(addr.Addr, v)
	return v
}

// end closes a function.
func (r *row) end() {
	r.VZEROUPPER()
	r.RET()
}

// label makes a name that is fresh within the function.
func (r *row) label(name string) string {
	r.labels++
	return fmt.Sprintf("%s%d", name, r.labels)
}

// loop runs body for the parts of all blocks of n elements. n is consumed.
func (r *row) loop(n reg.GPVirtual, body func(p int)) {
	r.index = r.GP64()
	r.XORQ(r.index, r.index)
	block, tail, done := r.label("block"), r.label("tail"), r.label("done")
	r.SUBQ(operand.U8(16), n)
	r.JL(operand.LabelRef(tail))
	r.Label(block)
	for p := range r.parts() {
		body(p)
	}
	r.ADDQ(operand.U8(64), r.index)
	r.SUBQ(operand.U8(16), n)
	r.JGE(operand.LabelRef(block))
	r.Label(tail)
	r.ADDQ(operand.U8(16), n)
	r.JZ(operand.LabelRef(done))
	r.mask(n)
	r.masked = true
	for p := range r.parts() {
		body(p)
	}
	r.masked = false
	r.Label(done)
}

// mask makes the mask of a last block of n elements.
func (r *row) mask(n reg.GPVirtual) {
	if r.lanes == 16 {
		ones := r.GP32()
		r.MOVL(operand.U32(0xffff), ones)
		r.BZHIL(n.As32(), ones, ones)
		k := r.K()
		r.KMOVW(ones, k)
		r.kmask = k
		return
	}
	// Sixteen ones then sixteen zeros: the mask starts 16-n before the zeros.
	words := make([]uint32, 32)
	for i := range 16 {
		words[i] = 0xffffffff
	}
	at := r.GP64()
	r.LEAQ(r.data("tailMask", words), at)
	r.NEGQ(n)
	for p := range r.parts() {
		m := r.YMM()
		r.VMOVDQU(operand.Mem{Base: at, Index: n, Scale: 4, Disp: 64 + 32*p}, m)
		r.ymask[p] = m
	}
}

// data returns a read-only array.
func (r *row) data(name string, words []uint32) operand.Mem {
	if m, ok := r.consts[name]; ok {
		return m
	}
	m := r.StaticGlobal(name)
	r.DataAttributes(attr.RODATA | attr.NOPTR)
	for i, w := range words {
		r.AddDatum(4*i, operand.U32(w))
	}
	r.consts[name] = m
	return m
}

// bits is a memory operand that holds w in all lanes.
func (r *row) bits(w uint32) operand.Mem {
	words := make([]uint32, r.lanes)
	for i := range words {
		words[i] = w
	}
	return r.data(fmt.Sprintf("all%08x", w), words)
}

// f32 is a memory operand that holds v in all lanes.
func (r *row) f32(v float32) operand.Mem { return r.bits(math.Float32bits(v)) }

// block is the address of part p of the current block of the row at base.
func (r *row) block(base reg.Register, p int) operand.Mem {
	return operand.Mem{Base: base, Index: r.index, Scale: 1, Disp: 4 * r.lanes * p}
}

// ld loads part p of the current block of the row at base.
func (r *row) ld(base reg.Register, p int) vec { return r.ldAt(r.block(base, p), p) }

// ldAt loads part p of a block at m.
func (r *row) ldAt(m operand.Mem, p int) vec {
	v := r.vec(r.Context)
	switch {
	case !r.masked:
		r.VMOVUPS(m, v)
	case r.lanes == 16:
		r.VMOVUPS_Z(m, r.kmask, v)
	default:
		r.VMASKMOVPS(m, r.ymask[p], v)
	}
	return v
}

// st stores v as part p of the current block of the row at base.
func (r *row) st(v vec, base reg.Register, p int) { r.stAt(v, r.block(base, p), p) }

// stAt stores v as part p of a block at m.
func (r *row) stAt(v vec, m operand.Mem, p int) {
	switch {
	case !r.masked:
		r.VMOVUPS(v, m)
	case r.lanes == 16:
		r.VMOVUPS(v, r.kmask, m)
	default:
		r.VMASKMOVPS(v, r.ymask[p], m)
	}
}

// clip sets the lanes of part p beyond the end to +0.
func (r *row) clip(v vec, p int) {
	switch {
	case !r.masked:
	case r.lanes == 16:
		r.VMOVUPS_Z(v, r.kmask, v)
	default:
		r.VANDPS(v, r.ymask[p], v)
	}
}

// copy returns a register with the value of v.
func (r *row) copy(v operand.Op) vec {
	d := r.vec(r.Context)
	r.VMOVUPS(v, d)
	return d
}

// The operations return a fresh register. Their last operand may be in memory.
func (r *row) add(a vec, b operand.Op) vec { d := r.vec(r.Context); r.VADDPS(b, a, d); return d }
func (r *row) sub(a vec, b operand.Op) vec { d := r.vec(r.Context); r.VSUBPS(b, a, d); return d }
func (r *row) mul(a vec, b operand.Op) vec { d := r.vec(r.Context); r.VMULPS(b, a, d); return d }
func (r *row) div(a vec, b operand.Op) vec { d := r.vec(r.Context); r.VDIVPS(b, a, d); return d }
func (r *row) sqrt(a vec) vec              { d := r.vec(r.Context); r.VSQRTPS(a, d); return d }

// min is a < b ? a : b, max is a > b ? a : b.
func (r *row) min(a vec, b operand.Op) vec { d := r.vec(r.Context); r.VMINPS(b, a, d); return d }
func (r *row) max(a vec, b operand.Op) vec { d := r.vec(r.Context); r.VMAXPS(b, a, d); return d }

// fma is a*b + c with c in a register that is kept.
func (r *row) fma(a vec, b operand.Op, c vec) vec {
	d := r.copy(c)
	r.VFMADD231PS(b, a, d)
	return d
}

// acc is d += a*b, fused.
func (r *row) acc(d, a vec, b operand.Op) { r.VFMADD231PS(b, a, d) }

// horner is d = d*x + c, fused.
func (r *row) horner(d, x vec, c operand.Op) { r.VFMADD213PS(c, x, d) }

// and, or, xor are bitwise.
func (r *row) and(a vec, b operand.Op) vec { d := r.vec(r.Context); r.VANDPS(b, a, d); return d }
func (r *row) or(a vec, b operand.Op) vec  { d := r.vec(r.Context); r.VORPS(b, a, d); return d }
func (r *row) xor(a vec, b operand.Op) vec { d := r.vec(r.Context); r.VXORPS(b, a, d); return d }

// addI and subI add and subtract 32-bit integers.
func (r *row) addI(a vec, b operand.Op) vec { d := r.vec(r.Context); r.VPADDD(b, a, d); return d }
func (r *row) subI(a vec, b operand.Op) vec { d := r.vec(r.Context); r.VPSUBD(b, a, d); return d }

// shl, shr and sar shift 32-bit integers.
func (r *row) shl(a vec, n int) vec { d := r.vec(r.Context); r.VPSLLD(operand.U8(n), a, d); return d }

func (r *row) shr(a vec, n int) vec { d := r.vec(r.Context); r.VPSRLD(operand.U8(n), a, d); return d }

func (r *row) sar(a vec, n int) vec { d := r.vec(r.Context); r.VPSRAD(operand.U8(n), a, d); return d }

// Relations for sel: a < b, a > b and a == b, false where either is a NaN; not
// a > b, not a <= b, and a and b unordered, true there.
const (
	less         = operand.U8(0x11)
	greater      = operand.U8(0x1e)
	equal        = operand.U8(0x00)
	notGreater   = operand.U8(0x1a)
	notLessEqual = operand.U8(0x16)
	unordered    = operand.U8(0x03)
)

// sel sets v to c in the lanes where a relates to b.
func (r *row) sel(v vec, c operand.Op, a vec, relation operand.U8, b operand.Op) {
	if r.lanes == 16 {
		k := r.K()
		r.VCMPPS(relation, b, a, k)
		r.VMOVUPS(c, k, v)
		return
	}
	m := r.YMM()
	r.VCMPPS(relation, b, a, m)
	r.VBLENDVPS(m, c, v, v)
}

// zeros returns one zeroed register a part.
func (r *row) zeros() []vec {
	acc := make([]vec, r.parts())
	for p := range acc {
		acc[p] = r.vec(r.Context)
		r.zero(r.Context, acc[p])
	}
	return acc
}

// fold brings sixteen lanes to one by op, l+8, l+4, l+2, l+1, in an XMM
// register.
func (r *row) fold(acc []vec, op func(ops ...operand.Op)) reg.VecVirtual {
	low := acc[0].AsY()
	if r.lanes == 16 {
		high := r.YMM()
		r.VEXTRACTF64X4(operand.U8(1), acc[0], high)
		op(high, low, low)
	} else {
		op(acc[1], low, low)
	}
	x, t := acc[0].AsX(), r.XMM()
	if r.lanes == 16 {
		r.VEXTRACTF32X4(operand.U8(1), low, t) // reaches all 32 registers
	} else {
		r.VEXTRACTF128(operand.U8(1), low, t)
	}
	op(t, x, x)
	t2, t3 := r.XMM(), r.XMM()
	r.VPERMILPS(operand.U8(0b00_00_11_10), x, t2)
	op(t2, x, x)
	r.VPERMILPS(operand.U8(0b00_00_00_01), x, t3)
	op(t3, x, x)
	return x.(reg.VecVirtual)
}

// foldAdd is fold by addition.
func (r *row) foldAdd(acc []vec) reg.VecVirtual {
	return r.fold(acc, func(ops ...operand.Op) { r.VADDPS(ops...) })
}

// giveSum returns the sum of the lanes as the function's result.
func (r *row) giveSum(acc []vec) { r.Store(r.foldAdd(acc), r.ReturnIndex(0)) }

// flat makes a function without result over equally long slices: outs and ins
// name the slices, scalars the float32 arguments, and body computes the outs
// of a part from the ins.
func (r *row) flat(name, doc, outs, ins, scalars string, body func(in, s []vec) []vec) {
	var slices []string
	for _, f := range append(strings.Fields(outs), strings.Fields(ins)...) {
		if !strings.Contains(" "+strings.Join(slices, " ")+" ", " "+f+" ") {
			slices = append(slices, f)
		}
	}
	sig := "func(" + strings.Join(slices, ", ") + " []float32"
	if scalars != "" {
		sig += ", " + strings.Join(strings.Fields(scalars), ", ") + " float32"
	}
	r.function(name, sig+")", doc)
	bases := map[string]reg.Register{}
	for _, s := range slices {
		bases[s] = r.base(s)
	}
	n := r.length(slices[0])
	var sv []vec
	for _, s := range strings.Fields(scalars) {
		sv = append(sv, r.spread(s))
	}
	r.loop(n, func(p int) {
		var in []vec
		for _, s := range strings.Fields(ins) {
			in = append(in, r.ld(bases[s], p))
		}
		for i, v := range body(in, sv) {
			r.st(v, bases[strings.Fields(outs)[i]], p)
		}
	})
	r.end()
}
