package kernel

import (
	"fmt"

	"github.com/temper-ml/temper/compute/internal/gemm"
	"github.com/temper-ml/temper/compute/internal/workers"
)

// Form says which operands of a Product are read transposed. The letters are
// those of the two operands, N for as it is and T for transposed; the
// contraction index is always k.
type Form int

// The three forms that a layer y = x wᵀ and its two gradients need.
const (
	NT Form = iota // out[m,n] = Σk a[m,k] b[n,k]
	NN             // out[m,n] = Σk a[m,k] b[k,n]
	TN             // out[m,n] = Σk a[k,m] b[k,n]
)

// String returns the form's letters.
func (f Form) String() string {
	switch f {
	case NT, NN, TN:
		return [...]string{"NT", "NN", "TN"}[f]
	}
	return fmt.Sprintf("Form(%d)", int(f))
}

// Product is one matrix product: Out = A∘B, or Out += A∘B if Accumulate is
// set, with A and B read as Form says. Out must not overlap A or B.
//
// Every element of Out is one chain of fused multiply-adds over k ascending,
//
//	acc := +0            // or Out[m,n] if Accumulate
//	for k := 0; k < K; k++ {
//		acc = FMA32(a(m,k), b(k,n), acc)
//	}
//	Out[m,n] = acc
//
// on every path and for any number of threads. So a product over many rows
// equals row by row the same products over single rows, and a sum over k that
// is accumulated in several calls, in order, equals the sum in one call.
type Product struct {
	Form       Form
	Out, A, B  Mat
	Accumulate bool
}

// Run computes all products, spreading them over the threads together, so
// that many small ones (one per expert, say) cost about as much as a large
// one of the same total size. No Out may overlap any other matrix of the call.
// Run panics if the sizes of a product do not fit together. A product with
// Rows or Cols zero does nothing; one with K zero sets Out to +0 unless it
// accumulates.
func Run(ps ...Product) { runIn(InRun, ps...) }

// runIn is Run on behalf of some part of the package.
func runIn(kind Kind, ps ...Product) {
	if w := watching.Load(); w != nil {
		w.products(kind, ps)
	}
	l := lowerings.Get()
	for i := range ps {
		if g := ps[i].lower(); g.M > 0 && g.N > 0 {
			l.products = append(l.products, g)
		}
	}
	gemm.Run(l.products)
	clear(l.products)
	l.products = l.products[:0]
	lowerings.Put(l)
}

// lowering holds products as package gemm works on them.
type lowering struct{ products []gemm.Product }

var lowerings workers.Freelist[lowering]

// MatMul computes y = x wᵀ: the outputs of a linear layer, with x [T, in],
// w [out, in] and y [T, out].
func MatMul(y, x, w Mat) { Run(Product{Form: NT, Out: y, A: x, B: w}) }

// MatMulDX computes dx = dy w, or dx += dy w if acc is set: the gradient of a
// linear layer with respect to its inputs, with dy [T, out], w [out, in] and
// dx [T, in].
func MatMulDX(dx, dy, w Mat, acc bool) {
	Run(Product{Form: NN, Out: dx, A: dy, B: w, Accumulate: acc})
}

// MatMulDW computes dw += dyᵀ x: the gradient of a linear layer with respect
// to its weights, added to the one already there, with dy [T, out], x [T, in]
// and dw [out, in]. Rows are added in order, so a batch may be split into
// consecutive calls without changing a bit.
func MatMulDW(dw, dy, x Mat) {
	Run(weightProduct(dw, dy, x))
}

// weightProduct is the product that MatMulDW runs.
func weightProduct(dw, dy, x Mat) Product {
	return Product{Form: TN, Out: dw, A: dy, B: x, Accumulate: true}
}

// lower checks p and returns it in the form that package gemm works on.
func (p *Product) lower() gemm.Product {
	p.Out.check("Product.Out")
	p.A.check("Product.A")
	p.B.check("Product.B")
	g := gemm.Product{
		Out: p.Out.Data, A: p.A.Data, B: p.B.Data,
		LdOut: p.Out.Stride, LdA: p.A.Stride, LdB: p.B.Stride,
		TransA: p.Form == TN, TransB: p.Form == NT,
		Accumulate: p.Accumulate,
	}
	var k2 int
	switch p.Form {
	case NT:
		g.M, g.K, g.N, k2 = p.A.Rows, p.A.Cols, p.B.Rows, p.B.Cols
	case NN:
		g.M, g.K, g.N, k2 = p.A.Rows, p.A.Cols, p.B.Cols, p.B.Rows
	case TN:
		g.M, g.K, g.N, k2 = p.A.Cols, p.A.Rows, p.B.Cols, p.B.Rows
	default:
		panicf("kernel: Product.Form must be NT, NN or TN, got %v", p.Form)
	}
	if g.K != k2 || p.Out.Rows != g.M || p.Out.Cols != g.N {
		panicf("kernel: %v product does not fit: out %dx%d, a %dx%d, b %dx%d",
			p.Form, p.Out.Rows, p.Out.Cols, p.A.Rows, p.A.Cols, p.B.Rows, p.B.Cols)
	}
	return g
}

// panicf panics with a formatted message: the caller broke a rule of the API.
func panicf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
