package kernel

import (
	"math"
	"sync"

	"github.com/temper-ml/temper/compute/internal/plain"
)

// SoftmaxSink replaces p[:n] by softmax weights in place and returns the
// logarithm of their denominator:
//
//	s[i] = p[i]*scale;  m = max(s, sink);  e[i] = exp(s[i]-m)
//	z = Sum(e) + exp(sink-m);  p[i] = e[i] * (1/z);  lse = m + log(z)
//
// The sink takes weight and gives nothing; -Inf means none. Masked entries
// hold -Inf and get 0. With nothing to attend, all weights are 0 and lse is
// -Inf.
func SoftmaxSink(p []float32, n int, sink, scale float32) (lse float32) {
	o := ops()
	p = p[:n]
	m := o.scaleMax(p, scale)
	if sink > m {
		m = sink
	}
	if m == float32(math.Inf(-1)) && o.maxAbs(p) == float32(math.Inf(1)) || n == 0 {
		clear(p)
		return m
	}
	z := o.expSum(p, m) + plain.ExpF(sink-m)
	o.scale(p, 1/z)
	return m + plain.LogF(z)
}

// SoftmaxRows replaces each row of x [rows, dim] by its softmax: SoftmaxSink
// without sink and with scale 1. lse, if not nil, gets each row's logarithm of
// the denominator.
func SoftmaxRows(x, lse []float32, rows, dim int) {
	wantLen("SoftmaxRows", "x", len(x), rows*dim)
	if lse != nil {
		wantLen("SoftmaxRows", "lse", len(lse), rows)
	}
	eachRow(rows, 4*dim, func(r, _, _ int) {
		l := SoftmaxSink(x[r*dim:r*dim+dim], dim, float32(math.Inf(-1)), 1)
		if lse != nil {
			lse[r] = l
		}
	})
}

// SoftmaxRowsBackward sets dx = p * (dy - Dot(dy, p)) for each row, p being
// what SoftmaxRows returned. dx may be dy or p.
func SoftmaxRowsBackward(dx, dy, p []float32, rows, dim int) {
	wantLen("SoftmaxRowsBackward", "dx", len(dx), rows*dim)
	wantLen("SoftmaxRowsBackward", "dy", len(dy), rows*dim)
	wantLen("SoftmaxRowsBackward", "p", len(p), rows*dim)
	o := ops()
	eachRow(rows, dim, func(_, at, to int) { o.softmaxDX(dx[at:to], dy[at:to], p[at:to]) })
}

// CrossEntropy turns logits [rows, vocab] into their gradient and sets each
// row's loss and lse:
//
//	m = max(logits);  e = exp(logits-m);  z = Sum(e);  lse = m + log(z)
//	loss = lse - logits[label]
//	dlogits = e * ((1/z)*coef[row]), at the label (e*(1/z) - 1) * coef[row]
//
// coef nil means 1. A row with a negative label has loss, lse and gradient 0.
func CrossEntropy(loss, lse, logits []float32, labels []int32, coef []float32, rows, vocab int) {
	checkEntropy("CrossEntropy", loss, lse, logits, labels, rows, vocab)
	if coef != nil {
		wantLen("CrossEntropy", "coef", len(coef), rows)
	}
	o := ops()
	eachRow(rows, 4*vocab, func(r, _, _ int) {
		x, label := logits[r*vocab:r*vocab+vocab], labels[r]
		if label < 0 {
			clear(x)
			loss[r], lse[r] = 0, 0
			return
		}
		c := float32(1)
		if coef != nil {
			c = coef[r]
		}
		m, picked := o.max(x), x[label]
		z := o.expSum(x, m)
		lse[r] = m + plain.LogF(z)
		loss[r] = lse[r] - picked
		inv := 1 / z
		at := float32(float32(x[label]*inv)-1) * c
		o.scale(x, inv*c)
		x[label] = at
	})
}

// CrossEntropyForward sets logp[row] = logits[label] - lse and lse as
// CrossEntropy does, leaving the logits as they are: logp is exactly the
// negative of its loss. A row with a negative label has logp and lse 0.
func CrossEntropyForward(logp, lse, logits []float32, labels []int32, rows, vocab int) {
	checkEntropy("CrossEntropyForward", logp, lse, logits, labels, rows, vocab)
	l := newLoop(ops())
	l.out, l.a, l.b, l.index, l.n = logp, lse, logits, labels, vocab
	l.rows(rows, 4*vocab, func(l *loop, r, _, _ int) {
		logp, lse, x, label := l.out, l.a, l.b[r*l.n:(r+1)*l.n], l.index[r]
		if label < 0 {
			logp[r], lse[r] = 0, 0
			return
		}
		m := l.ops.max(x)
		lse[r] = m + plain.LogF(l.ops.sumExp(x, m))
		logp[r] = x[label] - lse[r]
	})
}

// ReverseKL turns logits [rows, vocab] into the gradient of the divergence of
// their softmax p from that of teacher, q, and sets each row's divergence
// KL(p || q) = Σ p*(log p - log q):
//
//	d = logits - teacher;  p = e * (1/z) as in CrossEntropy;  s = Dot(d, p)
//	kl = s + (lse(teacher) - lse(logits))
//	dlogits = (p * (d-s)) * coef[row]
//
// coef nil means 1. A row with coefficient 0 has divergence and gradient 0.
// teacher is overwritten by d. All logits must be finite.
func ReverseKL(kl, logits, teacher, coef []float32, rows, vocab int) {
	wantLen("ReverseKL", "kl", len(kl), rows)
	wantLen("ReverseKL", "logits", len(logits), rows*vocab)
	wantLen("ReverseKL", "teacher", len(teacher), rows*vocab)
	if coef != nil {
		wantLen("ReverseKL", "coef", len(coef), rows)
	}
	o := ops()
	eachRow(rows, 8*vocab, func(r, _, _ int) {
		x, d := logits[r*vocab:r*vocab+vocab], teacher[r*vocab:r*vocab+vocab]
		if coef != nil && coef[r] == 0 {
			clear(x)
			kl[r] = 0
			return
		}
		mt := o.max(d)
		lse := mt + plain.LogF(o.sumExp(d, mt))
		o.scale(d, -1)
		o.add(d, d, x)
		m := o.max(x)
		z := o.expSum(x, m)
		o.scale(x, 1/z)
		kl[r] = o.dot(d, x) + (lse - (m + plain.LogF(z)))
		o.softmaxDX(x, d, x)
		if coef != nil {
			o.scale(x, coef[r])
		}
	})
}

// checkEntropy panics unless the arguments of a cross entropy fit.
func checkEntropy(op string, loss, lse, logits []float32, labels []int32, rows, vocab int) {
	wantLen(op, "loss", len(loss), rows)
	wantLen(op, "lse", len(lse), rows)
	wantLen(op, "logits", len(logits), rows*vocab)
	wantLen(op, "labels", len(labels), rows)
	for r, l := range labels {
		if int(l) >= vocab {
			panicf("kernel: %s: label %d of row %d must be below vocab %d", op, l, r, vocab)
		}
	}
}

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
