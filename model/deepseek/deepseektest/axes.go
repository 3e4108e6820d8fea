package deepseektest

import (
	"math"
	"slices"
)

// split views a shape as [outer, n, inner] around one axis.
func split(shape []int, axis int) (outer, n, inner int) {
	return product(shape[:axis]), shape[axis], product(shape[axis+1:])
}

// SumAxis sums over one axis, which stays with size 1. A negative axis counts from the last.
func (t *Tape) SumAxis(x *Tensor, axis int) *Tensor {
	if axis < 0 {
		axis += len(x.Shape)
	}
	outer, n, inner := split(x.Shape, axis)
	shape := slices.Clone(x.Shape)
	shape[axis] = 1
	out := make([]float64, outer*inner)
	for o := range outer {
		for j := range n {
			for i := range inner {
				out[o*inner+i] += x.Data[(o*n+j)*inner+i]
			}
		}
	}
	return t.node(shape, out, func(dy []float64) {
		g := x.grad()
		for o := range outer {
			for j := range n {
				for i := range inner {
					g[(o*n+j)*inner+i] += dy[o*inner+i]
				}
			}
		}
	}, x)
}

// Sum adds all elements into a scalar of shape [1].
func (t *Tape) Sum(x *Tensor) *Tensor {
	return t.SumAxis(t.Reshape(x, len(x.Data)), 0)
}

// Reshape views x with another shape of the same size.
func (t *Tape) Reshape(x *Tensor, shape ...int) *Tensor {
	if product(shape) != len(x.Data) {
		panic("deepseektest: reshape changes the number of elements")
	}
	return t.node(shape, x.Data, func(dy []float64) {
		g := x.grad()
		for i := range dy {
			g[i] += dy[i]
		}
	}, x)
}

// Take selects positions along one axis, in the order given; a position may repeat. Slices, gathers and swaps are all Takes.
func (t *Tape) Take(x *Tensor, axis int, at []int) *Tensor {
	if axis < 0 {
		axis += len(x.Shape)
	}
	outer, n, inner := split(x.Shape, axis)
	shape := slices.Clone(x.Shape)
	shape[axis] = len(at)
	out := make([]float64, outer*len(at)*inner)
	each := func(f func(to, from int)) {
		for o := range outer {
			for j, a := range at {
				for i := range inner {
					f((o*len(at)+j)*inner+i, (o*n+a)*inner+i)
				}
			}
		}
	}
	each(func(to, from int) { out[to] = x.Data[from] })
	return t.node(shape, out, func(dy []float64) {
		g := x.grad()
		each(func(to, from int) { g[from] += dy[to] })
	}, x)
}

// Slice is positions [lo, hi) of one axis.
func (t *Tape) Slice(x *Tensor, axis, lo, hi int) *Tensor {
	at := make([]int, hi-lo)
	for i := range at {
		at[i] = lo + i
	}
	return t.Take(x, axis, at)
}

// Concat joins tensors along one axis.
func (t *Tape) Concat(axis int, xs ...*Tensor) *Tensor {
	if axis < 0 {
		axis += len(xs[0].Shape)
	}
	shape := slices.Clone(xs[0].Shape)
	shape[axis] = 0
	for _, x := range xs {
		shape[axis] += x.Shape[axis]
	}
	out := make([]float64, product(shape))
	each := func(f func(x *Tensor, to, from int)) {
		outer, total, inner := split(shape, axis)
		at := 0
		for _, x := range xs {
			n := x.Shape[axis]
			for o := range outer {
				for i := range n * inner {
					f(x, (o*total+at)*inner+i, o*n*inner+i)
				}
			}
			at += n
		}
	}
	each(func(x *Tensor, to, from int) { out[to] = x.Data[from] })
	return t.node(shape, out, func(dy []float64) {
		for _, x := range xs {
			x.grad()
		}
		each(func(x *Tensor, to, from int) {
			if x.Grad != nil {
				x.Grad[from] += dy[to]
			}
		})
	}, xs...)
}

// Max is the largest element along an axis as a constant (no gradient): only used to shift exponents, where it cancels.
func (t *Tape) maxAxis(x *Tensor, axis int) *Tensor {
	if axis < 0 {
		axis += len(x.Shape)
	}
	outer, n, inner := split(x.Shape, axis)
	shape := slices.Clone(x.Shape)
	shape[axis] = 1
	out := make([]float64, outer*inner)
	for k := range out {
		out[k] = math.Inf(-1)
	}
	for o := range outer {
		for j := range n {
			for i := range inner {
				out[o*inner+i] = max(out[o*inner+i], x.Data[(o*n+j)*inner+i])
			}
		}
	}
	return t.Const(out, shape...)
}

// Softmax normalises exp(x) along an axis. Entries of -Inf get weight 0 and no gradient.
func (t *Tape) Softmax(x *Tensor, axis int) *Tensor {
	e := t.Exp(t.Sub(x, t.maxAxis(x, axis)))
	return t.Div(e, t.SumAxis(e, axis))
}

// LogSumExp is log(sum(exp(x))) along an axis, which stays with size 1.
func (t *Tape) LogSumExp(x *Tensor, axis int) *Tensor {
	m := t.maxAxis(x, axis)
	return t.Add(t.Log(t.SumAxis(t.Exp(t.Sub(x, m)), axis)), m)
}
