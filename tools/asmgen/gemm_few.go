package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// fewAVX512 and fewAVX2 make the microkernels for few rows of A.
func fewAVX512(c *build.Context) { fews(c, avx512, 16) }
func fewAVX2(c *build.Context)   { fews(c, avx2, 4) }

func fews(c *build.Context, s isa, rows int) {
	for m := 1; m <= rows; m++ {
		f := few{Context: c, isa: s, m: m}
		f.emit()
	}
}

// few makes one microkernel of asm.Microkernels.Few: it turns rows of B into
// columns in registers and multiplies them at once, for nothing is gained by
// keeping them. Rows of B are read a cache line at a time, and what the next
// panel needs is fetched into the second-level cache.
type few struct {
	*build.Context
	isa
	m int

	arg         reg.GPVirtual // its Next and Panels move on
	a, ld, next reg.GPVirtual
	b           []reg.GPVirtual // rows 0, 3, 6, ... of B
	acc         []reg.VecVirtual
	block       []reg.VecVirtual // of rows that are put together from parts
}

func (f *few) emit() {
	f.Function(fmt.Sprintf("few%dx%d%s", f.m, f.lanes, f.name))
	f.Attributes(attr.NOSPLIT)
	f.Pragma("noescape")
	f.SignatureExpr("func(t *byte)")
	f.arg = f.GP64()
	f.Load(f.Param("t"), f.arg)
	f.ld, f.a, f.next = f.GP64(), f.GP64(), f.GP64()
	f.MOVQ(at(f.arg, tilePanelStep), f.ld)
	f.MOVQ(at(f.arg, tileB), f.a)
	f.MOVQ(f.a, at(f.arg, tileNextB))
	f.MOVQ(at(f.arg, tileC), f.a)
	f.MOVQ(f.a, at(f.arg, tileNextC))
	for range f.m {
		f.acc = append(f.acc, f.vec(f.Context))
	}
	for i := 0; i < f.lanes; i += 3 {
		f.b = append(f.b, f.GP64())
	}
	for range f.blockSize() {
		f.block = append(f.block, f.vec(f.Context))
	}
	k := f.GP64()
	f.fetchFirst(k)

	f.Label("panel")
	f.MOVQ(at(f.arg, tileNextB), f.b[0])
	for i := 1; i < len(f.b); i++ {
		f.LEAQ(step(f.b[i-1], f.ld, 2, 0), f.b[i])
		f.ADDQ(f.ld, f.b[i])
	}
	f.IMUL3Q(operand.U8(f.lanes), f.ld, f.next)
	f.ADDQ(f.b[0], f.next)
	f.MOVQ(f.next, at(f.arg, tileNextB))
	f.MOVQ(at(f.arg, tileA), f.a)
	f.MOVQ(at(f.arg, tileK), k)
	f.start()
	f.Label("line")
	f.line()
	f.SUBQ(operand.U8(16), k)
	f.JNZ(operand.LabelRef("line"))
	f.rows(func(i int, m operand.Mem) { f.VMOVUPS(f.acc[i], m) })
	f.ADDQ(operand.U8(4*f.lanes), at(f.arg, tileNextC))
	f.DECQ(at(f.arg, tilePanels))
	f.JNZ(operand.LabelRef("panel"))
	f.VZEROUPPER()
	f.RET()
}

// fetchFirst fetches the first panel, as each panel fetches the next.
func (f *few) fetchFirst(n reg.GPVirtual) {
	f.MOVQ(at(f.arg, tileB), f.next)
	f.MOVQ(at(f.arg, tileK), n)
	f.Label("fetch")
	for i := range f.lanes {
		f.PREFETCHT1(at(f.next, 64*i))
	}
	f.ADDQ(operand.U32(64*f.lanes), f.next)
	f.SUBQ(operand.U8(16), n)
	f.JNZ(operand.LabelRef("fetch"))
}

// start sets the chains to zero, or to what C holds.
func (f *few) start() {
	for _, v := range f.acc {
		f.zero(f.Context, v)
	}
	f.CMPQ(at(f.arg, tileLoad), operand.U8(0))
	f.JEQ(operand.LabelRef("line"))
	f.rows(func(i int, m operand.Mem) { f.VMOVUPS(m, f.acc[i]) })
}

// rows calls do with the address of each row of C.
func (f *few) rows(do func(i int, m operand.Mem)) {
	row := f.GP64()
	f.MOVQ(at(f.arg, tileNextC), row)
	for i := range f.m {
		do(i, at(row, 0))
		if i+1 < f.m {
			f.ADDQ(at(f.arg, tileLdC), row)
		}
	}
}

// line takes the chains 16 steps on.
func (f *few) line() {
	switch {
	case f.lanes == 16 && f.m <= wholeRows:
		f.wholeLine()
	case f.lanes == 16:
		f.halfLine(0)
		f.halfLine(1)
	default:
		for q := range 4 {
			f.fetch(q)
			for j, col := range f.columns(q) {
				f.multiply(4*q+j, col)
			}
		}
	}
	for _, b := range f.b {
		f.ADDQ(operand.U8(64), b)
	}
	f.ADDQ(operand.U32(4*16*f.m), f.a)
	f.ADDQ(operand.U32(64*f.lanes), f.next)
}

// fetch fetches a quarter of what the next panel needs in place of the line.
func (f *few) fetch(quarter int) {
	for i := range f.lanes / 4 {
		f.PREFETCHT1(at(f.next, 64*(quarter*f.lanes/4+i)))
	}
}

