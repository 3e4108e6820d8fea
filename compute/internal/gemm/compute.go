package gemm

import (
	"unsafe"

	"github.com/temper-ml/temper/compute/internal/asm"
	"github.com/temper-ml/temper/compute/internal/workers"
)

const (
	// blockK is the most steps of k in one block: the rows of A that a
	// microkernel holds, blockK long, fill part of the first-level cache.
	blockK = 256
	// maxRows and maxPanel bound Rows and Cols of all microkernels.
	maxRows  = 12
	maxPanel = 32
	// groupRows is how many rows of a transposed A are packed together: whole
	// cache lines, and a multiple of Rows of all microkernels.
	groupRows = 48
	// streamRows is how few rows make streaming worth it. streamA is the most
	// elements of A that it keeps packed, a part of the second-level cache, and
	// streamK the steps of k in its blocks, so that a packed panel of B stays in
	// the first.
	streamRows = 48
	streamA    = 1 << 16
	streamK    = 128
	// narrowPanels is how few panels make packing A a waste.
	narrowPanels = 2
	// fewK divides the steps of the microkernels for few rows.
	fewK = 16
)

// scratch is what one thread needs to compute a task.
type scratch struct {
	tile asm.Tile
	held packing                     // what b holds, if it may be used again
	edge [maxRows * maxPanel]float32 // a tile of the output that is not a whole one
	a    [streamA]float32
	b    [maxCols * blockK]float32
}

var scratches workers.Freelist[scratch]

// packing names a packed part of an operand. Within one run, equal names have
// equal contents: no operand is written to.
type packing struct {
	run            uint64
	operand        uintptr // its address, which keeps nothing alive
	ld             int
	transposed     bool
	n0, n1, k0, k1 int
}

// block is a part of a task: its columns from n0 on, and a block of k.
type block struct {
	*scratch
	*asm.Microkernels
	run    uint64
	p      *Product
	t      *task
	n0     int // first column
	panels int // full panels of B from there
	rest   int // columns after these
	k0, k  int // first step, number of steps
}

// rowStep returns the distance of packed rows of A with n elements each: an
// odd number of cache lines, so that elements of equal k fall into different
// sets of the cache.
func rowStep(n int) int { return (ceil(n, 16) | 1) * 16 }

// compute computes a task of a product with K > 0.
func (s *scratch) compute(run uint64, u *asm.Microkernels, p *Product, t *task) {
	b := block{scratch: s, Microkernels: u, run: run, p: p, t: t}
	rows, cols := t.m1-t.m0, t.n1-t.n0
	switch {
	case p.TransA:
		b.sweep()
	case p.few(u):
		b.few()
	case p.TransB && rows <= streamRows && rows*rowStep(p.K) <= streamA:
		b.stream()
	case cols <= narrowPanels*u.Cols:
		b.narrow()
	default:
		b.sweep()
	}
	s.tile = asm.Tile{} // keeps no operand from being freed
}

// sweep packs all columns of a block of B at a time and takes the rows of A
// past it.
func (b *block) sweep() {
	b.columns(b.t.n0, b.t.n1)
	step := stepK(b.p.K, blockK)
	for k0 := 0; k0 < b.p.K; k0 += step {
		b.steps(k0, min(k0+step, b.p.K))
		b.packB()
		if b.p.TransA {
			b.byColumn()
		} else {
			b.byRow()
		}
	}
}

// stream packs all rows of A and takes B past them, panel by panel: for few
// rows, where packing B is most of the work.
func (b *block) stream() {
	p, t := b.p, b.t
	b.held = packing{}
	rows := t.m1 - t.m0
	ld := rowStep(p.K)
	b.CopyRows(&b.a[0], &p.A[t.m0*p.LdA], 4*ld, 4*p.LdA, p.K, rows, 0)
	b.tile.RowStep = 4 * ld
	step := stepK(p.K, streamK)
	for n := t.n0; n < t.n1; n += b.Cols {
		b.columns(n, min(n+b.Cols, t.n1))
		for k0 := 0; k0 < p.K; k0 += step {
			b.steps(k0, min(k0+step, p.K))
			ahead := b.k
			if k0+step >= p.K {
				ahead = b.Cols*p.LdB - k0
			}
			b.packTransposed(4 * ahead)
			for m := 0; m < rows; m += b.Rows {
				b.tile.A = &b.a[m*ld+k0]
				b.along(asm.ByRow, t.m0+m, min(b.Rows, rows-m))
			}
		}
	}
}

// narrow reads A where it is, for few columns: packing it would cost as much as
// the rest.
func (b *block) narrow() {
	p := b.p
	b.columns(b.t.n0, b.t.n1)
	b.tile.RowStep = 4 * p.LdA
	tall := b.Rows
	if p.LdA%1024 == 0 {
		// Elements of equal k share a set of the first-level cache, which
		// commonly holds eight lines.
		tall = min(tall, 6)
	}
	step := stepK(p.K, len(b.b)/((b.panels+1)*b.Cols))
	for k0 := 0; k0 < p.K; k0 += step {
		b.steps(k0, min(k0+step, p.K))
		b.packB()
		for m := b.t.m0; m < b.t.m1; m += tall {
			b.tile.A = &p.A[m*p.LdA+k0]
			b.along(asm.ByRow, m, min(tall, b.t.m1-m))
		}
	}
}

// stepK returns the length of blocks of k that cover n steps evenly, none
// longer than most, which is at least 8. It is a multiple of 8, as packing
// likes it.
func stepK(n, most int) int {
	most &^= 7
	return ceil(ceil(n, ceil(n, most)), 8) * 8
}

// columns sets the columns of the block.
func (b *block) columns(n0, n1 int) {
	b.n0, b.panels, b.rest = n0, (n1-n0)/b.Cols, (n1-n0)%b.Cols
}

// steps sets the steps of k of the block.
func (b *block) steps(k0, k1 int) {
	b.k0, b.k = k0, k1-k0
	b.tile.K = b.k
	b.tile.Load = 0
	if b.p.Accumulate || k0 > 0 {
		b.tile.Load = 1
	}
}

// byRow computes the block for an A that lies by rows.
func (b *block) byRow() {
	ld := rowStep(b.k)
	b.tile.RowStep = 4 * ld
	for m := b.t.m0; m < b.t.m1; m += b.Rows {
		rows := min(b.Rows, b.t.m1-m)
		b.CopyRows(&b.a[0], &b.p.A[m*b.p.LdA+b.k0], 4*ld, 4*b.p.LdA, b.k, rows, 4*b.Rows*b.p.LdA)
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
// all panels of the block.
func (b *block) along(layout, m, rows int) {
	t := &b.tile
	at := m*b.p.LdOut + b.n0
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
