package nn

import "github.com/temper-ml/temper/compute/kernel"

// Collapse turns the four residual streams back into one vector per token
// before the output head: y = Σ_k pre_k X_k with
// pre = sigmoid(Fn x · rstd · Scale + Base) + Eps. Fn is [4, 4D], Base [4],
// Scale [1].
type Collapse struct {
	Fn, Base, Scale Weight
	Dim             int
	Eps, NormEps    float32

	rstd, maps, pre []float32 // saved: [T], [T, 4], [T, 4]
}

func (c *Collapse) fn() *Linear {
	return &Linear{Weight: c.Fn, In: Streams * c.Dim, Out: Streams}
}

// CollapseFloats is the arena memory that [Collapse.Forward] keeps for each token.
const CollapseFloats = 1 + 2*Streams

// Forward writes y [T, D] from x [T, 4, D].
func (c *Collapse) Forward(y, x []float32, p *Pass) {
	t := p.T()
	c.rstd, c.maps, c.pre = p.Arena.F32(t), p.Arena.F32(t*Streams), p.Arena.F32(t*Streams)
	kernel.RowRMS(c.rstd, x, t, Streams*c.Dim, c.NormEps)
	p.See("mix.scale", c.rstd)
	c.fn().Forward(c.maps, x, t)
	p.See("mix.projection", c.maps)
	kernel.ScaleRows(c.maps, c.rstd, t, Streams)
	p.See("mix.maps", c.maps)
	scale := c.Scale.Data[0]
	for i, m := range c.maps {
		c.pre[i] = kernel.FMA32(m, scale, c.Base.Data[i%Streams])
	}
	kernel.Sigmoid(c.pre, c.pre)
	for i := range c.pre {
		c.pre[i] += c.Eps
	}
	p.See("mix.pre", c.pre)
	kernel.HCPre(y, x, c.pre, t, c.Dim)
	p.See("mix", y)
}

// RowScale returns the reciprocal root mean square of each token's streams.
func (c *Collapse) RowScale() []float32 { return c.rstd }

// Backward overwrites dx [T, 4, D].
func (c *Collapse) Backward(dx, dy, x []float32, p *Pass) {
	t := p.T()
	m := p.Arena.Mark()
	defer p.Arena.Release(m)
	dpre, coef := p.Arena.F32(t*Streams), p.Arena.F32(t)
	kernel.Zero(dx)
	kernel.HCPreBackward(dx, dpre, dy, x, c.pre, t, c.Dim)
	p.See("mix.pre", dpre)
	p.See("input.mix", dx)
	for i, d := range dpre {
		s := c.pre[i] - c.Eps
		dpre[i] = float32(d * float32(s*(1-s)))
	}
	c.addBaseAndScale(dpre)
	kernel.Scale(dpre, c.Scale.Data[0])
	p.See("mix.maps", dpre)
	normMapsBackward(coef, dpre, c.maps, c.rstd, t, Streams, Streams*c.Dim)
	p.See("mix.scale", coef)
	p.See("mix.projection", dpre)
	c.fn().Backward(dx, dpre, x, t, true)
	p.See("input.maps", dx)
	kernel.AxpyRows(dx, coef, x, t, Streams*c.Dim)
	p.See("input", dx)
}

// addBaseAndScale adds the gradient dz [T, 4] of the sigmoid's input to the
// gradients of Base and Scale: one chain over tokens, streams ascending.
func (c *Collapse) addBaseAndScale(dz []float32) {
	if !c.Base.Trained() || !c.Scale.Trained() {
		return
	}
	scale := c.Scale.Grad[0]
	for i, d := range dz {
		c.Base.Grad[i%Streams] += d
		scale = kernel.FMA32(d, c.maps[i], scale)
	}
	c.Scale.Grad[0] = scale
}
