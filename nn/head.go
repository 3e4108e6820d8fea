package nn

import (
	"github.com/temper-ml/temper/compute/kernel"
)

// Head is the output projection onto the vocabulary together with its loss.
// Logits exist for one chunk of rows at a time, never for a whole batch.
type Head struct {
	Linear // In = D, Out = V

	// MaxLogits bounds the number of logits held at once; 0 stands for 4 Mi, 16 MiB
	// of float32. Results do not depend on it.
	MaxLogits int
}

// ChunkRows returns how many of the given rows are projected at once: a multiple
// of 16, and at least 16, so that products stay efficient at any vocabulary.
func (h *Head) ChunkRows(rows int) int {
	limit := h.MaxLogits
	if limit == 0 {
		limit = 4 << 20
	}
	return min(rows, max(16, limit/h.Out&^15))
}

// Floats returns the arena memory, in 4-byte elements, that Loss holds for rows.
func (h *Head) Floats(rows int) int {
	c := h.ChunkRows(rows)
	return ArenaSize(c*h.Out, c)
}

// Loss computes, for each row of x [rows, D], loss = -log p(label), writes the
// gradient of Σ coef·loss with respect to x into dx, and adds the weight's
// gradient. A row whose label is negative is not supervised: its loss and
// gradient are zero. A gradient of log-probabilities g is coef = -g. The pass's Scored must have told
// what the rows are.
func (h *Head) Loss(loss, dx, x []float32, labels []int32, coef []float32, rows int, p *Pass) {
	h.chunks(x, rows, p.Arena, func(lo, n int, logits, lse []float32) {
		p.SeeScored("logits", logits, lo, n)
		kernel.CrossEntropy(loss[lo:lo+n], lse, logits, labels[lo:lo+n], coef[lo:lo+n], n, h.Out)
		p.SeeScored("normalisers", lse, lo, n)
		p.SeeScored("losses", loss[lo:lo+n], lo, n)
		before := p.Backwards(true)
		p.SeeScored("logits", logits, lo, n)
		h.Backward(dx[lo*h.In:(lo+n)*h.In], logits, x[lo*h.In:(lo+n)*h.In], n, false)
		p.SeeScored("supervised", dx[lo*h.In:(lo+n)*h.In], lo, n)
		p.Backwards(before)
	})
}

// LogProbs computes log p(label) for each row of x [rows, D], 0 for rows whose
// label is negative.
func (h *Head) LogProbs(logp, x []float32, labels []int32, rows int, a *Arena) {
	h.chunks(x, rows, a, func(lo, n int, logits, lse []float32) {
		kernel.CrossEntropyForward(logp[lo:lo+n], lse, logits, labels[lo:lo+n], n, h.Out)
	})
}

// Logits writes the logits [rows, V] of few rows, for generation.
func (h *Head) Logits(logits, x []float32, rows int) { h.Forward(logits, x, rows) }

func (h *Head) chunks(x []float32, rows int, a *Arena, f func(lo, n int, logits, lse []float32)) {
	m := a.Mark()
	defer a.Release(m)
	c := h.ChunkRows(rows)
	logits, lse := a.F32(c*h.Out), a.F32(c)
	for lo := 0; lo < rows; lo += c {
		n := min(c, rows-lo)
		h.Forward(logits[:n*h.Out], x[lo*h.In:(lo+n)*h.In], n)
		f(lo, n, logits[:n*h.Out], lse[:n])
	}
}

// Greedy writes, for each row of x [rows, D], the id of the largest logit; of
// equal ones the lowest id.
func (h *Head) Greedy(ids []int32, x []float32, rows int, a *Arena) {
	h.chunks(x, rows, a, func(lo, n int, logits, _ []float32) {
		kernel.Parallel(n, 1, func(from, to int) {
			for i := from; i < to; i++ {
				ids[lo+i] = Argmax(logits[i*h.Out : (i+1)*h.Out])
			}
		})
	})
}

// Argmax returns the index of the largest value, the lowest of several: the token
// that greedy decoding takes.
func Argmax(x []float32) int32 {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return int32(best)
}
