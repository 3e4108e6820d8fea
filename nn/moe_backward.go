package nn

import "github.com/temper-ml/temper/compute/kernel"

// Backward overwrites dx [T, D] from dout [T, D], with the x of Forward. The
// parts of dx add up in this order: shared W1, shared W3, router, then the
// routed experts, ascending, each with its W1 and W3 parts summed.
func (m *MoE) Backward(dx, dout, x []float32, p *Pass) {
	t, a := p.T(), p.Arena
	mark := a.Mark()
	defer a.Release(mark)
	n := int(m.start[len(m.Experts)])
	dweight, dpairs := a.F32(n), a.F32(len(m.routing.Weights))
	dy, rows := a.F32(n*m.Dim), a.F32(n*m.Dim)
	m.Dispatch.Scatter(dy, dout, &m.routing, m.Dim)
	p.SeePairs("experts.output", dy, &m.routing)
	m.Dispatch.Scatter(rows, x, &m.routing, m.Dim)
	before := p.Again(true)
	p.SeePairs("experts.input", rows, &m.routing)
	p.Again(before)
	d := m.routed.gradients(a)
	var ds activations
	if m.Shared != nil {
		ds = m.shared.gradients(a)
	}

	m.downBackward(d, ds, dy, dout, t)
	m.see(p, "hidden", d.h, ds.h)
	kernel.SwiGLUBackward(d.gate, d.up, dweight, d.h, m.routed.gate, m.routed.up, m.weight, n, m.Hidden, m.Limit)
	if m.Shared != nil {
		kernel.SwiGLUBackward(ds.gate, ds.up, nil, ds.h, m.shared.gate, m.shared.up, nil, t, m.SharedHidden, m.Limit)
	}
	p.SeePairs("router.weights", dweight, &m.routing)
	m.see(p, "gate", d.gate, ds.gate)
	m.see(p, "up", d.up, ds.up)
	m.gateUpGradients(d, ds, rows, x, t)
	m.inputGradients(dy, d)
	p.SeePairs("experts.input", dy, &m.routing)
	if s := m.Shared; s != nil {
		w1 := Linear{Weight: s.W1, In: m.Dim, Out: m.SharedHidden}
		w3 := Linear{Weight: s.W3, In: m.Dim, Out: m.SharedHidden}
		w1.input(dx, ds.gate, t, false)
		w3.input(dx, ds.up, t, true)
		p.See("norm.shared", dx)
	} else {
		kernel.Zero(dx)
	}
	m.Dispatch.CollectPairs(dpairs, dweight, &m.routing)
	m.Router.Backward(dx, dpairs, x, &m.routing, p)
	m.Dispatch.Combine(dx, dy, &m.routing, m.Dim)
	p.See("norm", dx)
}

// input writes dx = dy W, or adds to dx.
func (l *Linear) input(dx, dy []float32, rows int, accumulate bool) {
	kernel.MatMulDX(kernel.MatOf(dx, rows, l.In), kernel.MatOf(dy, rows, l.Out), l.Mat(), accumulate)
}

// downBackward: dh = dy W2 and dW2 += dyᵀ h, for all experts as one group.
func (m *MoE) downBackward(d, ds activations, dy, dout []float32, t int) {
	m.jobs = m.jobs[:0]
	for e, ex := range m.Experts {
		g := m.of(dy, e, m.Dim)
		m.add(kernel.NN, m.of(d.h, e, m.Hidden), g, ex.W2.mat(m.Dim, m.Hidden), false)
		if ex.W2.Trained() {
			m.add(kernel.TN, ex.W2.gradMat(m.Dim, m.Hidden), g, m.of(m.routed.h, e, m.Hidden), true)
		}
	}
	if s := m.Shared; s != nil {
		g, f := kernel.MatOf(dout, t, m.Dim), m.SharedHidden
		m.add(kernel.NN, kernel.MatOf(ds.h, t, f), g, s.W2.mat(m.Dim, f), false)
		if s.W2.Trained() {
			m.add(kernel.TN, s.W2.gradMat(m.Dim, f), g, kernel.MatOf(m.shared.h, t, f), true)
		}
	}
	kernel.Run(m.jobs...)
}

// gateUpGradients: dW1 += dgateᵀ x and dW3 += dupᵀ x, for all experts as one
// group.
func (m *MoE) gateUpGradients(d, ds activations, rows, x []float32, t int) {
	m.jobs = m.jobs[:0]
	for e, ex := range m.Experts {
		in := m.of(rows, e, m.Dim)
		if ex.W1.Trained() {
			m.add(kernel.TN, ex.W1.gradMat(m.Hidden, m.Dim), m.of(d.gate, e, m.Hidden), in, true)
		}
		if ex.W3.Trained() {
			m.add(kernel.TN, ex.W3.gradMat(m.Hidden, m.Dim), m.of(d.up, e, m.Hidden), in, true)
		}
	}
	if s := m.Shared; s != nil {
		in, f := kernel.MatOf(x, t, m.Dim), m.SharedHidden
		if s.W1.Trained() {
			m.add(kernel.TN, s.W1.gradMat(f, m.Dim), kernel.MatOf(ds.gate, t, f), in, true)
		}
		if s.W3.Trained() {
			m.add(kernel.TN, s.W3.gradMat(f, m.Dim), kernel.MatOf(ds.up, t, f), in, true)
		}
	}
	kernel.Run(m.jobs...)
}

// inputGradients: drows = dgate W1, then += dup W3; each a group over experts.
func (m *MoE) inputGradients(drows []float32, d activations) {
	m.jobs = m.jobs[:0]
	for e, ex := range m.Experts {
		m.add(kernel.NN, m.of(drows, e, m.Dim), m.of(d.gate, e, m.Hidden), ex.W1.mat(m.Hidden, m.Dim), false)
	}
	kernel.Run(m.jobs...)
	m.jobs = m.jobs[:0]
	for e, ex := range m.Experts {
		m.add(kernel.NN, m.of(drows, e, m.Dim), m.of(d.up, e, m.Hidden), ex.W3.mat(m.Hidden, m.Dim), true)
	}
	kernel.Run(m.jobs...)
}
