package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets of the fields of asm.Tile.
const (
	tileA         = 0
	tileRowStep   = 8
	tileB         = 16
	tilePanelStep = 24
	tileC         = 32
	tileLdC       = 40
	tileK         = 48
	tilePanels    = 56
	tileLoad      = 64
	tileNextB     = 72
	tileNextC     = 80
)

func tilesAVX512(c *build.Context) { tiles(c, avx512, 12) }
func tilesAVX2(c *build.Context)   { tiles(c, avx2, 6) }

// tiles makes the microkernels for 1 to rows rows, for both layouts of A and
// for panels of which both or only the first of the two registers count.
func tiles(c *build.Context, s isa, rows int) {
	for _, byRow := range []bool{true, false} {
		for _, vecs := range []int{2, 1} {
			for m := 1; m <= rows; m++ {
				t := tile{Context: c, isa: s, byRow: byRow, m: m, vecs: vecs}
				t.emit()
			}
		}
	}
}

// tile makes one microkernel: it adds the product of m rows of A and a row of
// B panels to m rows of C, one panel after the other. See asm.Tile.
type tile struct {
	*build.Context
	isa
	byRow bool // A is stored by rows, else by columns of m
	m     int
	vecs  int // registers per row of C

	arg      reg.Register
	a        []reg.GPVirtual // addresses of rows 0, 3, 6, ... of A, or of A alone
	rowStep  reg.GPVirtual
	b, c     reg.GPVirtual
	ldC      reg.GPVirtual
	acc      [][]reg.VecVirtual
	bv       []reg.VecVirtual
	spread   []reg.VecVirtual
	nextTemp int
}

const tileUnroll = 4

// panel is the width in bytes of a row of a B panel: two registers.
func (t *tile) panel() int { return 2 * 4 * t.lanes }

func (t *tile) emit() {
	layout := "Col"
	if t.byRow {
		layout = "Row"
	}
	t.Function(fmt.Sprintf("tile%s%dx%d%s", layout, t.m, t.vecs*t.lanes, t.name))
	t.Attributes(attr.NOSPLIT)
	t.Pragma("noescape")
	t.SignatureExpr("func(t *byte)")
	t.prepare()
	panels := t.GP64()
	t.MOVQ(at(t.arg, tilePanels), panels)
	bPanel := t.GP64()
	t.MOVQ(at(t.arg, tileB), bPanel)

	t.Label("panel")
	t.startA()
	t.MOVQ(bPanel, t.b)
	t.startAcc()
	t.contract()
	t.eachRow(func(i int, c operand.Mem) {
		for j, v := range t.acc[i] {
			t.VMOVUPS(v, c.Offset(j*4*t.lanes))
		}
	})
	t.ADDQ(operand.U32(t.vecs*4*t.lanes), t.c)
	t.ADDQ(at(t.arg, tilePanelStep), bPanel)
	t.DECQ(panels)
	t.JNZ(operand.LabelRef("panel"))
	t.VZEROUPPER()
	t.RET()
}

// prepare names the registers and loads what stays for all panels.
func (t *tile) prepare() {
	t.arg = t.GP64()
	t.Load(t.Param("t"), t.arg)
	t.b, t.c, t.ldC = t.GP64(), t.GP64(), t.GP64()
	t.MOVQ(at(t.arg, tileC), t.c)
	t.MOVQ(at(t.arg, tileLdC), t.ldC)
	t.a = []reg.GPVirtual{t.GP64()}
	if t.byRow {
		for i := 3; i < t.m; i += 3 {
			t.a = append(t.a, t.GP64())
		}
		t.rowStep = t.GP64()
		t.MOVQ(at(t.arg, tileRowStep), t.rowStep)
	}
	for range t.m {
		row := make([]reg.VecVirtual, t.vecs)
		for j := range row {
			row[j] = t.vec(t.Context)
		}
		t.acc = append(t.acc, row)
	}
	for range t.vecs {
		t.bv = append(t.bv, t.vec(t.Context))
	}
	for range 2 {
		t.spread = append(t.spread, t.vec(t.Context))
	}
}

// startA points the registers in t.a at the first element of their rows.
func (t *tile) startA() {
	t.MOVQ(at(t.arg, tileA), t.a[0])
	for i := 1; i < len(t.a); i++ {
		t.LEAQ(step(t.a[i-1], t.rowStep, 2, 0), t.a[i])
		t.ADDQ(t.rowStep, t.a[i])
	}
}

// startAcc sets the accumulators to the tile of C, or to +0.
func (t *tile) startAcc() {
	t.CMPQ(at(t.arg, tileLoad), operand.U8(0))
	t.JNE(operand.LabelRef("load"))
	for _, row := range t.acc {
		for _, v := range row {
			t.zero(t.Context, v)
		}
	}
	t.JMP(operand.LabelRef("started"))
	t.Label("load")
	t.eachRow(func(i int, c operand.Mem) {
		for j, v := range t.acc[i] {
			t.VMOVUPS(c.Offset(j*4*t.lanes), v)
		}
	})
	t.Label("started")
	t.eachRow(func(i int, c operand.Mem) {
		for off := 0; off < t.vecs*4*t.lanes; off += 64 {
			t.PREFETCHT0(c.Offset(t.vecs*4*t.lanes + off))
		}
	})
}

// eachRow calls f with the address of each row of the tile of C.
func (t *tile) eachRow(f func(i int, c operand.Mem)) {
	row := t.c
	for i := range t.m {
		if i > 0 && i%3 == 0 {
			next := t.GP64()
			t.LEAQ(step(row, t.ldC, 2, 0), next)
			t.ADDQ(t.ldC, next)
			row = next
		}
		f(i, step(row, t.ldC, i%3, 0))
	}
}

// contract runs over k.
func (t *tile) contract() {
	k := t.GP64()
	t.MOVQ(at(t.arg, tileK), k)
	t.SUBQ(operand.U8(tileUnroll), k)
	t.JL(operand.LabelRef("rest"))
	t.Label("unrolled")
	t.steps(tileUnroll)
	t.SUBQ(operand.U8(tileUnroll), k)
	t.JGE(operand.LabelRef("unrolled"))
	t.Label("rest")
	t.ADDQ(operand.U8(tileUnroll), k)
	t.JZ(operand.LabelRef("done"))
	t.Label("single")
	t.steps(1)
	t.DECQ(k)
	t.JNZ(operand.LabelRef("single"))
	t.Label("done")
}

// steps does n steps of k and moves the addresses behind them.
func (t *tile) steps(n int) {
	for u := range n {
		for j, v := range t.bv {
			t.VMOVUPS(at(t.b, u*t.panel()+j*4*t.lanes), v)
		}
		for i := range t.m {
			s := t.spread[t.nextTemp%len(t.spread)]
			t.nextTemp++
			t.VBROADCASTSS(t.element(i, u), s)
			for j, v := range t.bv {
				t.VFMADD231PS(v, s, t.acc[i][j])
			}
		}
	}
	advance := 4 * n
	if !t.byRow {
		advance *= t.m
	}
	for _, a := range t.a {
		t.ADDQ(operand.U32(advance), a)
	}
	t.ADDQ(operand.U32(n*t.panel()), t.b)
}

// element is the address of A's element in row i, u steps of k ahead.
func (t *tile) element(i, u int) operand.Mem {
	if t.byRow {
		return step(t.a[i/3], t.rowStep, i%3, 4*u)
	}
	return at(t.a[0], 4*(u*t.m+i))
}
