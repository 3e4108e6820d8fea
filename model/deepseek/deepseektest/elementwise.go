package deepseektest

import (
	"fmt"
	"math"
)

// broadcast walks an output shape and the two operands aligned at their last axes, as NumPy does, and calls f with the three
// offsets.
func broadcast(a, b *Tensor, f func(o, i, j int)) []int {
	n := max(len(a.Shape), len(b.Shape))
	shape, ta, tb := make([]int, n), make([]int, n), make([]int, n)
	sa, sb := strides(a.Shape), strides(b.Shape)
	for k := range n {
		da, db := 1, 1
		if i := k - n + len(a.Shape); i >= 0 {
			da = a.Shape[i]
			if da > 1 {
				ta[k] = sa[i]
			}
		}
		if i := k - n + len(b.Shape); i >= 0 {
			db = b.Shape[i]
			if db > 1 {
				tb[k] = sb[i]
			}
		}
		if da != db && da != 1 && db != 1 {
			panic(fmt.Sprintf("deepseektest: shapes %v and %v do not broadcast", a.Shape, b.Shape))
		}
		shape[k] = da
		if da == 1 {
			shape[k] = db
		}
	}
	if f == nil {
		return shape
	}
	o := 0
	var walk func(k, i, j int)
	walk = func(k, i, j int) {
		for range shape[k] {
			if k == n-1 {
				f(o, i, j)
				o++
			} else {
				walk(k+1, i, j)
			}
			i, j = i+ta[k], j+tb[k]
		}
	}
	walk(0, 0, 0)
	return shape
}

// binary applies f with partial derivatives da and db to every broadcast pair.
func (t *Tape) binary(a, b *Tensor, f, da, db func(x, y float64) float64) *Tensor {
	shape := broadcast(a, b, nil)
	out := make([]float64, product(shape))
	broadcast(a, b, func(o, i, j int) { out[o] = f(a.Data[i], b.Data[j]) })
	return t.node(shape, out, func(dy []float64) {
		ga, gb := a.grad(), b.grad()
		broadcast(a, b, func(o, i, j int) {
			if dy[o] == 0 {
				return // keeps 0 * Inf out of masked entries
			}
			if ga != nil {
				ga[i] += float64(dy[o] * da(a.Data[i], b.Data[j]))
			}
			if gb != nil {
				gb[j] += float64(dy[o] * db(a.Data[i], b.Data[j]))
			}
		})
	}, a, b)
}

func one(_, _ float64) float64 { return 1 }

// Add is a + b.
func (t *Tape) Add(a, b *Tensor) *Tensor {
	return t.binary(a, b, func(x, y float64) float64 { return x + y }, one, one)
}

// Sub is a - b.
func (t *Tape) Sub(a, b *Tensor) *Tensor {
	return t.binary(a, b, func(x, y float64) float64 { return x - y }, one, func(_, _ float64) float64 { return -1 })
}

// Mul is the element-wise product of a and b.
func (t *Tape) Mul(a, b *Tensor) *Tensor {
	return t.binary(a, b, func(x, y float64) float64 { return x * y },
		func(_, y float64) float64 { return y }, func(x, _ float64) float64 { return x })
}

// Div is the element-wise quotient of a and b.
func (t *Tape) Div(a, b *Tensor) *Tensor {
	return t.binary(a, b, func(x, y float64) float64 { return x / y },
		func(_, y float64) float64 { return 1 / y }, func(x, y float64) float64 { return -x / (y * y) })
}

// unary applies f element-wise; df is its derivative from input and output.
func (t *Tape) unary(x *Tensor, f func(x float64) float64, df func(x, y float64) float64) *Tensor {
	out := make([]float64, len(x.Data))
	for i, v := range x.Data {
		out[i] = f(v)
	}
	return t.node(x.Shape, out, func(dy []float64) {
		g := x.grad()
		for i := range dy {
			if dy[i] != 0 {
				g[i] += float64(dy[i] * df(x.Data[i], out[i]))
			}
		}
	}, x)
}

// Scale is c * x.
func (t *Tape) Scale(x *Tensor, c float64) *Tensor {
	return t.unary(x, func(v float64) float64 { return c * v }, func(_, _ float64) float64 { return c })
}

// Offset is x + c.
func (t *Tape) Offset(x *Tensor, c float64) *Tensor {
	return t.unary(x, func(v float64) float64 { return v + c }, one)
}

// Exp is e to the x.
func (t *Tape) Exp(x *Tensor) *Tensor {
	return t.unary(x, math.Exp, func(_, y float64) float64 { return y })
}

// Log is the natural logarithm.
func (t *Tape) Log(x *Tensor) *Tensor {
	return t.unary(x, math.Log, func(v, _ float64) float64 { return 1 / v })
}

// Sqrt is the square root.
func (t *Tape) Sqrt(x *Tensor) *Tensor {
	return t.unary(x, math.Sqrt, func(_, y float64) float64 { return 1 / (2 * y) })
}

// Rsqrt is 1/sqrt(x).
func (t *Tape) Rsqrt(x *Tensor) *Tensor {
	return t.unary(x, func(v float64) float64 { return 1 / math.Sqrt(v) }, func(v, y float64) float64 { return -y / (2 * v) })
}

// Sigmoid is 1/(1+exp(-x)).
func (t *Tape) Sigmoid(x *Tensor) *Tensor {
	return t.unary(x, sigmoid, func(_, y float64) float64 { return y * (1 - y) })
}

// Softplus is log(1+exp(x)).
func (t *Tape) Softplus(x *Tensor) *Tensor {
	return t.unary(x, func(v float64) float64 { return max(v, 0) + math.Log1p(math.Exp(-math.Abs(v))) },
		func(v, _ float64) float64 { return sigmoid(v) })
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// Silu is x * sigmoid(x).
func (t *Tape) Silu(x *Tensor) *Tensor { return t.Mul(x, t.Sigmoid(x)) }
