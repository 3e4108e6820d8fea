package deepseek

import "github.com/temper-ml/temper/nn"

// output is the way from the residual streams to the vectors that the head
// projects: mix the streams down (V4), then normalise. The trunk has one, and
// every MTP block has its own.
type output struct {
	collapse *nn.Collapse // nil for a single stream
	norm     nn.RMSNorm
	layer    int // of the MTP block, -1 for the trunk

	x, a, rstd []float32
}

// forward writes y [T, D] from the streams x.
func (o *output) forward(y, x []float32, p *nn.Pass) {
	t := p.T()
	p.Enter(o.layer, "head")
	o.x, o.a, o.rstd = x, x, p.Arena.F32(t)
	if o.collapse != nil {
		o.a = p.Arena.F32(t * o.norm.Dim)
		o.collapse.Forward(o.a, x, p)
	}
	o.norm.Forward(y, o.rstd, o.a, t)
	p.See("norm", y)
	p.See("norm.scale", o.rstd)
}

// backward overwrites dx from dy.
func (o *output) backward(dx, dy []float32, p *nn.Pass) {
	p.Enter(o.layer, "head")
	p.See("norm", dy)
	if o.collapse == nil {
		clear(dx)
		o.norm.Backward(dx, dy, o.a, o.rstd, p.T())
		p.See("input", dx)
		return
	}
	m := p.Arena.Mark()
	defer p.Arena.Release(m)
	da := p.Arena.Zeros(len(o.a))
	o.norm.Backward(da, dy, o.a, o.rstd, p.T())
	p.See("mix", da)
	o.collapse.Backward(dx, da, o.x, p)
}

// badToken returns the first token whose streams are not finite, -1 if none.
func (o *output) badToken() int { return badScale(o.scales()) }

// scales returns what badToken looks at.
func (o *output) scales() []float32 {
	if o.collapse != nil {
		return o.collapse.RowScale()
	}
	return o.rstd
}
