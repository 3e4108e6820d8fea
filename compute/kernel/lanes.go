package kernel

import (
	"sync"

	"github.com/temper-ml/temper/compute/internal/plain"
)

// Lanes is the number of floats that a row reduction under way holds: one chain
// for each lane. A row may be reduced piece by piece, in order; every piece but
// the last must be a multiple of Lanes long, and the first finds zeros. The
// result is that of the whole row at once.
const Lanes = plain.Lanes

// Softmax holds, for each of some rows of logits, what its softmax needs of the
// whole row: p = exp(x - Max) * Inverse, log p = x - LSE.
type Softmax struct {
	Max, Inverse, LSE []float32
}

// MaxRows sets m[r] to the larger of m[r] and the maximum of row r of x
// [rows, dim]. NaNs are passed over.
func MaxRows(m, x []float32, rows, dim int) {
	wantLen("MaxRows", "m", len(m), rows)
	wantLen("MaxRows", "x", len(x), rows*dim)
	o := ops()
	eachRow(rows, dim, func(r, at, to int) {
		if v := o.max(x[at:to]); v > m[r] {
			m[r] = v
		}
	})
}

// ExpSumRows continues, for each row of x [rows, dim], the row reduction
// Sum(exp(x - m[r])) in the row's Lanes of lanes.
func ExpSumRows(lanes, x, m []float32, rows, dim int) {
	wantLen("ExpSumRows", "lanes", len(lanes), rows*Lanes)
	wantLen("ExpSumRows", "x", len(x), rows*dim)
	wantLen("ExpSumRows", "m", len(m), rows)
	o := ops()
	eachStrip(rows, dim, func(s *strips, r, at, to int) {
		e := s.a[:to-at]
		copy(e, x[at:to])
		o.expSum(e, m[r])
		laneSum(lanes[r*Lanes:r*Lanes+Lanes], e)
	})
}

// Finish sets Inverse and LSE from Max and the lanes that ExpSumRows left.
func (s *Softmax) Finish(lanes []float32, rows int) {
	wantLen("Softmax.Finish", "lanes", len(lanes), rows*Lanes)
	for r := range rows {
		z := laneTree(lanes[r*Lanes : r*Lanes+Lanes])
		s.Inverse[r] = 1 / z
		s.LSE[r] = s.Max[r] + plain.LogF(z)
	}
}

// laneSum continues a sum over x.
func laneSum(lanes, x []float32) {
	l := (*[Lanes]float32)(lanes)
	for ; len(x) >= Lanes; x = x[Lanes:] {
		for i, v := range (*[Lanes]float32)(x) {
			l[i] += v
		}
	}
	if len(x) == 0 {
		return
	}
	for i := range l {
		v := float32(0)
		if i < len(x) {
			v = x[i]
		}
		l[i] += v
	}
}

// laneDot continues an inner product of a and b.
func laneDot(o *rowOps, lanes, a, b []float32) {
	at := 0
	for ; at+Lanes <= len(a); at += Lanes {
		o.mulAdd(lanes, a[at:at+Lanes], b[at:at+Lanes])
	}
	if n := len(a) - at; n > 0 {
		o.mulAdd(lanes[:n], a[at:], b[at:])
		for i := n; i < Lanes; i++ {
			lanes[i] += 0
		}
	}
}

// laneTree ends a reduction.
func laneTree(lanes []float32) float32 {
	l := *(*[Lanes]float32)(lanes)
	for h := Lanes / 2; h > 0; h /= 2 {
		for i := range h {
			l[i] += l[i+h]
		}
	}
	return l[0]
}

// strip is how many elements of a row are worked on at a time where intermediate
// values are kept; a multiple of Lanes.
const strip = 512

// strips is memory for intermediate values.
type strips struct{ a, b, c, d [strip]float32 }

var stripPool = sync.Pool{New: func() any { return new(strips) }}

// eachStrip runs f for strips of each of rows rows, a row's in order by one thread.
func eachStrip(rows, dim int, f func(s *strips, r, at, to int)) {
	Parallel(rows, max(1, flatGrain/max(8*dim, 1)), func(lo, hi int) {
		s := stripPool.Get().(*strips)
		defer stripPool.Put(s)
		for r := lo; r < hi; r++ {
			for at := r * dim; at < (r+1)*dim; at += strip {
				f(s, r, at, min(at+strip, (r+1)*dim))
			}
		}
	})
}
