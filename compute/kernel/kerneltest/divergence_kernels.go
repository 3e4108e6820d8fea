package kerneltest

import (
	"math"

	"github.com/temper-ml/temper/compute/kernel"
)

// divergenceKernels are the divergences, each in chunks of the vocabulary, with
// the reductions that lead up to it.
func divergenceKernels() []RowKernel {
	var ks []RowKernel
	for _, d := range []kernel.Divergence{
		{Kind: kernel.DivergenceReverse},
		{Kind: kernel.DivergenceForward},
		{Kind: kernel.DivergenceJensenShannon, Beta: .25},
		{Kind: kernel.DivergenceTopK, K: 5},
	} {
		ks = append(ks, RowKernel{"Divergence " + d.Kind.String(), func(draw *Draw) func() { return chunked(draw, d) }})
	}
	return ks
}

// chunks are the ends of three pieces of a vocabulary, multiples of Lanes but the last.
func chunks(dim int) []int {
	first := dim / 3 &^ (kernel.Lanes - 1)
	return []int{0, first, first + dim/2&^(kernel.Lanes-1), dim}
}

func chunked(d *Draw, by kernel.Divergence) func() {
	dim := d.Size() + 1
	n := d.Rows(dim)
	x, t, g := d.Buf(n*dim, 20), d.Buf(n*dim, 20), d.Buf(n*dim, 1)
	coef, value, center := d.Buf(n, 1), d.Buf(n, 1), d.Buf(n, 1)
	lanes, sums := d.Buf(n*kernel.Lanes, 1), d.Buf(n*2*kernel.Lanes, 1)
	labels := d.Index(n, -1, dim)
	l := kernel.Logits{Coef: coef, Rows: n, Least: d.Buf(n, 1), Last: make([]int32, n)}
	for _, s := range []*kernel.Softmax{&l.Student, &l.Teacher} {
		*s = kernel.Softmax{Max: d.Buf(n, 1), Inverse: d.Buf(n, 1), LSE: d.Buf(n, 1)}
	}
	largest, tokens := d.Buf(n*5, 1), make([]int32, n*5)
	return func() {
		each := func(f func(lo, hi int)) {
			ends := chunks(dim)
			for i := range 3 {
				f(ends[i], ends[i+1])
			}
		}
		softmax(l.Student, x, lanes, n, dim, each)
		softmax(l.Teacher, t, lanes, n, dim, each)
		fill(largest, float32(math.Inf(-1)))
		each(func(lo, hi int) {
			kernel.LargestRows(largest, tokens, columns(t, n, dim, lo, hi), n, hi-lo, lo, 5)
		})
		for r := range n {
			l.Least[r], l.Last[r] = largest[r*5+4], tokens[r*5+4]
		}
		cut := func(lo, hi int) *kernel.Logits {
			c := l
			c.X, c.T, c.Dim, c.First = columns(x, n, dim, lo, hi), columns(t, n, dim, lo, hi), hi-lo, lo
			return &c
		}
		fill(sums, 0)
		each(func(lo, hi int) { by.Sums(sums, cut(lo, hi)) })
		by.Values(value, center, sums, cut(0, 0))
		each(func(lo, hi int) {
			c := cut(lo, hi)
			by.Gradient(c.T, center, c, false)
			kernel.AddEntropyGradient(c.T, c.X, l.Student, labels, coef, n, hi-lo, lo)
			for r := range n {
				copy(g[r*dim+lo:r*dim+hi], c.T[r*(hi-lo):])
			}
		})
	}
}

// softmax reduces rows chunk by chunk.
func softmax(s kernel.Softmax, x, lanes []float32, n, dim int, each func(f func(lo, hi int))) {
	fill(s.Max, float32(math.Inf(-1)))
	fill(lanes, 0)
	each(func(lo, hi int) { kernel.MaxRows(s.Max, columns(x, n, dim, lo, hi), n, hi-lo) })
	each(func(lo, hi int) { kernel.ExpSumRows(lanes, columns(x, n, dim, lo, hi), s.Max, n, hi-lo) })
	s.Finish(lanes, n)
}

// columns copies columns lo to hi-1 of x [n, dim].
func columns(x []float32, n, dim, lo, hi int) []float32 {
	out := make([]float32, 0, n*(hi-lo))
	for r := range n {
		out = append(out, x[r*dim+lo:r*dim+hi]...)
	}
	return out
}

func fill(x []float32, v float32) {
	for i := range x {
		x[i] = v
	}
}
