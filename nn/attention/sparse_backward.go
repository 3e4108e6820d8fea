package attention

import (
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/nn"
)

// Backward overwrites dx [T, D] with the gradient of x, given that of out, and
// adds to the gradients of the weights. x must be what Forward was given. If
// the pass has an IndexerScale, the indexer's weights get the gradient of its
// loss times that scale; see [Sparse.KL].
func (s *Sparse) Backward(dx, dout, x []float32, p *nn.Pass) {
	e := s.begin(p)
	learn := s.index != nil && p.IndexerScale != 0
	mark := p.Arena.Mark()
	defer p.Arena.Release(mark)
	b := s.takeBackward(p.Arena, e, learn)
	s.rotate(&b.sparseRows, e)
	before := p.Again(true)
	s.latentQuery(&b.sparseRows, e)
	s.queries(&b.sparseRows, e)
	s.keys(&b.sparseRows, e)
	if s.comp != nil {
		s.comp.finish(b.entries, b.blockRot, p)
	}
	p.Again(before)
	s.outputBackward(&b, dout, e)
	s.attentionBackward(&b, e)
	s.queryBackward(&b, dx, x, e)
	s.keyBackward(&b, dx, x, e)
	if s.comp != nil {
		kernel.Add(b.dck, b.dck, b.dcv)
		p.SeeEntries("compressor.entries", b.dck, s.c.Ratio)
		s.comp.backward(&s.work, dx, b.dck, x, b.blockRot, b.comp, b.pool, p)
	}
	p.See("norm", dx)
	s.kl = 0
	if learn {
		s.kl = s.index.backward(&s.work, &b, x, e, p.IndexerScale)
	}
	s.work.run()
}

// outputBackward computes do, the gradient of the attention's outputs before
// they were rotated back, and delta.
func (s *Sparse) outputBackward(b *sparseBackward, dout []float32, e extent) {
	c, v, T := &s.c, &s.saved, e.tokens
	s.work.add(backProject(b.dz, dout, s.WOB, T, c.OutGroups*c.OutRank, c.Hidden, false))
	s.work.addWeight(s.WOB, dout, v.z, T, c.OutGroups*c.OutRank, c.Hidden)
	s.work.run()
	e.pass.See("o_a", b.dz)
	for g := range c.OutGroups {
		dz, do, w, _ := s.group(g, b.dz, b.do, e)
		_, o, _, dw := s.group(g, v.z, v.o, e)
		s.work.add(kernel.Product{Form: kernel.NN, Out: do, A: dz, B: w})
		if s.WOA.Trained() {
			s.work.add(kernel.Product{Form: kernel.TN, Out: dw, A: dz, B: o, Accumulate: true})
		}
	}
	s.work.run()
	e.pass.See("attended.rotated", b.do)
	// Turning both sides of an inner product leaves it as it is.
	kernel.DotRows(b.delta, b.do, v.o, T*c.Heads, c.HeadDim)
	e.pass.See("attended.dots", b.delta)
	kernel.Rope(b.do, T, c.Heads, c.HeadDim, b.tokenRot.cos, b.tokenRot.sin, false)
	e.pass.See("attended", b.do)
}

// attentionBackward computes the gradients of queries, keys and entries.
func (s *Sparse) attentionBackward(b *sparseBackward, e extent) {
	dim, rows := s.c.HeadDim, e.tokens*s.c.Heads
	s.operands(&b.sparseRows, e)
	h := &s.heads[0]
	h.DO, h.Delta, h.DQ = kernel.MatOf(b.do, rows, dim), b.delta, kernel.MatOf(b.dq, rows, dim)
	h.DK, h.DV = kernel.MatOf(b.dk, e.tokens, dim), kernel.MatOf(b.dv, e.tokens, dim)
	h.DCK, h.DCV = kernel.MatOf(b.dck, e.entries, dim), kernel.MatOf(b.dcv, e.entries, dim)
	h.DSink, h.Target = s.Sink.Grad, b.target
	s.attn.Backward(s.heads[:], b.attn)
	s.attended(b, e)
	kernel.Rope(b.dq, e.tokens, s.c.Heads, dim, b.tokenRot.cos, b.tokenRot.sin, true)
	e.pass.See("head_norm", b.dq)
}

// attended shows what the backward pass of the attention itself computed.
func (s *Sparse) attended(b *sparseBackward, e extent) {
	p := e.pass
	p.See("q", b.dq)
	p.See("kv.keys", b.dk)
	p.See("kv.values", b.dv)
	if s.comp != nil {
		p.SeeEntries("compressor.entries.keys", b.dck, s.c.Ratio)
		p.SeeEntries("compressor.entries.values", b.dcv, s.c.Ratio)
	}
	if b.target != nil {
		p.SeeLists("indexer.target", b.target, nil, s.saved.count, s.index.chosen.K, 0)
	}
}

// queryBackward goes from the queries back to x. It overwrites dx.
func (s *Sparse) queryBackward(b *sparseBackward, dx, x []float32, e extent) {
	c, v, T := &s.c, &s.saved, e.tokens
	dq := b.do // not needed any more
	kernel.Zero(dq)
	kernel.RMSNormBackward(dq, nil, b.dq, v.q, nil, v.hrstd, T*c.Heads, c.HeadDim)
	e.pass.See("q_b", dq)
	s.work.add(backProject(b.dqr, dq, s.WQB, T, c.QRank, c.Heads*c.HeadDim, false))
	s.work.addWeight(s.WQB, dq, b.qr, T, c.QRank, c.Heads*c.HeadDim)
	s.work.run()
	e.pass.See("q_norm", b.dqr)
	kernel.Zero(b.dqa)
	kernel.RMSNormBackward(b.dqa, s.QNorm.Grad, b.dqr, v.qa, s.QNorm.Data, v.qrstd, T, c.QRank)
	e.pass.See("q_a", b.dqa)
	s.work.add(backProject(dx, b.dqa, s.WQA, T, c.Hidden, c.QRank, false))
	s.work.addWeight(s.WQA, b.dqa, x, T, c.Hidden, c.QRank)
	s.work.run()
	e.pass.See("norm.q", dx)
}

// keyBackward goes from the window's keys back to x. It adds to dx.
func (s *Sparse) keyBackward(b *sparseBackward, dx, x []float32, e extent) {
	c, v, T := &s.c, &s.saved, e.tokens
	kernel.Add(b.dk, b.dk, b.dv)
	e.pass.See("kv", b.dk)
	kernel.Rope(b.dk, T, 1, c.HeadDim, b.tokenRot.cos, b.tokenRot.sin, true)
	e.pass.See("kv_norm", b.dk)
	dkv := b.dv
	kernel.Zero(dkv)
	kernel.RMSNormBackward(dkv, s.KVNorm.Grad, b.dk, v.kv, s.KVNorm.Data, v.kvrstd, T, c.HeadDim)
	e.pass.See("kv_a", dkv)
	s.work.add(backProject(dx, dkv, s.WKV, T, c.Hidden, c.HeadDim, true))
	s.work.addWeight(s.WKV, dkv, x, T, c.Hidden, c.HeadDim)
	s.work.run()
	e.pass.See("norm.kv", dx)
}
