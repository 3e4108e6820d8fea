package costmodel

import (
	"github.com/temper-ml/temper/cluster/costmodel/fabric"
	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/distributed/mesh"
)

// Pass is what one pass (forward, gradient of inputs, gradient of weights, or
// recomputation) of a part of the model costs one rank and one micro-batch, in
// seconds. Messages count as far as nothing hides them; Hidden is the rest.
type Pass struct {
	Product   float64 // dense and grouped matrix products
	Attention float64
	Vector    float64 // kernels bound by memory
	Launch    float64 // gaps between kernels, and the host falling behind
	TP        float64 // exposed messages, by axis
	CP        float64
	EP        float64
	Hidden    float64 // messages that run beside compute; not part of Seconds
}

// Seconds returns the time of the pass.
func (p *Pass) Seconds() float64 { return p.Compute() + p.TP + p.CP + p.EP }

// Compute returns the time of the pass without messages.
func (p *Pass) Compute() float64 { return p.Product + p.Attention + p.Vector + p.Launch }

// Add returns the sum of two passes.
func (p Pass) Add(q Pass) Pass {
	return Pass{
		p.Product + q.Product, p.Attention + q.Attention, p.Vector + q.Vector, p.Launch + q.Launch,
		p.TP + q.TP, p.CP + q.CP, p.EP + q.EP, p.Hidden + q.Hidden,
	}
}

// Times returns the pass, done f times.
func (p Pass) Times(f float64) Pass {
	return Pass{p.Product * f, p.Attention * f, p.Vector * f, p.Launch * f, p.TP * f, p.CP * f, p.EP * f, p.Hidden * f}
}

// PassCost is what the passes of one part, or of one chunk of a stage, cost for
// one micro-batch. The recomputation runs at the start of the backward pass.
type PassCost struct {
	Forward, Recompute, BackwardInput, BackwardWeight Pass
}

// Add returns the sum of two parts.
func (c PassCost) Add(d PassCost) PassCost {
	return PassCost{c.Forward.Add(d.Forward), c.Recompute.Add(d.Recompute), c.BackwardInput.Add(d.BackwardInput), c.BackwardWeight.Add(d.BackwardWeight)}
}

// Times returns the cost of f such parts.
func (c PassCost) Times(f float64) PassCost {
	return PassCost{c.Forward.Times(f), c.Recompute.Times(f), c.BackwardInput.Times(f), c.BackwardWeight.Times(f)}
}

// Backward returns recomputation and both gradients together.
func (c *PassCost) Backward() Pass {
	return c.Recompute.Add(c.BackwardInput).Add(c.BackwardWeight)
}

// Seconds returns the time of all passes.
func (c *PassCost) Seconds() float64 {
	return c.Forward.Seconds() + c.Recompute.Seconds() + c.BackwardInput.Seconds() + c.BackwardWeight.Seconds()
}

// partTimer times the operators of one sharding.
type partTimer struct {
	r      *rates
	f      *fabric.Fabric
	engine *operator.Engine
	groups [operator.ETP + 1]mesh.Group // by axis
}

// cost returns what a part costs under a choice of recomputation.
func (t *partTimer) cost(w *operator.BlockWork, again operator.Recompute) PassCost {
	c := t.passes(w)
	t.recompute(&c, w, again)
	return c
}

// passes returns what the passes of a part cost that no choice of recomputation
// changes.
func (t *partTimer) passes(w *operator.BlockWork) PassCost {
	return PassCost{Forward: t.pass(w.Forward, false), BackwardInput: t.pass(w.BackwardInput, true), BackwardWeight: t.pass(w.BackwardWeight, true)}
}

// recompute completes the cost of a part with a choice of recomputation.
func (t *partTimer) recompute(c *PassCost, w *operator.BlockWork, again operator.Recompute) {
	c.Recompute = t.pass(w.Again(again), false)
	whole := again&operator.Recompute(operator.Whole) != 0
	if t.engine.Interleave && !whole && t.f.Outermost(t.groups[operator.EP]) {
		t.interleave(c)
	}
}

