package deepseek

import (
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/nn"
)

// mtp is a multi-token-prediction block: it joins what comes out of the trunk (or
// of the block before it) with the embedding of the token one
// place further ahead, runs a transformer block on the result, and predicts the token
// after that one.
type mtp struct {
	enorm, hnorm nn.RMSNorm
	eproj, hproj nn.Linear // V4
	ehproj       nn.Linear // V3: embedding columns first
	block        block
	last         bool // no block follows
	out          output
	streams, dim int

	level level   // what the block sees of the batch
	pass  nn.Pass // the same, for layers

	x            []float32 // what comes in [T', S, D], without each segment's last
	es, en, erms []float32 // embeddings, normalised, reciprocal root mean squares
	hn, hrms     []float32 // streams, normalised
}

// forward returns the inputs y [T', D] of the head and the streams for the next
// block, from the embedding table and the streams x of the level below.
func (m *mtp) forward(table, x []float32, rc Recompute) (y, next []float32) {
	p := &m.pass
	p.Enter(m.block.layer, "mtp")
	a, t, d, s := p.Arena, p.T(), m.dim, m.streams
	y, next = a.F32(t*d), a.F32(t*s*d)
	m.x = a.F32(t * s * d)
	m.level.take(m.x, x, s*d)
	m.predict(y, next, table, rc)
	return y, next
}

// predict computes y and next from the streams that came in, which are in m.x.
func (m *mtp) predict(y, next, table []float32, rc Recompute) {
	p := &m.pass
	a, t, d, s := p.Arena, p.T(), m.dim, m.streams
	in := a.F32(t * s * d)
	m.es, m.en, m.erms = a.F32(t*d), a.F32(t*d), a.F32(t)
	m.hn, m.hrms = a.F32(t*s*d), a.F32(t*s)
	p.See("streams", m.x)
	kernel.Embedding(m.es, table, p.Tokens, d)
	p.See("embedding", m.es)
	m.enorm.Forward(m.en, m.erms, m.es, t)
	p.See("embedding_norm", m.en)
	p.See("embedding_norm.scale", m.erms)
	m.hnorm.Forward(m.hn, m.hrms, m.x, t*s)
	p.See("streams_norm", m.hn)
	p.See("streams_norm.scale", m.hrms)
	m.join(in, p)
	p.See("joined", in)
	m.block.forward(next, in, p, rc)
	m.out.forward(y, next, p)
}

// join writes the block's input: e_proj e in every stream plus h_proj h of each
// stream; for V3 eh_proj of both, in one chain of products.
func (m *mtp) join(in []float32, p *nn.Pass) {
	t, d := p.T(), m.dim
	if m.ehproj.Data != nil {
		out, w := kernel.MatOf(in, t, d), m.ehproj.Mat()
		kernel.MatMul(out, kernel.MatOf(m.en, t, d), w.Slice(0, d, 0, d))
		p.See("embedding_projection", in)
		kernel.Run(kernel.Product{Form: kernel.NT, Out: out, A: kernel.MatOf(m.hn, t, d), B: w.Slice(0, d, d, 2*d), Accumulate: true})
		return
	}
	mark := p.Arena.Mark()
	defer p.Arena.Release(mark)
	e := p.Arena.F32(t * d)
	m.eproj.Forward(e, m.en, t)
	p.See("embedding_projection", e)
	m.hproj.Forward(in, m.hn, t*m.streams)
	p.See("streams_projection", in)
	nn.AddSpread(in, e, m.streams, d)
}

// backward takes dy, the gradient of the head's input, and dnext, that of the
// streams at the next block's rows (nil if there is none), to the embeddings,
// which it adds to dh by position of the batch, and to dx [T', S·D], the
// gradient of the incoming streams, which it overwrites.
func (m *mtp) backward(dx, dh, dy, dnext []float32, nextLevel *level, rc Recompute) error {
	p := &m.pass
	a, t := p.Arena, p.T()
	mark := a.Mark()
	defer a.Release(mark)
	d, spare := dx, a.F32(len(dx))
	m.out.backward(d, dy, p)
	if dnext != nil {
		nextLevel.addBack(d, dnext, m.streams*m.dim)
	}
	if m.streams > 1 && !m.last {
		p.See("streams", d)
	}
	if err := m.block.backward(d, spare, p, rc); err != nil {
		return err
	}
	p.Enter(m.block.layer, "mtp")
	den := a.F32(t * m.dim)
	m.joinBackward(den, spare, d, p)
	p.See("embedding_norm", den)
	p.See("streams_norm", spare)
	de := a.Zeros(t * m.dim)
	m.enorm.Backward(de, den, m.es, m.erms, t)
	p.See("embedding", de)
	kernel.Zero(dx)
	m.hnorm.Backward(dx, spare, m.x, m.hrms, t*m.streams)
	p.See("streams", dx)
	kernel.ScatterAddRows(dh, de, m.level.ahead, m.dim)
	return nil
}

// joinBackward overwrites the gradients of the normalised embeddings (den) and
// streams (dhn) from that of the block's input.
func (m *mtp) joinBackward(den, dhn, din []float32, p *nn.Pass) {
	t, d := p.T(), m.dim
	if m.ehproj.Data != nil {
		g, w := kernel.MatOf(din, t, d), m.ehproj.Mat()
		kernel.MatMulDX(kernel.MatOf(den, t, d), g, w.Slice(0, d, 0, d), false)
		kernel.MatMulDX(kernel.MatOf(dhn, t, d), g, w.Slice(0, d, d, 2*d), false)
		dw := m.ehproj.GradMat()
		kernel.MatMulDW(dw.Slice(0, d, 0, d), g, kernel.MatOf(m.en, t, d))
		kernel.MatMulDW(dw.Slice(0, d, d, 2*d), g, kernel.MatOf(m.hn, t, d))
		return
	}
	mark := p.Arena.Mark()
	defer p.Arena.Release(mark)
	dep := p.Arena.F32(t * d)
	nn.SumStreams(dep, din, m.streams, d)
	p.See("embedding_projection", dep)
	m.eproj.Backward(den, dep, m.en, t, false)
	m.hproj.Backward(dhn, din, m.hn, t*m.streams, false)
}
