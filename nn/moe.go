package nn

import "github.com/temper-ml/temper/compute/kernel"

// Expert is one SwiGLU feed-forward network: y = W2 (silu(W1 x) · W3 x), with
// W1 (gate) and W3 (up) of shape [F, D] and W2 (down) of shape [D, F].
type Expert struct {
	W1, W2, W3 Weight
}

// MoE is the mixture-of-experts sublayer: each token goes through the K routed
// experts its [Router] chose and through the shared expert. To the shared
// expert's output (or zero) the routed ones are added one by one, in ascending
// expert order. The routing weight multiplies the hidden activation, before W2.
// Gate and up activations are clamped: gate to at most Limit, up to ±Limit (no
// clamp when Limit is 0).
type MoE struct {
	Router   Router
	Experts  []Expert // those computed here
	Shared   *Expert  // nil when there is none
	Dispatch Dispatcher

	Dim, Hidden, SharedHidden int
	Limit                     float32

	// Saved between Forward and Backward.
	routing Routing
	start   []int32     // [local experts + 1] expert rows
	weight  []float32   // [N] weight of each expert row
	routed  activations // of the expert rows
	shared  activations // of the tokens
	jobs    []kernel.Product
}

// activations are the hidden values of a SwiGLU network: gate and up before the
// clamp, and h = weight · silu(gate) · up.
type activations struct {
	gate, up, h []float32 // [rows, F]
}

func newActivations(a *Arena, rows, hidden int) activations {
	return activations{a.F32(rows * hidden), a.F32(rows * hidden), a.F32(rows * hidden)}
}

// gradients returns where the gradients of gate, up and h go: the first two
// replace the values, which are not needed any more then.
func (v activations) gradients(a *Arena) activations {
	return activations{v.gate, v.up, a.F32(len(v.h))}
}

// Routing returns the outcome of the last Forward.
func (m *MoE) Routing() *Routing { return &m.routing }

// Balance returns the balance loss of the last Forward: see [Router.Balance].
func (m *MoE) Balance(p *Pass) float64 { return m.Router.Balance(&m.routing, p) }

// Forward writes out [T, D] from x [T, D].
func (m *MoE) Forward(out, x []float32, p *Pass) {
	t, a := p.T(), p.Arena
	m.Router.Route(&m.routing, x, p)
	m.start = m.Dispatch.Place(&m.routing, a)
	n := int(m.start[len(m.Experts)])
	m.weight = a.F32(n)
	m.Dispatch.ScatterPairs(m.weight, m.routing.Weights, &m.routing)
	m.routed = newActivations(a, n, m.Hidden)
	if m.Shared != nil {
		m.shared = newActivations(a, t, m.SharedHidden)
	}

	scratch := a.Mark()
	defer a.Release(scratch)
	rows := a.F32(n * m.Dim) // the tokens going in, then the results coming out
	m.Dispatch.Scatter(rows, x, &m.routing, m.Dim)
	p.SeePairs("experts.input", rows, &m.routing)
	m.gateUp(rows, x, t)
	m.see(p, "gate", m.routed.gate, m.shared.gate)
	m.see(p, "up", m.routed.up, m.shared.up)
	kernel.SwiGLU(m.routed.h, m.routed.gate, m.routed.up, m.weight, n, m.Hidden, m.Limit)
	if m.Shared != nil {
		kernel.SwiGLU(m.shared.h, m.shared.gate, m.shared.up, nil, t, m.SharedHidden, m.Limit)
	} else {
		kernel.Zero(out)
	}
	m.see(p, "hidden", m.routed.h, m.shared.h)
	m.down(rows, out, t)
	m.see(p, "output", rows, out)
	m.Dispatch.Combine(out, rows, &m.routing, m.Dim)
	p.See("output", out)
}

// see shows what the routed experts and the shared one computed. Expert rows are
// the routing's pairs, which only one rank's are.
func (m *MoE) see(p *Pass, what string, routed, shared []float32) {
	if p.Watch == nil {
		return
	}
	p.SeePairs("experts."+what, routed, &m.routing)
	if m.Shared != nil {
		p.See("shared."+what, shared)
	}
}

// gateUp runs W1 and W3 of all experts as one group of products.
func (m *MoE) gateUp(rows, x []float32, t int) {
	m.jobs = m.jobs[:0]
	for e, ex := range m.Experts {
		if m.idle(e) {
			continue
		}
		m.add(kernel.NT, m.of(m.routed.gate, e, m.Hidden), m.of(rows, e, m.Dim), ex.W1.mat(m.Hidden, m.Dim), false)
		m.add(kernel.NT, m.of(m.routed.up, e, m.Hidden), m.of(rows, e, m.Dim), ex.W3.mat(m.Hidden, m.Dim), false)
	}
	if s := m.Shared; s != nil {
		f := m.SharedHidden
		m.add(kernel.NT, kernel.MatOf(m.shared.gate, t, f), kernel.MatOf(x, t, m.Dim), s.W1.mat(f, m.Dim), false)
		m.add(kernel.NT, kernel.MatOf(m.shared.up, t, f), kernel.MatOf(x, t, m.Dim), s.W3.mat(f, m.Dim), false)
	}
	kernel.Run(m.jobs...)
}

// down runs W2 of all experts as one group: rows for the routed ones, out for
// the shared one.
func (m *MoE) down(rows, out []float32, t int) {
	m.jobs = m.jobs[:0]
	for e, ex := range m.Experts {
		if m.idle(e) {
			continue
		}
		m.add(kernel.NT, m.of(rows, e, m.Dim), m.of(m.routed.h, e, m.Hidden), ex.W2.mat(m.Dim, m.Hidden), false)
	}
	if s := m.Shared; s != nil {
		f := m.SharedHidden
		m.add(kernel.NT, kernel.MatOf(out, t, m.Dim), kernel.MatOf(m.shared.h, t, f), s.W2.mat(m.Dim, f), false)
	}
	kernel.Run(m.jobs...)
}

// idle tells whether no token goes to expert e, as with few tokens most do not.
func (m *MoE) idle(e int) bool { return m.start[e] == m.start[e+1] }

// add appends a product to the group.
func (m *MoE) add(form kernel.Form, out, a, b kernel.Mat, accumulate bool) {
	m.jobs = append(m.jobs, kernel.Product{Form: form, Out: out, A: a, B: b, Accumulate: accumulate})
}

// of returns the rows of expert e in a matrix of expert rows.
func (m *MoE) of(data []float32, e, cols int) kernel.Mat {
	lo, hi := int(m.start[e]), int(m.start[e+1])
	return kernel.MatOf(data[lo*cols:hi*cols], hi-lo, cols)
}

func (w Weight) mat(rows, cols int) kernel.Mat     { return kernel.MatOf(w.Data, rows, cols) }
func (w Weight) gradMat(rows, cols int) kernel.Mat { return kernel.MatOf(w.Grad, rows, cols) }

// Floats returns the arena memory, in 4-byte elements, that Forward keeps for t
// tokens and the most that Forward or Backward hold on top of it.
func (m *MoE) Floats(t int) (saved, scratch int) {
	n, f := t*m.Router.TopK, 0
	if m.Shared != nil {
		f = t * m.SharedHidden
	}
	h := n * m.Hidden
	saved = m.Router.RouterFloats(t) + ArenaSize(n, h, h, h, f, f, f)
	return saved, ArenaSize(n, n, n*m.Dim, n*m.Dim, h, f, t*m.Router.Experts, m.Router.Experts)
}
