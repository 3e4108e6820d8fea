package gemm

import (
	"sync"
	"unsafe"

	"github.com/temper-ml/temper/compute/internal/asm"
)

const (
	// blockK is the most steps of k in one block: the rows of A that a
	// microkernel holds, blockK long, fill part of the first-level cache.
	blockK = 256
	// rowPad separates packed rows of A, so that their elements of equal k
	// fall into different sets of the cache.
	rowPad = 16
	// maxRows and maxPanel bound Rows and Cols of all microkernels.
	maxRows  = 12
	maxPanel = 32
	// groupRows is how many rows of a transposed A are packed together: whole
	// cache lines, and a multiple of Rows of all microkernels.
	groupRows = 48
)

// scratch is what one thread needs to compute a task.
type scratch struct {
	tile asm.Tile
	edge [maxRows * maxPanel]float32 // a tile of the output that is not a whole one
	a    [groupRows * (blockK + rowPad)]float32
	b    [maxCols * blockK]float32
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// block is the part of a task within one block of k.
type block struct {
	*scratch
	*asm.Microkernels
	p      *Product
	t      *task
	k0, k  int // first step, number of steps
	panels int // full panels of B
	rest   int // columns after these
}

// compute computes a task of a product with K > 0.
func (s *scratch) compute(u *asm.Microkernels, p *Product, t *task) {
	cols := t.n1 - t.n0
	b := block{scratch: s, Microkernels: u, p: p, t: t, panels: cols / u.Cols, rest: cols % u.Cols}
	blocks := ceil(p.K, blockK)
	step := ceil(ceil(p.K, blocks), 8) * 8
	for b.k0 = 0; b.k0 < p.K; b.k0 += step {
		b.k = min(step, p.K-b.k0)
		s.tile.K = b.k
		s.tile.Load = 0
		if p.Accumulate || b.k0 > 0 {
			s.tile.Load = 1
		}
		b.packB()
		if p.TransA {
			b.byColumn()
		} else {
			b.byRow()
		}
	}
	s.tile = asm.Tile{} // hold on to no operand
}

// byRow computes the block for an A that lies by rows.
func (b *block) byRow() {
	rowStep := b.k + rowPad
	b.tile.RowStep = 4 * rowStep
	for m := b.t.m0; m < b.t.m1; m += b.Rows {
		rows := min(b.Rows, b.t.m1-m)
		b.CopyRows(&b.a[0], &b.p.A[m*b.p.LdA+b.k0], 4*rowStep, 4*b.p.LdA, b.k, rows, 4*b.Rows*b.p.LdA)
		b.tile.A = &b.a[0]
		b.along(asm.ByRow, m, rows)
	}
}

// byColumn computes the block for an A that lies by columns.
func (b *block) byColumn() {
	p := b.p
	for m := b.t.m0; m < b.t.m1; {
		panels := min(groupRows, b.t.m1-m) / b.Rows
		if panels == 0 {
			rows := b.t.m1 - m
			for k := range b.k {
				copy(b.a[k*rows:][:rows], p.A[(b.k0+k)*p.LdA+m:])
			}
			b.tile.A = &b.a[0]
			b.along(asm.ByColumn, m, rows)
			return
		}
		size := b.Rows * b.k
		b.PackRows(&b.a[0], &p.A[b.k0*p.LdA+m], 4*size, 4*p.LdA, b.k, panels)
		for i := range panels {
			b.tile.A = &b.a[i*size]
			b.along(asm.ByColumn, m, b.Rows)
			m += b.Rows
		}
	}
}

// along runs the microkernels for the rows at m, which tile.A holds, along
// all panels.
func (b *block) along(layout, m, rows int) {
	t := &b.tile
	at := m*b.p.LdOut + b.t.n0
	size := b.Cols * b.k
	if b.panels > 0 {
		t.B, t.PanelStep, t.Panels = &b.b[0], 4*size, b.panels
		t.C, t.LdC = &b.p.Out[at], 4*b.p.LdOut
		b.Tile[layout][0][rows](arg(t))
	}
	if b.rest == 0 {
		return
	}
	at += b.panels * b.Cols
	half := 0
	if b.rest <= b.Cols/2 {
		half = 1
	}
	t.B, t.Panels = &b.b[b.panels*size], 1
	t.C, t.LdC = &b.edge[0], 4*maxPanel
	if t.Load != 0 {
		for i := range rows {
			copy(b.edge[i*maxPanel:], b.p.Out[at+i*b.p.LdOut:][:b.rest])
		}
	}
	b.Tile[layout][half][rows](arg(t))
	for i := range rows {
		copy(b.p.Out[at+i*b.p.LdOut:][:b.rest], b.edge[i*maxPanel:])
	}
}

// arg returns t as the microkernels take it.
func arg(t *asm.Tile) *byte { return (*byte)(unsafe.Pointer(t)) }
