package attention

import (
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/nn"
)

// project returns the product y = x wᵀ of a linear layer with w [out, in].
func project(y, x []float32, w nn.Weight, rows, in, out int) kernel.Product {
	return kernel.Product{
		Form: kernel.NT, Out: kernel.MatOf(y, rows, out), A: kernel.MatOf(x, rows, in), B: kernel.MatOf(w.Data, out, in),
	}
}

// backProject returns the product dx = dy w, or dx += dy w.
func backProject(dx, dy []float32, w nn.Weight, rows, in, out int, accumulate bool) kernel.Product {
	return kernel.Product{
		Form: kernel.NN, Out: kernel.MatOf(dx, rows, in), A: kernel.MatOf(dy, rows, out), B: kernel.MatOf(w.Data, out, in),
		Accumulate: accumulate,
	}
}

// products collects independent matrix products, to be run together.
type products []kernel.Product

func (p *products) add(ps ...kernel.Product) { *p = append(*p, ps...) }

// addWeight adds dw += dyᵀ x unless the weight is frozen.
func (p *products) addWeight(w nn.Weight, dy, x []float32, rows, in, out int) {
	if w.Trained() {
		p.add(kernel.Product{
			Form: kernel.TN, Out: kernel.MatOf(w.Grad, out, in), A: kernel.MatOf(dy, rows, out), B: kernel.MatOf(x, rows, in),
			Accumulate: true,
		})
	}
}

// run computes the products collected and forgets them.
func (p *products) run() {
	kernel.Run(*p...)
	clear(*p)
	*p = (*p)[:0]
}
