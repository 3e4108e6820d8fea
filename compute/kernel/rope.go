package kernel

import "math"

// Rope rotates, in place, the last 2*nf dimensions of each head of
// x [rows, heads, dim] as nf interleaved pairs (2i, 2i+1). cos and sin are
// [rows, nf], already gathered for each row's position. inverse rotates back;
// it is also the gradient of the rotation, and the rotation that of inverse.
func Rope(x []float32, rows, heads, dim int, cos, sin []float32, inverse bool) {
	wantLen("Rope", "x", len(x), rows*heads*dim)
	wantLen("Rope", "sin", len(sin), len(cos))
	if rows == 0 || len(cos) == 0 {
		return
	}
	nf := len(cos) / rows
	if len(cos) != rows*nf || 2*nf > dim {
		panicf("kernel: Rope: cos must be [rows, nf] with 2*nf <= dim, got %d elements for %d rows, dim %d", len(cos), rows, dim)
	}
	sign := float32(1)
	if inverse {
		sign = -1
	}
	l := newLoop(ops())
	l.out, l.a, l.b, l.n, l.k, l.s = x, cos, sin, nf, dim, sign
	l.rows(rows, heads*dim, func(l *loop, r, at, to int) {
		nf, cos, sin := l.n, l.a[r*l.n:(r+1)*l.n], l.b[r*l.n:(r+1)*l.n]
		for h := at + l.k; h <= to; h += l.k {
			l.ops.rope(l.out[h-2*nf:h], cos, sin, l.s)
		}
	})
}

// Hadamard multiplies each row of x [rows, dim], in place, by the Hadamard
// matrix over sqrt(dim). dim is a power of two. The matrix is its own inverse
// and transpose, so it is the gradient too.
func Hadamard(x []float32, rows, dim int) {
	wantLen("Hadamard", "x", len(x), rows*dim)
	if dim < 1 || dim&(dim-1) != 0 {
		panicf("kernel: Hadamard: dim must be a power of two, got %d", dim)
	}
	l := newLoop(ops())
	l.out, l.s = x, float32(1/math.Sqrt(float64(dim)))
	l.rows(rows, dim, func(l *loop, _, at, to int) { l.ops.hadamard(l.out[at:to], l.s) })
}
