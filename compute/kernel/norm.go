package kernel

import "github.com/temper-ml/temper/compute/internal/plain"

// RowRMS sets rstd[r] = 1 / sqrt(mean(x²) + eps) of row r of x [rows, dim].
func RowRMS(rstd, x []float32, rows, dim int, eps float32) {
	wantLen("RowRMS", "rstd", len(rstd), rows)
	wantLen("RowRMS", "x", len(x), rows*dim)
	o := ops()
	eachRow(rows, dim, func(r, at, to int) { rstd[r] = rowRMS(o, x[at:to], eps) })
}

// rowRMS is plain.RowRMS with the given dot.
func rowRMS(o *rowOps, x []float32, eps float32) float32 {
	return plain.InvSqrt(float32(o.dot(x, x)/float32(len(x))) + eps)
}

// RMSNorm sets, for each row of x [rows, dim], rstd = 1/sqrt(mean(x²)+eps) and
// y = (x * rstd) * w. w is nil for a norm without weights. y may be x.
func RMSNorm(y, rstd, x, w []float32, rows, dim int, eps float32) {
	wantLen("RMSNorm", "y", len(y), rows*dim)
	wantLen("RMSNorm", "rstd", len(rstd), rows)
	wantLen("RMSNorm", "x", len(x), rows*dim)
	if w != nil {
		wantLen("RMSNorm", "w", len(w), dim)
	}
	o := ops()
	eachRow(rows, dim, func(r, at, to int) {
		rstd[r] = rowRMS(o, x[at:to], eps)
		o.scaleTo(y[at:to], x[at:to], w, rstd[r])
	})
}

// normBlock is the number of bytes of dy and x that RMSNormBackward works on
// between its two halves, so that the second finds them in the cache.
const normBlock = 1 << 19

// RMSNormBackward adds to dx the gradient of RMSNorm's x and to dw that of its
// weights, given dy and what RMSNorm was given and returned:
//
//	dx += rstd*(w*dy) - x * rstd³/dim * Σ(w*dy*x)
//	dw += Σ over rows, in order, of dy*(x*rstd)
//
// w is nil for a norm without weights, dw nil where its gradient is not
// wanted. dx must not overlap dy.
func RMSNormBackward(dx, dw, dy, x, w, rstd []float32, rows, dim int) {
	wantLen("RMSNormBackward", "dx", len(dx), rows*dim)
	wantLen("RMSNormBackward", "dy", len(dy), rows*dim)
	wantLen("RMSNormBackward", "x", len(x), rows*dim)
	wantLen("RMSNormBackward", "rstd", len(rstd), rows)
	if w != nil {
		wantLen("RMSNormBackward", "w", len(w), dim)
	}
	if dw != nil {
		wantLen("RMSNormBackward", "dw", len(dw), dim)
	}
	o := ops()
	block := rows
	if dw != nil && dim > 0 {
		block = max(16, Threads()*normBlock/(8*dim))
	}
	for b := 0; b < rows; b += block {
		n := min(block, rows-b)
		eachRow(n, dim, func(r, at, to int) {
			at, to = at+b*dim, to+b*dim
			o.rmsNormDX(dx[at:to], dy[at:to], x[at:to], w, rstd[b+r])
		})
		if dw == nil {
			continue
		}
		// One chain over rows for each column: threads share out columns.
		Parallel(dim, max(16, flatGrain/n/16*16), func(lo, hi int) {
			for r := b; r < b+n; r++ {
				o.rmsNormDW(dw[lo:hi], dy[r*dim+lo:r*dim+hi], x[r*dim+lo:r*dim+hi], rstd[r])
			}
		})
	}
}