// interleave hides all-to-alls behind the compute of another micro-batch's pass
// through the same part, as a schedule of pairs would: engines do so where tokens
// leave the links of their own machine, and not while everything is recomputed. The few micro-batches
// that fill and drain the pipeline have no partner; that they hide theirs too is
// neglected.
func (t *partTimer) interleave(c *PassCost) {
	messages, compute := 0.0, 0.0
	passes := []*Pass{&c.Forward, &c.Recompute, &c.BackwardInput, &c.BackwardWeight}
	for _, p := range passes {
		messages += p.EP
		compute += p.Compute()
	}
	if messages <= 0 {
		return
	}
	share := min(1, t.r.ep*compute/messages)
	for _, p := range passes {
		hidden := share * p.EP
		p.EP -= hidden
		p.Hidden += hidden
		p.Launch += float64(hidden * t.r.slow)
	}
}

// pass adds up the operators of one pass in order.
func (t *partTimer) pass(ops []operator.Operator, backward bool) Pass {
	var p Pass
	var launches, calls, beside float64
	for i := range ops {
		o := &ops[i]
		switch o.Class {
		case operator.Product, operator.GroupedProduct:
			p.Product += t.r.multiply(o)
		case operator.Attention:
			pieces := t.pieces(o)
			a := t.r.attend(o, t.engine.FlashAttention, backward, pieces)
			if t.groups[operator.CP].Size > 1 {
				a /= t.r.pieces
			}
			p.Attention += a
			launches += float64(pieces - 1)
		case operator.Vector:
			p.Vector += o.Bytes / t.r.memory
			if o.Name == "router" && !backward {
				p.Launch += t.r.pause
			}
		case operator.Collective:
			beside += t.message(&p, o)
		}
		launches += float64(o.Launches)
		calls += float64(hostWork(o) * float64(o.Launches))
	}
	p.Launch += float64(launches * t.r.gap)
	p.Launch += float64(beside * t.r.slow)
	if backward {
		calls /= 2
	}
	if late := float64(calls*t.r.host) - p.Seconds(); late > 0 {
		p.Launch += late
	}
	return p
}

// pieces returns into how many kernels a ring of context parallel ranks cuts
// attention: keys arrive from one rank after another.
func (t *partTimer) pieces(o *operator.Operator) int {
	if t.engine.CP != operator.SendRecv || o.Name != "attn.full" {
		return 1
	}
	return max(1, t.groups[operator.CP].Size)
}

// hostWork is the host's work for one kernel of the operator over that for a
// plain one: products, attention and messages come wrapped in modules. In the
// backward pass no module runs, only what it recorded.
func hostWork(o *operator.Operator) float64 {
	if o.Class == operator.Vector {
		return 1
	}
	return 3
}

// message adds one message to the pass and returns how much of it is hidden.
func (t *partTimer) message(p *Pass, o *operator.Operator) float64 {
	g := t.groups[o.Axis]
	var s float64
	if o.Pattern == operator.AllToAll {
		s = t.f.Exchange(fabric.Tokens{Payload: o.Payload, TopK: o.TopK, Fanout: o.Fanout, Groups: o.Groups}, g)
	} else {
		s = t.f.Collective(patterns[o.Pattern], o.Payload, g)
	}
	hidden := 0.0
	switch o.Axis {
	case operator.TP, operator.ETP:
		if o.Overlap {
			hidden = s * t.r.tp
		}
		p.TP += s - hidden
	case operator.CP:
		if o.Overlap {
			hidden = s * t.r.cp
		}
		p.CP += s - hidden
	case operator.EP:
		p.EP += s
	}
	p.Hidden += hidden
	return hidden
}

var patterns = [...]fabric.Pattern{
	operator.AllGather: fabric.AllGather, operator.ReduceScatter: fabric.ReduceScatter,
	operator.AllReduce: fabric.AllReduce, operator.AllToAll: fabric.AllToAll, operator.SendRecv: fabric.SendRecv,
}
