package sim

import (
	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/costmodel/operator"
)

// phases is what one pass of one part of the model consists of, in seconds: a
// block works, exchanges with its tensor and context groups, sends its tokens
// to their experts, lets its own experts work, and gets the tokens back.
type phases struct {
	work, tp, cp, ep, experts float64
}

func (p phases) add(q phases) phases {
	return phases{p.work + q.work, p.tp + q.tp, p.cp + q.cp, p.ep + q.ep, p.experts + q.experts}
}

// passes are the phases of a part for every pass.
type passes struct {
	forward, recompute, input, weight phases
}

func (p passes) add(q passes) passes {
	return passes{p.forward.add(q.forward), p.recompute.add(q.recompute), p.input.add(q.input), p.weight.add(q.weight)}
}

// split cuts the cost of a part into phases. The cost model has the time of
// all products and all kernels of a pass; the experts' share of it is that of
// their operations and of their traffic.
func split(p *costmodel.PartCost, again operator.Recompute) passes {
	w := p.Work
	return passes{
		forward:   splitPass(&p.Forward, w.Forward),
		recompute: splitPass(&p.Recompute, w.Again(again)),
		input:     splitPass(&p.BackwardInput, w.BackwardInput),
		weight:    splitPass(&p.BackwardWeight, w.BackwardWeight),
	}
}

func splitPass(p *costmodel.Pass, ops []operator.Operator) phases {
	var flops, grouped, bytes, routed float64
	for i := range ops {
		o := &ops[i]
		switch o.Class {
		case operator.GroupedProduct:
			flops += o.FLOPs
			grouped += o.FLOPs
		case operator.Product:
			flops += o.FLOPs
		case operator.Vector:
			bytes += o.Bytes
			if o.Name == "experts" {
				routed += o.Bytes
			}
		}
	}
	experts := 0.0
	if flops > 0 {
		experts += float64(p.Product * (grouped / flops))
	}
	if bytes > 0 {
		experts += float64(p.Vector * (routed / bytes))
	}
	experts = min(experts, p.Compute())
	return phases{work: p.Compute() - experts, tp: p.TP, cp: p.CP, ep: p.EP, experts: experts}
}
