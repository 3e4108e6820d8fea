package nn

import "github.com/temper-ml/temper/compute/kernel"

// Greedy writes, for each row of x [rows, D], the id of the largest logit; of
// equal ones the lowest id.
func (h *Head) Greedy(ids []int32, x []float32, rows int, a *Arena) {
	h.chunks(x, rows, a, func(lo, n int, logits, _ []float32) {
		kernel.Parallel(n, 1, func(from, to int) {
			for i := from; i < to; i++ {
				ids[lo+i] = argmax(logits[i*h.Out : (i+1)*h.Out])
			}
		})
	})
}

func argmax(x []float32) int32 {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return int32(best)
}
