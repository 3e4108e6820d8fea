package kerneltest

import (
	"fmt"
	"math"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/detrand"
)

// ProductCase is one matrix product to test: its sizes, how far its operands'
// strides exceed their rows, and what fills them.
type ProductCase struct {
	Form               kernel.Form
	M, N, K            int
	GapOut, GapA, GapB int
	Accumulate         bool
	Kind               Kind
	Seed               uint64
}

// String describes the case in one line.
func (c ProductCase) String() string {
	return fmt.Sprintf("%v m=%d n=%d k=%d gaps=%d,%d,%d acc=%v %v seed=%d",
		c.Form, c.M, c.N, c.K, c.GapOut, c.GapA, c.GapB, c.Accumulate, c.Kind, c.Seed)
}

// RandomCase returns the i-th of a fixed sequence of cases. Sizes crowd around
// those where kernels change their ways: widths of registers, tiles and
// blocks, and one beside them.
func RandomCase(i uint64) ProductCase {
	s := detrand.Key(1, "kerneltest case", i)
	size := func(at uint64, edges ...int) int {
		switch r := s.Uint64At(at); {
		case r&3 == 0:
			return int(r >> 8 % 5)
		case r&3 == 1:
			return edges[r>>8%uint64(len(edges))] + int(r>>32%3) - 1
		default:
			return int(r >> 8 % 70)
		}
	}
	gap := func(at uint64) int { return max(0, int(s.Uint64nAt(at, 12))-5) }
	return ProductCase{
		Form:   kernel.Form(s.Uint64nAt(0, 3)),
		M:      size(1, 6, 12, 24, 48, 96, 150),
		N:      size(2, 8, 16, 32, 64, 128, 160),
		K:      size(3, 4, 8, 16, 64, 128, 256, 264, 520),
		GapOut: gap(4), GapA: gap(5), GapB: gap(6),
		Accumulate: s.Uint64nAt(7, 2) == 1,
		Kind:       Kind(s.Uint64nAt(8, uint64(Kinds))),
		Seed:       i,
	}
}

// Trial is a ProductCase with its operands in guarded memory.
type Trial struct {
	Case    ProductCase
	Product kernel.Product
	start   []float32 // Out before
	checks  [3]func(t testing.TB, name string)
}

// Prepare lays out and fills the operands of c.
func (c ProductCase) Prepare() *Trial {
	ar, ac, br, bc := c.M, c.K, c.K, c.N
	if c.Form == kernel.TN {
		ar, ac = c.K, c.M
	}
	if c.Form == kernel.NT {
		br, bc = c.N, c.K
	}
	r := &Trial{Case: c, Product: kernel.Product{Form: c.Form, Accumulate: c.Accumulate}}
	r.Product.Out, r.checks[0] = GuardedMat(c.M, c.N, c.N+c.GapOut)
	r.Product.A, r.checks[1] = GuardedMat(ar, ac, ac+c.GapA)
	r.Product.B, r.checks[2] = GuardedMat(br, bc, bc+c.GapB)
	c.fill(r.Product.A, "a")
	c.fill(r.Product.B, "b")
	c.fill(r.Product.Out, "out")
	r.start = flat(r.Product.Out)
	return r
}

// fill sets the elements of m.
func (c ProductCase) fill(m kernel.Mat, purpose string) {
	vs := make([]float32, m.Rows*m.Cols)
	Values(vs, c.Kind, c.Seed, purpose)
	for i := range m.Rows {
		copy(m.Row(i), vs[i*m.Cols:])
	}
}

// flat returns the elements of m without the gaps.
func flat(m kernel.Mat) []float32 {
	var vs []float32
	for i := range m.Rows {
		vs = append(vs, m.Row(i)...)
	}
	return vs
}

// Reset gives Out its first values back.
func (r *Trial) Reset() {
	out := r.Product.Out
	for i := range out.Rows {
		copy(out.Row(i), r.start[i*out.Cols:])
	}
}

// Out returns the elements of the product's output.
func (r *Trial) Out() []float32 { return flat(r.Product.Out) }

// CheckGuards fails t if anything but the output has been written to.
func (r *Trial) CheckGuards(t testing.TB) {
	t.Helper()
	for i, name := range []string{"out", "a", "b"} {
		r.checks[i](t, fmt.Sprintf("%v: %s", r.Case, name))
	}
}

// term returns a(m,k) and b(k,n).
func (r *Trial) term(m, n, k int) (a, b float32) {
	p := &r.Product
	switch p.Form {
	case kernel.NT:
		return p.A.Row(m)[k], p.B.Row(n)[k]
	case kernel.NN:
		return p.A.Row(m)[k], p.B.Row(k)[n]
	}
	return p.A.Row(k)[m], p.B.Row(k)[n]
}

// Want computes the output by its definition.
func (r *Trial) Want() []float32 {
	c := r.Case
	want := make([]float32, c.M*c.N)
	for i := range want {
		var acc float32
		if c.Accumulate {
			acc = r.start[i]
		}
		for k := range c.K {
			a, b := r.term(i/c.N, i%c.N, k)
			acc = kernel.FMA32(a, b, acc)
		}
		want[i] = acc
	}
	return want
}

// CheckBound fails t unless every element of got is as near to the exact sum
// as K roundings allow: within γ Σ|a||b|, γ = Ku/(1-Ku), u = 2^-24. It holds
// for inputs without overflow, underflow or NaN.
func (r *Trial) CheckBound(t testing.TB, got []float32) {
	t.Helper()
	c := r.Case
	ku := float64(c.K+1) * 0x1p-24
	for i, g := range got {
		var sum, size float64
		if c.Accumulate {
			sum, size = float64(r.start[i]), math.Abs(float64(r.start[i]))
		}
		for k := range c.K {
			a, b := r.term(i/c.N, i%c.N, k)
			p := float64(a) * float64(b) // exact
			sum += p
			size += math.Abs(p)
		}
		// The float64 sum's own error is far below the bound's slack of one.
		if d := math.Abs(float64(g) - sum); d > ku/(1-ku)*size || d != d {
			t.Fatalf("%v: element %d is %g, exact %g: error %g exceeds %g", c, i, g, sum, d, ku/(1-ku)*size)
		}
	}
}
