package kernel

// checkIndex panics unless each index is below n rows.
func checkIndex(op string, idx []int32, n int) {
	for i, v := range idx {
		if int(v) >= n {
			panicf("kernel: %s: index %d at %d must be below %d rows", op, v, i, n)
		}
	}
}

// checkRows panics unless the two matrices have rows of dim elements and the
// first has n rows.
func checkRows(op string, a, b []float32, n, dim int) {
	wantLen(op, "first matrix", len(a), n*dim)
	if dim > 0 && len(b)%dim != 0 {
		panicf("kernel: %s: second matrix holds %d elements, want rows of %d", op, len(b), dim)
	}
}

// GatherRows sets row i of dst to row idx[i] of src, or to zeros where idx[i]
// is negative.
func GatherRows(dst, src []float32, idx []int32, dim int) {
	checkRows("GatherRows", dst, src, len(idx), dim)
	checkIndex("GatherRows", idx, len(src)/max(dim, 1))
	l := newLoop(nil)
	l.out, l.a, l.index = dst, src, idx
	l.rows(len(idx), dim, func(l *loop, r, at, to int) {
		if i := int(l.index[r]); i >= 0 {
			copy(l.out[at:to], l.a[i*l.dim:(i+1)*l.dim])
		} else {
			clear(l.out[at:to])
		}
	})
}

// ScatterRows sets row idx[i] of dst to row i of src, skipping negative
// indices. The indices must be distinct.
func ScatterRows(dst, src []float32, idx []int32, dim int) {
	checkRows("ScatterRows", src, dst, len(idx), dim)
	checkIndex("ScatterRows", idx, len(dst)/max(dim, 1))
	eachRow(len(idx), dim, func(r, at, to int) {
		if i := int(idx[r]); i >= 0 {
			copy(dst[i*dim:i*dim+dim], src[at:to])
		}
	})
}

// ScatterAddRows adds row i of src to row idx[i] of dst, i ascending, skipping
// negative indices: one chain for each element of dst.
func ScatterAddRows(dst, src []float32, idx []int32, dim int) {
	checkRows("ScatterAddRows", src, dst, len(idx), dim)
	checkIndex("ScatterAddRows", idx, len(dst)/max(dim, 1))
	o := ops()
	const buckets = 16 // threads share out the rows of dst by index mod 16
	grain := buckets
	if len(src) >= 2*flatGrain {
		grain = 1
	}
	Parallel(buckets, grain, func(lo, hi int) {
		for r, v := range idx {
			if b := int(v) % buckets; v >= 0 && lo <= b && b < hi {
				d := dst[int(v)*dim:][:dim]
				o.add(d, d, src[r*dim:r*dim+dim])
			}
		}
	})
}

// CombineRows adds to row r of dst the rows idx[r*k], ..., idx[r*k+k-1] of
// src, in that order, skipping negative indices: how the outputs of a token's
// k experts meet. Its gradient with respect to src is GatherRows of the
// gradient of dst; and it is the gradient of gathering each row k times.
func CombineRows(dst, src []float32, idx []int32, k, dim int) {
	if k < 1 || len(idx)%k != 0 {
		panicf("kernel: CombineRows: idx must hold k indices a row, got %d for k = %d", len(idx), k)
	}
	checkRows("CombineRows", dst, src, len(idx)/k, dim)
	checkIndex("CombineRows", idx, len(src)/max(dim, 1))
	l := newLoop(ops())
	l.out, l.a, l.index, l.n, l.k = dst, src, idx, dim, k
	l.rows(len(idx)/k, dim*k, func(l *loop, r, _, _ int) {
		dim, d := l.n, l.out[r*l.n:(r+1)*l.n]
		for _, i := range l.index[r*l.k : (r+1)*l.k] {
			if i >= 0 {
				l.ops.add(d, d, l.a[int(i)*dim:int(i)*dim+dim])
			}
		}
	})
}

// Embedding sets row i of out to row ids[i] of table [V, dim].
func Embedding(out, table []float32, ids []int32, dim int) { GatherRows(out, table, ids, dim) }

// EmbeddingBackward adds row i of dout to row ids[i] of dtable, tokens in
// order.
func EmbeddingBackward(dtable, dout []float32, ids []int32, dim int) {
	ScatterAddRows(dtable, dout, ids, dim)
}
