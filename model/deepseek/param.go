package deepseek

import (
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/nn"
)

// Param is one parameter tensor: its row in the architecture's table, its
// values, and its gradient accumulator. Values are row-major float32, also for
// the expert table tid2eid, whose entries are small integers. Grad is nil for
// frozen tensors and for a model made without gradients.
type Param struct {
	arch.Tensor
	Data, Grad []float32
}

func (p *Param) weight() nn.Weight { return nn.Weight{Data: p.Data, Grad: p.Grad} }

// allocate makes the parameters of a configuration in two slabs, values and
// gradients, in the architecture's order.
func allocate(cfg *arch.Config, gradients bool) []*Param {
	tensors := cfg.Tensors()
	values, trained := 0, 0
	for i := range tensors {
		values += align(tensors[i].Len())
		if !tensors[i].Frozen {
			trained += align(tensors[i].Len())
		}
	}
	data := make([]float32, values)
	var grad []float32
	if gradients {
		grad = make([]float32, trained)
	}
	params := make([]*Param, len(tensors))
	for i, t := range tensors {
		p := &Param{Tensor: t}
		p.Data, data = cut(data, t.Len())
		if gradients && !t.Frozen {
			p.Grad, grad = cut(grad, t.Len())
		}
		params[i] = p
	}
	return params
}

// cut splits n aligned elements off the front of a slab.
func cut(slab []float32, n int) (piece, rest []float32) {
	return slab[:n:n], slab[align(n):]
}

// align rounds up to 64 bytes, so that every tensor starts on a cache line of its own.
func align(n int) int { return (n + 15) &^ 15 }
