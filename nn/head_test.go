package nn

import (
	"slices"
	"testing"
)

func testHead(limit int) (*Head, []float32, []int32, []float32) {
	const rows, d, v = 50, 12, 33
	h := &Head{Linear: Linear{Weight: Weight{Data: gaussian(v*d, "head"), Grad: make([]float32, v*d)}, In: d, Out: v}, MaxLogits: limit}
	labels, coef := make([]int32, rows), make([]float32, rows)
	for i := range labels {
		labels[i], coef[i] = int32(i*7%v), 1/float32(i+1)
	}
	labels[4] = -1
	return h, gaussian(rows*d, "x"), labels, coef
}

// The size of a chunk must not change a bit of anything.
func TestHeadChunks(t *testing.T) {
	run := func(limit int) (loss, dx, dw []float32) {
		h, x, labels, coef := testHead(limit)
		loss, dx = make([]float32, len(labels)), make([]float32, len(x))
		h.Loss(loss, dx, x, labels, coef, len(labels), &Pass{Arena: NewArena()})
		return loss, dx, h.Grad
	}
	loss, dx, dw := run(0)
	for _, limit := range []int{1, 16 * 33, 32 * 33} {
		l, x, w := run(limit)
		if !slices.Equal(loss, l) || !slices.Equal(dx, x) || !slices.Equal(dw, w) {
			t.Errorf("chunks of at most %d logits change the result", limit)
		}
	}
	if loss[4] != 0 {
		t.Errorf("row without a label has loss %v", loss[4])
	}
}

func TestLogProbsAreNegativeLosses(t *testing.T) {
	h, x, labels, coef := testHead(16 * 33)
	n := len(labels)
	loss, dx, logp := make([]float32, n), make([]float32, len(x)), make([]float32, n)
	h.LogProbs(logp, x, labels, n, NewArena())
	h.Loss(loss, dx, x, labels, coef, n, &Pass{Arena: NewArena()})
	for i := range loss {
		if logp[i] != -loss[i] && (logp[i] != 0 || loss[i] != 0) {
			t.Errorf("row %d: log-probability %v, loss %v", i, logp[i], loss[i])
		}
	}
}
