package kerneltest

import (
	"math"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/detrand"
)

// A layer is a kernel with its gradient, beside the same function written
// naively in float64.
//
// The harness differentiates the naive function by central differences, which
// in float64 are exact to about 1e-9, and holds outputs and gradients of the
// kernel to
//
//	|kernel - exact| <= depth * 2^-24 * Σ |terms|
//
// where depth is the number of roundings on the longest path from an input to
// the result (a sum of n in sixteen lanes has n/16+4) and the terms are those
// that the result is a sum of: out_i + Σ_j |x_j ∂out_i/∂x_j| for an output,
// Σ_i |c_i ∂out_i/∂x_j| for a gradient. This is the running error analysis of
// a chain, with the partial derivatives as its condition numbers.
type layer struct {
	name  string
	depth int
	in    [][]float32
	naive func(in [][]float64) (out []float64)
	// run returns the kernel's outputs and, given the gradients c of the
	// outputs, those of the inputs; nil for one that has none.
	run func(in [][]float32, c []float32) (out []float32, grads [][]float32)
	// slack is added to the terms of every gradient, for kernels whose
	// gradient is the difference of larger numbers.
	slack float64
}

// numbers returns n values with standard deviation scale.
func numbers(seed uint64, n int, scale float64) []float32 {
	s := detrand.Key(seed, "kerneltest gradient")
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(scale * s.NormalAt(uint64(i)))
	}
	return x
}

// oracle is what the naive function says of a layer.
type oracle struct {
	c               []float32   // gradients of the outputs
	out, outTerms   []float64   // outputs and the sums of their terms
	grad, gradTerms [][]float64 // gradients of the inputs and the sums of their terms
}

// ask differentiates the naive function.
func (l *layer) ask() *oracle {
	in := make([][]float64, len(l.in))
	for k, x := range l.in {
		for _, v := range x {
			in[k] = append(in[k], float64(v))
		}
	}
	o := &oracle{out: l.naive(in)}
	o.c = numbers(99, len(o.out), 1)
	for _, v := range o.out {
		o.outTerms = append(o.outTerms, math.Abs(v))
	}
	for k, x := range in {
		var grad, terms []float64
		for j := range x {
			var g, sum float64
			for i, d := range l.differences(in, k, j) {
				o.outTerms[i] += math.Abs(x[j] * d)
				g += float64(o.c[i]) * d
				sum += math.Abs(float64(o.c[i]) * d)
			}
			grad, terms = append(grad, g), append(terms, sum)
		}
		o.grad, o.gradTerms = append(o.grad, grad), append(o.gradTerms, terms)
	}
	return o
}

// everyPath holds the kernel on every path to the oracle.
func (l *layer) everyPath(t *testing.T) {
	o := l.ask()
	unit := float64(l.depth) * 0x1p-24
	EachSetting(t, []int{1, 2}, func(t *testing.T) {
		out, grads := l.run(l.in, o.c)
		for i, want := range o.out {
			if bound := unit*o.outTerms[i] + 1e-12; !(math.Abs(float64(out[i])-want) <= bound) {
				t.Errorf("%s: output %d is %g, want %g ± %g", l.name, i, out[i], want, bound)
			}
		}
		for k, grad := range grads {
			for j, got := range grad {
				want := o.grad[k][j]
				if bound := unit*(o.gradTerms[k][j]+l.slack) + 1e-8; !(math.Abs(float64(got)-want) <= bound) {
					t.Errorf("%s: gradient of input %d at %d is %g, want %g ± %g", l.name, k, j, got, want, bound)
				}
			}
		}
	})
}

// differences returns the derivatives of all outputs by element j of input k:
// central differences of steps h and 2h, combined so that the error is of
// order h^4.
func (l *layer) differences(in [][]float64, k, j int) []float64 {
	x, h := in[k][j], 1e-4
	at := func(v float64) []float64 {
		in[k][j] = v
		return l.naive(in)
	}
	a, b := at(x+h), at(x-h)
	a2, b2 := at(x+2*h), at(x-2*h)
	in[k][j] = x
	d := make([]float64, len(a))
	for i := range d {
		d[i] = (8*(a[i]-b[i]) - (a2[i] - b2[i])) / (12 * h)
	}
	return d
}

func zeros(n int) []float32 { return make([]float32, n) }

