package gemm

import "unsafe"

// packB packs the block's part of B, unless the task before left it packed:
// products that share B, or tasks of one product, are often neighbours.
func (b *block) packB() {
	p := b.p
	want := packing{
		run: b.run, operand: uintptr(unsafe.Pointer(&p.B[0])), ld: p.LdB, transposed: p.TransB,
		n0: b.n0, n1: b.n0 + b.panels*b.Cols + b.rest, k0: b.k0, k1: b.k0 + b.k,
	}
	if b.held == want {
		return
	}
	b.held = want
	if p.TransB {
		b.packTransposed(4 * 8 * p.LdB)
	} else {
		b.packPlain()
	}
}

// packPlain packs the block's part of a B that lies by rows of n into panels
// of Cols columns with k rows each. What lies beyond the last column in the
// last panel is left as it is: it takes part in chains that nobody reads.
func (b *block) packPlain() {
	p := b.p
	size := b.Cols * b.k
	const together = 4 // panels: few enough streams to write, long enough rows to read
	for i := 0; i < b.panels; i += together {
		from := b.k0*p.LdB + b.n0 + i*b.Cols
		b.PackCols(&b.b[i*size], &p.B[from], 4*size, 4*p.LdB, b.k, min(together, b.panels-i))
	}
	if b.rest > 0 {
		from := b.k0*p.LdB + b.n0 + b.panels*b.Cols
		to := b.b[b.panels*size:][:size]
		for k := range b.k {
			copy(to[k*b.Cols:], p.B[from+k*p.LdB:][:b.rest])
		}
	}
}

// packTransposed packs the block's part of a B that lies by rows of k, as
// packPlain does. It prefetches what lies ahead bytes further.
func (b *block) packTransposed(ahead int) {
	p := b.p
	size := b.Cols * b.k
	cols := b.panels*b.Cols + b.rest
	const eight = 8
	n := 0
	for ; n+eight <= cols; n += eight {
		to := n/b.Cols*size + n%b.Cols
		from := (b.n0+n)*p.LdB + b.k0
		b.PackTransposed(&b.b[to], &p.B[from], 4*b.Cols, 4*p.LdB, b.k, ahead)
	}
	for ; n < cols; n++ {
		to := b.b[n/b.Cols*size+n%b.Cols:]
		for k, x := range p.B[(b.n0+n)*p.LdB+b.k0:][:b.k] {
			to[k*b.Cols] = x
		}
	}
}
