package kernel

import (
	"math"
	"sync/atomic"

	"github.com/temper-ml/temper/compute/internal/plain"
)

// Dot returns the sum of a[i]*b[i] as a row reduction: sixteen lanes, lane l a
// chain of fused multiply-adds over i = l, l+16, ..., then a fixed tree.
func Dot(a, b []float32) float32 {
	wantLen("Dot", "b", len(b), len(a))
	return ops().dot(a, b)
}

// Sum returns the sum of a as a row reduction.
func Sum(a []float32) float32 { return ops().sum(a) }

// SumSquares returns Dot(a, a).
func SumSquares(a []float32) float32 { return ops().dot(a, a) }

// MaxAbs returns the largest magnitude in a: 0 if a is empty, NaN if it holds
// one.
func MaxAbs(a []float32) float32 { return ops().maxAbs(a) }

// normChunk is the length of the pieces that SumSquares64 sums in float32.
const normChunk = 4096

// SumSquares64 returns the sum of squares of a tensor: SumSquares of each run
// of 4096 elements, added in float64 in order. The sum of a whole model's
// gradient is that of its tensors, added in float64 in their order; it does
// not depend on where a tensor is held.
func SumSquares64(a []float32) float64 {
	o := ops()
	parts := make([]float32, (len(a)+normChunk-1)/normChunk)
	Parallel(len(parts), 8, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			c := a[i*normChunk : min(i*normChunk+normChunk, len(a))]
			parts[i] = o.dot(c, c)
		}
	})
	var s float64
	for _, p := range parts {
		s += float64(p)
	}
	return s
}

// FirstNonFinite returns the index of the first infinity or NaN in a, or -1.
func FirstNonFinite(a []float32) int {
	l := newLoop(ops())
	l.a = a
	l.first.Store(int64(len(a)))
	l.run((len(a)+normChunk-1)/normChunk, 8, (*loop).firstNonFinite)
	first := int(l.first.Load())
	l.done()
	if first < len(a) {
		return first
	}
	return -1
}

// firstNonFinite lowers l.first to the first infinity or NaN of some chunks of l.a.
func (l *loop) firstNonFinite(lo, hi int) {
	for i := lo; i < hi; i++ {
		c := l.a[i*normChunk : min(i*normChunk+normChunk, len(l.a))]
		if l.ops.maxAbs(c) <= math.MaxFloat32 {
			continue
		}
		for j, v := range c {
			if v-v != 0 { // Inf-Inf and NaN-NaN are NaN
				lower(&l.first, int64(i*normChunk+j))
				return
			}
		}
	}
}

// lower makes x at most v.
func lower(x *atomic.Int64, v int64) {
	for old := x.Load(); v < old && !x.CompareAndSwap(old, v); old = x.Load() {
	}
}

// DotRows sets out[r] to the Dot of row r of a and of b, rows of dim elements.
func DotRows(out, a, b []float32, rows, dim int) {
	wantLen("DotRows", "out", len(out), rows)
	wantLen("DotRows", "a", len(a), rows*dim)
	wantLen("DotRows", "b", len(b), rows*dim)
	o := ops()
	eachRow(rows, dim, func(r, at, to int) { out[r] = o.dot(a[at:to], b[at:to]) })
}

// ScaleRows multiplies row r of x by s[r].
func ScaleRows(x, s []float32, rows, dim int) {
	wantLen("ScaleRows", "x", len(x), rows*dim)
	wantLen("ScaleRows", "s", len(s), rows)
	l := newLoop(ops())
	l.out, l.a = x, s
	l.rows(rows, dim, func(l *loop, r, at, to int) { l.ops.scale(l.out[at:to], l.a[r]) })
}

// AxpyRows sets row r of dst to fma(s[r], x, dst).
func AxpyRows(dst, s, x []float32, rows, dim int) {
	wantLen("AxpyRows", "dst", len(dst), rows*dim)
	wantLen("AxpyRows", "s", len(s), rows)
	wantLen("AxpyRows", "x", len(x), rows*dim)
	o := ops()
	eachRow(rows, dim, func(r, at, to int) { o.axpy(dst[at:to], s[r], x[at:to]) })
}

// eachRow runs f for each of rows rows over threads; the row's elements are
// [at, to) of a matrix of dim columns.
func eachRow(rows, dim int, f func(r, at, to int)) {
	Parallel(rows, rowGrain(dim), func(lo, hi int) {
		for r := lo; r < hi; r++ {
			f(r, r*dim, r*dim+dim)
		}
	})
}

// rowGrain returns how many rows of dim elements are worth a thread's attention.
func rowGrain(dim int) int { return max(1, flatGrain/max(dim, 1)) }

// RowRMS sets rstd[r] = 1 / sqrt(mean(x²) + eps) of row r of x [rows, dim].
func RowRMS(rstd, x []float32, rows, dim int, eps float32) {
	wantLen("RowRMS", "rstd", len(rstd), rows)
	wantLen("RowRMS", "x", len(x), rows*dim)
	l := newLoop(ops())
	l.out, l.a, l.s = rstd, x, eps
	l.rows(rows, dim, func(l *loop, r, at, to int) { l.out[r] = rowRMS(l.ops, l.a[at:to], l.s) })
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
	l := newLoop(ops())
	l.out, l.a, l.b, l.c, l.s = y, rstd, x, w, eps
	l.rows(rows, dim, func(l *loop, r, at, to int) {
		y, rstd, x := l.out[at:to], l.a, l.b[at:to]
		rstd[r] = rowRMS(l.ops, x, l.s)
		l.ops.scaleTo(y, x, l.c, rstd[r])
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