// multiply takes the chains on by step k of the line, whose column of B is col.
func (f *few) multiply(k int, col reg.VecVirtual) {
	for i, acc := range f.acc {
		x := at(f.a, 4*(k*f.m+i))
		if f.lanes == 16 {
			f.VFMADD231PS_BCST(x, col, acc)
			continue
		}
		v := f.vec(f.Context)
		f.VBROADCASTSS(x, v)
		f.VFMADD231PS(v, col, acc)
	}
}

// wholeLine takes the chains on by a line that is read at once: rows that lie a
// multiple of 4 KiB apart, as those of most models do, share one set of the
// first-level cache, which does not hold sixteen lines until the next quarter.
func (f *few) wholeLine() {
	v := func() reg.VecVirtual { return f.vec(f.Context) }
	// quads[j][g] holds, in its quarter q, column 4q+j of rows 4g to 4g+3.
	var quads [4][4]reg.VecVirtual
	for g := range 4 {
		f.fetch(g)
		var r [4]reg.VecVirtual
		for i := range r {
			r[i] = v()
			f.VMOVUPS(f.row(4*g+i, 0), r[i])
		}
		for j, col := range f.unpack(r) {
			quads[j][g] = col
		}
	}
	// Columns come out of place by quarters: all are needed before the first step.
	var cols [16]reg.VecVirtual
	for j, c := range quads {
		even01, odd01, even23, odd23 := v(), v(), v(), v()
		const even, odd = 0x88, 0xdd // quarters 0 and 2, 1 and 3 of both
		f.VSHUFF32X4(operand.U8(even), c[1], c[0], even01)
		f.VSHUFF32X4(operand.U8(odd), c[1], c[0], odd01)
		f.VSHUFF32X4(operand.U8(even), c[3], c[2], even23)
		f.VSHUFF32X4(operand.U8(odd), c[3], c[2], odd23)
		for q := range 4 {
			cols[4*q+j] = v()
		}
		f.VSHUFF32X4(operand.U8(even), even23, even01, cols[j])
		f.VSHUFF32X4(operand.U8(even), odd23, odd01, cols[4+j])
		f.VSHUFF32X4(operand.U8(odd), even23, even01, cols[8+j])
		f.VSHUFF32X4(operand.U8(odd), odd23, odd01, cols[12+j])
	}
	for k, col := range cols {
		f.multiply(k, col)
	}
}

// wholeRows is for how many rows of A there are registers enough to hold a line of
// sixteen rows of B.
const wholeRows = 8

// blockSize returns how many registers are put together from parts of rows.
func (f *few) blockSize() int {
	switch {
	case f.lanes == 8:
		return 4
	case f.m > wholeRows:
		return 8
	}
	return 0
}

// halfLine takes the chains on by half a line, for so many rows of A that a whole one
// does not fit beside them.
func (f *few) halfLine(half int) {
	f.fetch(2 * half)
	f.fetch(2*half + 1)
	// Register i has the halves of rows i and 4+i, register 4+i those of 8+i and 12+i;
	// then, in its quarters, columns j and 4+j of rows 0 to 3 and 4 to 7, or of the rest.
	for g := range 2 {
		r := f.block[4*g : 4*g+4]
		for i := range r {
			f.VMOVUPS(f.row(8*g+i, 32*half), r[i].AsY())
			f.VINSERTF64X4(operand.U8(1), f.row(8*g+4+i, 32*half), r[i], r[i])
		}
		f.unpackTo([4]reg.VecVirtual(r), [4]reg.VecVirtual(r))
	}
	for quarter, places := range []operand.U8{0x88, 0xdd} {
		for j := range 4 {
			col := f.vec(f.Context)
			f.VSHUFF32X4(places, f.block[4+j], f.block[j], col)
			f.multiply(8*half+4*quarter+j, col)
		}
	}
}

// columns returns columns 4q to 4q+3 of the line of eight rows: register i first
// holds 4 columns of rows i and 4+i in its halves.
func (f *few) columns(q int) [4]reg.VecVirtual {
	r := [4]reg.VecVirtual(f.block)
	for i := range r {
		f.VMOVUPS(f.row(i, 16*q), r[i].AsX())
		f.VINSERTF128(operand.U8(1), f.row(4+i, 16*q), r[i], r[i])
	}
	return f.unpack(r)
}

// unpack transposes the quarters, or halves, of four registers.
func (f *few) unpack(r [4]reg.VecVirtual) (out [4]reg.VecVirtual) {
	for i := range out {
		out[i] = f.vec(f.Context)
	}
	f.unpackTo(out, r)
	return out
}

// unpackTo is unpack into registers that may be those of r.
func (f *few) unpackTo(out, r [4]reg.VecVirtual) {
	v := func() reg.VecVirtual { return f.vec(f.Context) }
	lo01, hi01, lo23, hi23 := v(), v(), v(), v()
	f.VUNPCKLPS(r[1], r[0], lo01)
	f.VUNPCKHPS(r[1], r[0], hi01)
	f.VUNPCKLPS(r[3], r[2], lo23)
	f.VUNPCKHPS(r[3], r[2], hi23)
	f.VUNPCKLPD(lo23, lo01, out[0])
	f.VUNPCKHPD(lo23, lo01, out[1])
	f.VUNPCKLPD(hi23, hi01, out[2])
	f.VUNPCKHPD(hi23, hi01, out[3])
}

// row is the address disp bytes into what is left of row i of B.
func (f *few) row(i, disp int) operand.Mem { return step(f.b[i/3], f.ld, i%3, disp) }