func TestRMSNormGradient(t *testing.T) {
	const rows, dim, eps = 3, 37, 1e-3
	for _, weighted := range []bool{true, false} {
		l := layer{
			name: "RMSNorm", depth: dim/16 + 20,
			in: [][]float32{numbers(1, rows*dim, 1), numbers(2, dim, 1)},
			naive: func(in [][]float64) []float64 {
				out := make([]float64, rows*dim)
				for r := range rows {
					x := in[0][r*dim : r*dim+dim]
					var ss float64
					for _, v := range x {
						ss += v * v
					}
					rstd := 1 / math.Sqrt(ss/dim+float64(float32(eps)))
					for i, v := range x {
						out[r*dim+i] = v * rstd
						if weighted {
							out[r*dim+i] *= in[1][i]
						}
					}
				}
				return out
			},
			run: func(in [][]float32, c []float32) ([]float32, [][]float32) {
				y, rstd, dx, dw, w := zeros(rows*dim), zeros(rows), zeros(rows*dim), zeros(dim), in[1]
				if !weighted {
					w, dw = nil, nil
				}
				kernel.RMSNorm(y, rstd, in[0], w, rows, dim, eps)
				kernel.RMSNormBackward(dx, dw, c, in[0], w, rstd, rows, dim)
				return y, [][]float32{dx, dw}
			},
		}
		l.everyPath(t)
	}
}

func TestSwiGLUGradient(t *testing.T) {
	const rows, f, limit = 3, 35, 2.5
	clamp := func(v float64) float64 { return math.Max(-limit, math.Min(limit, v)) }
	l := layer{
		name: "SwiGLU", depth: f/16 + 20,
		in: [][]float32{numbers(1, rows*f, 2), numbers(2, rows*f, 2), numbers(3, rows, 1)},
		naive: func(in [][]float64) []float64 {
			out := make([]float64, rows*f)
			for i := range out {
				g := math.Min(limit, in[0][i])
				out[i] = in[2][i/f] * g / (1 + math.Exp(-g)) * clamp(in[1][i])
			}
			return out
		},
		run: func(in [][]float32, c []float32) ([]float32, [][]float32) {
			h, dg, du, dw := zeros(rows*f), zeros(rows*f), zeros(rows*f), zeros(rows)
			kernel.SwiGLU(h, in[0], in[1], in[2], rows, f, limit)
			kernel.SwiGLUBackward(dg, du, dw, c, in[0], in[1], in[2], rows, f, limit)
			return h, [][]float32{dg, du, dw}
		},
		slack: 1, // near the minimum of silu its derivative is a difference
	}
	for _, x := range l.in[:2] {
		clampedSeen := false
		for i, v := range x {
			if d := math.Abs(math.Abs(float64(v)) - limit); d < 1e-3 {
				x[i] = 1 // differences across the kink mean nothing
			}
			clampedSeen = clampedSeen || v > limit
		}
		if !clampedSeen {
			t.Fatal("no input beyond the limit: the clamp's gradient is not tested")
		}
	}
	l.everyPath(t)
}

func TestSoftmaxRowsGradient(t *testing.T) {
	const rows, dim = 3, 33
	l := layer{
		name: "SoftmaxRows", depth: 2*(dim/16+4) + 12,
		in: [][]float32{numbers(1, rows*dim, 2)},
		naive: func(in [][]float64) []float64 {
			out := make([]float64, rows*dim)
			for r := range rows {
				var z float64
				for i := range dim {
					out[r*dim+i] = math.Exp(in[0][r*dim+i])
					z += out[r*dim+i]
				}
				for i := range dim {
					out[r*dim+i] /= z
				}
			}
			return out
		},
		run: func(in [][]float32, c []float32) ([]float32, [][]float32) {
			p, dx := append([]float32(nil), in[0]...), zeros(rows*dim)
			kernel.SoftmaxRows(p, nil, rows, dim)
			kernel.SoftmaxRowsBackward(dx, c, p, rows, dim)
			return p, [][]float32{dx}
		},
	}
	l.everyPath(t)
}

func TestCrossEntropyGradient(t *testing.T) {
	const rows, vocab = 5, 50
	labels := []int32{3, 49, -1, 0, 17}
	l := layer{
		name: "CrossEntropy", depth: vocab/16 + 4 + 14,
		in: [][]float32{numbers(1, rows*vocab, 3)},
		naive: func(in [][]float64) []float64 {
			out := make([]float64, rows)
			for r, label := range labels {
				if label < 0 {
					continue
				}
				var z float64
				for _, v := range in[0][r*vocab : r*vocab+vocab] {
					z += math.Exp(v)
				}
				out[r] = math.Log(z) - in[0][r*vocab+int(label)]
			}
			return out
		},
		run: func(in [][]float32, c []float32) ([]float32, [][]float32) {
			d, loss, lse, logp := append([]float32(nil), in[0]...), zeros(rows), zeros(rows), zeros(rows)
			kernel.CrossEntropyForward(logp, lse, d, labels, rows, vocab)
			kernel.CrossEntropy(loss, lse, d, labels, c, rows, vocab)
			for i, v := range logp {
				if v != -loss[i] {
					t.Errorf("row %d: forward says %g, with gradient %g", i, -v, loss[i])
				}
			}
			return loss, [][]float32{d}
		},
	}
	l.everyPath(t)
}

