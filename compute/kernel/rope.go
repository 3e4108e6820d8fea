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
	o := ops()
	eachRow(rows, heads*dim, func(r, at, to int) {
		for h := at + dim; h <= to; h += dim {
			o.rope(x[h-2*nf:h], cos[r*nf:r*nf+nf], sin[r*nf:r*nf+nf], sign)
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
	scale := float32(1 / math.Sqrt(float64(dim)))
	o := ops()
	eachRow(rows, dim, func(_, at, to int) { o.hadamard(x[at:to], scale) })
}
