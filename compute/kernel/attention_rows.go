package kernel

// softmax turns a row of scores into probabilities, zero where the query does
// not look, and returns the row's log-sum-exp. The sum's lanes go by position
// in the list of keys, so the list is made contiguous first, in list.
func (b *attentionBlock) softmax(row, list []float32, k keySet, sink, scale float32) float32 {
	nw := b.t1 - b.w0
	if k.hi == nw && k.index == nil {
		clear(row[:k.lo])
		clear(row[nw+k.n:])
		return SoftmaxSink(row[k.lo:], nw+k.n-k.lo, sink, scale)
	}
	n := copy(list, row[k.lo:k.hi])
	comp := row[nw:]
	if k.index == nil {
		n += copy(list[n:], comp[:k.n])
	} else {
		n += gatherFloats(list[n:], comp, k.index)
	}
	lse := SoftmaxSink(list, n, sink, scale)
	copy(row[k.lo:k.hi], list)
	spread(row, list[k.hi-k.lo:n], nw, k)
	return lse
}

// probabilities turns a row of scores into exp(score*scale - lse), zero where
// the query does not look.
func (b *attentionBlock) probabilities(row, list []float32, k keySet, scale, lse float32) {
	nw := b.t1 - b.w0
	o := ops()
	expRow(o, row[k.lo:k.hi], scale, lse)
	comp := row[nw:]
	if k.index == nil {
		list = comp[:k.n]
	} else {
		list = list[:gatherFloats(list, comp, k.index)]
	}
	expRow(o, list, scale, lse)
	spread(row, list, nw, k)
}

// spread writes the compressed part of a list to its columns of row and zeros
// to all columns that the query does not see.
func spread(row, list []float32, nw int, k keySet) {
	clear(row[:k.lo])
	clear(row[k.hi:nw])
	if k.index == nil {
		copy(row[nw:], list)
		clear(row[nw+k.n:])
		return
	}
	comp := row[nw:]
	clear(comp)
	for i, e := range k.index {
		comp[e] = list[i]
	}
}

func gatherFloats(dst, src []float32, index []int32) int {
	for i, e := range index {
		dst[i] = src[e]
	}
	return len(index)
}

// expRow computes x[i] = exp(x[i]*scale - lse).
func expRow(o *rowOps, x []float32, scale, lse float32) {
	o.expScaled(x, scale, lse)
}

// scoreGradient turns the gradients of probabilities, in ds, into those of
// the scores before scaling: ds[i] = fma(-delta, p[i], p[i]*ds[i]) * scale.
func scoreGradient(ds, p []float32, delta, scale float32) {
	ops().scoreDX(ds, p, delta, scale)
}

var zeros [256]float32

// plusZero adds +0 to every element: -0 becomes +0, so that zeros do not tell
// how many masked products were added.
func plusZero(m Mat) {
	o := ops()
	for i := range m.Rows {
		for row := m.Row(i); len(row) > 0; {
			n := min(len(row), len(zeros))
			o.add(row[:n], row[:n], zeros[:n])
			row = row[n:]
		}
	}
}
