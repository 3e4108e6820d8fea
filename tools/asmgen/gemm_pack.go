package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// packs makes the loops that bring operands into the layouts that the
// microkernels read. They use AVX registers of 256 bits, which are no slower
// here than 512.
func packs(c *build.Context) {
	for _, width := range []int{32, 16, 12, 6} {
		packPanels(c, width)
	}
	packTransposed(c)
}

// packPanels makes packPanels<width>: rows of panels*width elements become
// panels of rows of width elements.
func packPanels(c *build.Context, width int) {
	c.Function(fmt.Sprintf("packPanels%d", width))
	c.Attributes(attr.NOSPLIT)
	c.Pragma("noescape")
	c.SignatureExpr("func(dst, src *float32, panelStep, ld, k, panels int)")
	dst, src := param(c, "dst"), param(c, "src")
	panelStep, ld := param(c, "panelStep"), param(c, "ld")
	k, panels := param(c, "k"), param(c, "panels")
	d, s, p := c.GP64(), c.GP64(), c.GP64()
	c.Label("row")
	c.MOVQ(dst, d)
	c.MOVQ(src, s)
	c.MOVQ(panels, p)
	c.Label("panel")
	copyRow(c, s, d, width)
	c.ADDQ(operand.U32(4*width), s)
	c.ADDQ(panelStep, d)
	c.DECQ(p)
	c.JNZ(operand.LabelRef("panel"))
	c.ADDQ(operand.U32(4*width), dst)
	c.ADDQ(ld, src)
	c.DECQ(k)
	c.JNZ(operand.LabelRef("row"))
	c.VZEROUPPER()
	c.RET()
}

// copyRow copies width elements, neither reading nor writing others.
func copyRow(c *build.Context, s, d reg.Register, width int) {
	type piece struct {
		off int
		v   reg.VecVirtual
		mov func(ops ...operand.Op)
	}
	movsd := func(ops ...operand.Op) { c.VMOVSD(ops...) }
	movups := func(ops ...operand.Op) { c.VMOVUPS(ops...) }
	var pieces []piece
	for off := 0; off < width; {
		switch left := width - off; {
		case left >= 8:
			pieces = append(pieces, piece{off, c.YMM(), movups})
			off += 8
		case left >= 4:
			pieces = append(pieces, piece{off, c.XMM(), movups})
			off += 4
		default:
			pieces = append(pieces, piece{off, c.XMM(), movsd})
			off += 2
		}
	}
	for _, p := range pieces {
		p.mov(at(s, 4*p.off), p.v)
	}
	for _, p := range pieces {
		p.mov(p.v, at(d, 4*p.off))
	}
}

// packTransposed makes the loop that turns 8 rows of k elements into 8
// columns of a panel whose rows are dstStep bytes apart.
func packTransposed(c *build.Context) {
	c.Function("packTransposed8")
	c.Attributes(attr.NOSPLIT)
	c.Pragma("noescape")
	c.SignatureExpr("func(dst, src *float32, dstStep, ld, k int)")
	dst, src0 := param(c, "dst"), param(c, "src")
	dstStep, ld, k := param(c, "dstStep"), param(c, "ld"), param(c, "k")
	src3, src6 := c.GP64(), c.GP64()
	c.LEAQ(step(src0, ld, 2, 0), src3)
	c.ADDQ(ld, src3)
	c.LEAQ(step(src3, ld, 2, 0), src6)
	c.ADDQ(ld, src6)
	src := []reg.GPVirtual{src0, src3, src6}
	row := func(i, disp int) operand.Mem { return step(src[i/3], ld, i%3, disp) }

	c.SUBQ(operand.U8(8), k)
	c.JL(operand.LabelRef("rest"))
	c.Label("block")
	for i, v := range transpose8(c, row) {
		c.VMOVUPS(v, step(dst, dstStep, 0, 0))
		_ = i
		c.ADDQ(dstStep, dst)
	}
	for _, s := range src {
		c.ADDQ(operand.U8(32), s)
	}
	c.SUBQ(operand.U8(8), k)
	c.JGE(operand.LabelRef("block"))
	c.Label("rest")
	c.ADDQ(operand.U8(8), k)
	c.JZ(operand.LabelRef("done"))
	c.Label("single")
	for i := range 8 {
		v := c.XMM()
		c.VMOVSS(row(i, 0), v)
		c.VMOVSS(v, at(dst, 4*i))
	}
	for _, s := range src {
		c.ADDQ(operand.U8(4), s)
	}
	c.ADDQ(dstStep, dst)
	c.DECQ(k)
	c.JNZ(operand.LabelRef("single"))
	c.Label("done")
	c.VZEROUPPER()
	c.RET()
}

// transpose8 loads an 8x8 block and returns its columns.
func transpose8(c *build.Context, row func(i, disp int) operand.Mem) []reg.VecVirtual {
	// Register half*4+i holds columns 4*half to 4*half+3 of rows i and i+4.
	load := make([]reg.VecVirtual, 8)
	for half := range 2 {
		for i := range 4 {
			v := c.YMM()
			c.VMOVUPS(row(i, 16*half), v.AsX())
			c.VINSERTF128(operand.U8(1), row(i+4, 16*half), v, v)
			load[4*half+i] = v
		}
	}
	out := make([]reg.VecVirtual, 8)
	for half := range 2 {
		r := load[4*half:]
		lo01, hi01, lo23, hi23 := c.YMM(), c.YMM(), c.YMM(), c.YMM()
		c.VUNPCKLPS(r[1], r[0], lo01)
		c.VUNPCKHPS(r[1], r[0], hi01)
		c.VUNPCKLPS(r[3], r[2], lo23)
		c.VUNPCKHPS(r[3], r[2], hi23)
		for i, pair := range [][2]reg.VecVirtual{{lo01, lo23}, {hi01, hi23}} {
			even, odd := c.YMM(), c.YMM()
			c.VUNPCKLPD(pair[1], pair[0], even)
			c.VUNPCKHPD(pair[1], pair[0], odd)
			out[4*half+2*i], out[4*half+2*i+1] = even, odd
		}
	}
	return out
}

// param loads the named argument into a fresh register.
func param(c *build.Context, name string) reg.GPVirtual {
	r := c.GP64()
	c.Load(c.Param(name), r)
	return r
}
