package train

import "github.com/temper-ml/temper/compute/kernel"

// slotTree adds the gradients of a step's slots by a fixed binary tree, in the
// order in which they become ready, with one buffer per level: slots 2i and
// 2i+1 are added first, then pairs of pairs. A rank that owns an aligned run of
// slots computes a subtree, so the result does not depend on who owns what.
type slotTree struct {
	grads  [][]float32   // the model's live gradients, one slice per parameter
	levels [][][]float32 // finished left siblings, per level, per parameter
	done   int           // slots added so far
}

// slotRange returns the rows [lo, hi) of slot i when rows rows are cut into
// slots slots: contiguous, in order, sizes differing by at most one.
func slotRange(rows, slots, i int) (lo, hi int) {
	return rows * i / slots, rows * (i + 1) / slots
}

// finish takes the live gradients as the sum of the next slot. If it is not
// the last of total slots, it leaves the live gradients zero for the next one;
// after the last they hold the sum of all.
func (t *slotTree) finish(total int) {
	slot, level := t.done, 0
	t.done++
	for ; slot>>level&1 == 1; level++ {
		for i, g := range t.grads { // left + right: the left sibling came first
			addInto(g, t.levels[level][i])
		}
	}
	if t.done == total {
		return
	}
	if level == len(t.levels) {
		t.levels = append(t.levels, cloneShape(t.grads))
	}
	for i, g := range t.grads {
		copy(t.levels[level][i], g)
	}
	zero(t.grads)
}

// addInto is g = left + g.
func addInto(g, left []float32) {
	kernel.Parallel(len(g), 1<<15, func(lo, hi int) { kernel.Add(g[lo:hi], left[lo:hi], g[lo:hi]) })
}

func zero(grads [][]float32) {
	for _, g := range grads {
		kernel.Parallel(len(g), 1<<16, func(lo, hi int) { clear(g[lo:hi]) })
	}
}

func cloneShape(grads [][]float32) [][]float32 {
	c := make([][]float32, len(grads))
	for i, g := range grads {
		c[i] = make([]float32, len(g))
	}
	return c
}
