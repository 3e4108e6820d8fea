package nn

import "github.com/temper-ml/temper/compute/kernel"

// FFN is the dense SwiGLU feed-forward sublayer of the first layers of V3.
type FFN struct {
	Expert
	Dim, Hidden int
	Limit       float32 // clamp as in [MoE]; 0 = none

	saved activations
}

func (f *FFN) linears() (w1, w2, w3 Linear) {
	return Linear{f.W1, f.Dim, f.Hidden}, Linear{f.W2, f.Hidden, f.Dim}, Linear{f.W3, f.Dim, f.Hidden}
}

// Forward writes out [T, D] from x [T, D].
func (f *FFN) Forward(out, x []float32, p *Pass) {
	t := p.T()
	w1, w2, w3 := f.linears()
	f.saved = newActivations(p.Arena, t, f.Hidden)
	w1.Forward(f.saved.gate, x, t)
	p.See("dense.gate", f.saved.gate)
	w3.Forward(f.saved.up, x, t)
	p.See("dense.up", f.saved.up)
	kernel.SwiGLU(f.saved.h, f.saved.gate, f.saved.up, nil, t, f.Hidden, f.Limit)
	p.See("dense.hidden", f.saved.h)
	w2.Forward(out, f.saved.h, t)
	p.See("output", out)
}

// Backward overwrites dx [T, D] from dout [T, D], with the x of Forward.
func (f *FFN) Backward(dx, dout, x []float32, p *Pass) {
	t := p.T()
	m := p.Arena.Mark()
	defer p.Arena.Release(m)
	w1, w2, w3 := f.linears()
	d := f.saved.gradients(p.Arena)
	w2.Backward(d.h, dout, f.saved.h, t, false)
	p.See("dense.hidden", d.h)
	kernel.SwiGLUBackward(d.gate, d.up, nil, d.h, f.saved.gate, f.saved.up, nil, t, f.Hidden, f.Limit)
	p.See("dense.gate", d.gate)
	p.See("dense.up", d.up)
	w1.Backward(dx, d.gate, x, t, false)
	p.See("norm.gate", dx)
	w3.Backward(dx, d.up, x, t, true)
	p.See("norm", dx)
}

// Floats returns the arena memory, in 4-byte elements, that Forward keeps for t
// tokens and the most that Forward or Backward hold on top of it.
func (f *FFN) Floats(t int) (saved, scratch int) {
	return 3 * aligned(t*f.Hidden), aligned(t * f.Hidden)
}
