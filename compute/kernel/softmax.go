package kernel

import (
	"math"

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
	o := ops()
	eachRow(rows, 4*vocab, func(r, _, _ int) {
		x, label := logits[r*vocab:r*vocab+vocab], labels[r]
		if label < 0 {
			logp[r], lse[r] = 0, 0
			return
		}
		m := o.max(x)
		lse[r] = m + plain.LogF(o.sumExp(x, m))
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
