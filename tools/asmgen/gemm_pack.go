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
	copyRows(c)
}

// rowsAhead is how many rows ahead of the one it copies packPanels fetches:
// enough to cover the latency of memory.
const rowsAhead = 8

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
	ahead := c.GP64()
	c.IMUL3Q(operand.U8(rowsAhead), ld, ahead)
	c.Label("row")
	c.MOVQ(dst, d)
	c.MOVQ(src, s)
	c.MOVQ(panels, p)
	c.Label("panel")
	for off := 0; off < 4*width; off += 64 {
		c.PREFETCHT0(step(s, ahead, 1, off))
	}
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
// columns of a panel whose rows are dstStep bytes apart. It fetches what lies
// ahead bytes further into the second-level cache.
func packTransposed(c *build.Context) {
	c.Function("packTransposed")
	c.Attributes(attr.NOSPLIT)
	c.Pragma("noescape")
	c.SignatureExpr("func(dst, src *float32, dstStep, ld, k, ahead int)")
	t := transposer{Context: c}
	t.dst, t.src[0] = param(c, "dst"), param(c, "src")
	t.dstStep, t.ld = param(c, "dstStep"), param(c, "ld")
	k := param(c, "k")
	t.later[0] = param(c, "ahead")
	c.ADDQ(t.src[0], t.later[0])
	for _, s := range []*[3]reg.GPVirtual{&t.src, &t.later} {
		for i := 1; i < len(s); i++ {
			s[i] = c.GP64()
			c.LEAQ(step(s[i-1], t.ld, 2, 0), s[i])
			c.ADDQ(t.ld, s[i])
		}
	}
	for i := range t.block {
		t.block[i] = c.YMM()
	}

	c.SUBQ(operand.U8(16), k)
	c.JL(operand.LabelRef("rest"))
	c.Label("line")
	for i := range 8 {
		c.PREFETCHT1(step(t.later[i/3], t.ld, i%3, 0))
	}
	t.columns8(0)
	t.columns8(32)
	t.advance(64)
	c.SUBQ(operand.U8(16), k)
	c.JGE(operand.LabelRef("line"))
	c.Label("rest")
	c.ADDQ(operand.U8(8), k)
	c.JL(operand.LabelRef("few"))
	t.columns8(0)
	t.advance(32)
	c.SUBQ(operand.U8(8), k)
	c.Label("few")
	c.ADDQ(operand.U8(8), k)
	c.JZ(operand.LabelRef("done"))
	c.Label("single")
	for i := range 8 {
		v := c.XMM()
		c.VMOVSS(t.row(i, 0), v)
		c.VMOVSS(v, at(t.dst, 4*i))
	}
	c.ADDQ(t.dstStep, t.dst)
	t.advance(4)
	c.DECQ(k)
	c.JNZ(operand.LabelRef("single"))
	c.Label("done")
	c.VZEROUPPER()
	c.RET()
}

// transposer holds the registers of packTransposed.
type transposer struct {
	*build.Context
	dst, dstStep, ld reg.GPVirtual
	src, later       [3]reg.GPVirtual // rows 0, 3 and 6
	block            [8]reg.VecVirtual
}

// row is the address disp bytes into what is left of row i.
func (t *transposer) row(i, disp int) operand.Mem { return step(t.src[i/3], t.ld, i%3, disp) }

// advance moves the rows on by the given bytes.
func (t *transposer) advance(bytes int) {
	for i := range t.src {
		t.ADDQ(operand.U8(bytes), t.src[i])
		t.ADDQ(operand.U8(bytes), t.later[i])
	}
}

// columns8 writes 8 columns of the rows, which begin at disp, to the panel.
func (t *transposer) columns8(disp int) {
	for _, v := range t.transpose(disp) {
		t.VMOVUPS(v, at(t.dst, 0))
		t.ADDQ(t.dstStep, t.dst)
	}
}

// copyRows makes the loop that copies rows of k elements. It fetches what lies
// ahead bytes further into the second-level cache.
func copyRows(c *build.Context) {
	c.Function("copyRows")
	c.Attributes(attr.NOSPLIT)
	c.Pragma("noescape")
	c.SignatureExpr("func(dst, src *float32, dstStep, ld, k, rows, ahead int)")
	dst, src := param(c, "dst"), param(c, "src")
	dstStep, ld, k := param(c, "dstStep"), param(c, "ld"), param(c, "k")
	rows, ahead := param(c, "rows"), param(c, "ahead")
	s, d, n := c.GP64(), c.GP64(), c.GP64()
	c.Label("row")
	c.MOVQ(src, s)
	c.MOVQ(dst, d)
	c.MOVQ(k, n)
	c.SUBQ(operand.U8(16), n)
	c.JL(operand.LabelRef("rest"))
	c.Label("line")
	lo, hi := c.YMM(), c.YMM()
	c.PREFETCHT1(step(s, ahead, 1, 0))
	c.VMOVUPS(at(s, 0), lo)
	c.VMOVUPS(at(s, 32), hi)
	c.VMOVUPS(lo, at(d, 0))
	c.VMOVUPS(hi, at(d, 32))
	c.ADDQ(operand.U8(64), s)
	c.ADDQ(operand.U8(64), d)
	c.SUBQ(operand.U8(16), n)
	c.JGE(operand.LabelRef("line"))
	c.Label("rest")
	c.ADDQ(operand.U8(16), n)
	c.JZ(operand.LabelRef("next"))
	c.Label("single")
	x := c.XMM()
	c.VMOVSS(at(s, 0), x)
	c.VMOVSS(x, at(d, 0))
	c.ADDQ(operand.U8(4), s)
	c.ADDQ(operand.U8(4), d)
	c.DECQ(n)
	c.JNZ(operand.LabelRef("single"))
	c.Label("next")
	c.ADDQ(ld, src)
	c.ADDQ(dstStep, dst)
	c.DECQ(rows)
	c.JNZ(operand.LabelRef("row"))
	c.VZEROUPPER()
	c.RET()
}

// transpose loads the 8x8 block at disp and returns its columns.
func (t *transposer) transpose(disp int) []reg.VecVirtual {
	c := t.Context
	// Register half*4+i holds columns 4*half to 4*half+3 of rows i and i+4.
	for half := range 2 {
		for i := range 4 {
			v := t.block[4*half+i]
			c.VMOVUPS(t.row(i, disp+16*half), v.AsX())
			c.VINSERTF128(operand.U8(1), t.row(i+4, disp+16*half), v, v)
		}
	}
	out := make([]reg.VecVirtual, 8)
	for half := range 2 {
		r := t.block[4*half:]
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