func TestReverseKLGradient(t *testing.T) {
	const rows, vocab = 3, 40
	teacher := numbers(2, rows*vocab, 2)
	l := layer{
		name: "ReverseKL", depth: 3*(vocab/16+4) + 16,
		in: [][]float32{numbers(1, rows*vocab, 2)},
		naive: func(in [][]float64) []float64 {
			out := make([]float64, rows)
			for r := range out {
				var zp, zq float64
				for i := range vocab {
					zp += math.Exp(in[0][r*vocab+i])
					zq += math.Exp(float64(teacher[r*vocab+i]))
				}
				for i := range vocab {
					x, y := in[0][r*vocab+i], float64(teacher[r*vocab+i])
					out[r] += math.Exp(x) / zp * (x - y - math.Log(zp/zq))
				}
			}
			return out
		},
		run: func(in [][]float32, c []float32) ([]float32, [][]float32) {
			x, y, kl := append([]float32(nil), in[0]...), append([]float32(nil), teacher...), zeros(rows)
			kernel.ReverseKL(kl, x, y, c, rows, vocab)
			return kl, [][]float32{x}
		},
		slack: 8, // d and Dot(d, p), of which the gradient is a difference, reach 8
	}
	l.everyPath(t)
}

func TestSqrtSoftplusGradient(t *testing.T) {
	l := layer{
		name: "SqrtSoftplus", depth: 10,
		in: [][]float32{numbers(1, 60, 6)},
		naive: func(in [][]float64) []float64 {
			out := make([]float64, len(in[0]))
			for i, v := range in[0] {
				out[i] = math.Sqrt(math.Max(v, 0) + math.Log1p(math.Exp(-math.Abs(v))))
			}
			return out
		},
		run: func(in [][]float32, c []float32) ([]float32, [][]float32) {
			y, dx := zeros(60), zeros(60)
			kernel.SqrtSoftplus(y, in[0])
			kernel.SqrtSoftplusBackward(dx, c, in[0], y)
			return y, [][]float32{dx}
		},
	}
	l.everyPath(t)
}

func TestRopeGradient(t *testing.T) {
	const rows, heads, dim, nf = 3, 2, 23, 8
	cos, sin := zeros(rows*nf), zeros(rows*nf)
	for i := range cos {
		a := 0.3 * float64(i*i)
		cos[i], sin[i] = float32(math.Cos(a)), float32(math.Sin(a))
	}
	for _, inverse := range []bool{false, true} {
		l := layer{
			name: "Rope", depth: 2,
			in: [][]float32{numbers(1, rows*heads*dim, 1)},
			naive: func(in [][]float64) []float64 {
				out := append([]float64(nil), in[0]...)
				for h := range rows * heads {
					for i := range nf {
						at := h*dim + dim - 2*nf + 2*i
						rot := complex(float64(cos[h/heads*nf+i]), float64(sin[h/heads*nf+i]))
						if inverse {
							rot = complex(real(rot), -imag(rot))
						}
						z := complex(out[at], out[at+1]) * rot
						out[at], out[at+1] = real(z), imag(z)
					}
				}
				return out
			},
			run: func(in [][]float32, c []float32) ([]float32, [][]float32) {
				y, dx := append([]float32(nil), in[0]...), append([]float32(nil), c...)
				kernel.Rope(y, rows, heads, dim, cos, sin, inverse)
				kernel.Rope(dx, rows, heads, dim, cos, sin, !inverse)
				return y, [][]float32{dx}
			},
		}
		l.everyPath(t)
	}
}

func TestHadamardGradient(t *testing.T) {
	for _, dim := range []int{1, 8, 32, 64} {
		const rows = 2
		l := layer{
			name: "Hadamard", depth: 9,
			in: [][]float32{numbers(1, rows*dim, 1)},
			naive: func(in [][]float64) []float64 {
				out := make([]float64, rows*dim)
				for i := range out {
					r, k := i/dim, i%dim
					for j := range dim {
						v := in[0][r*dim+j]
						for b := k & j; b != 0; b &= b - 1 { // parity of the common bits
							v = -v
						}
						out[i] += v / math.Sqrt(float64(dim))
					}
				}
				return out
			},
			run: func(in [][]float32, c []float32) ([]float32, [][]float32) {
				y, dx := append([]float32(nil), in[0]...), append([]float32(nil), c...)
				kernel.Hadamard(y, rows, dim)
				kernel.Hadamard(dx, rows, dim)
				return y, [][]float32{dx}
			},
		}
		l.everyPath(t)
	}
}
