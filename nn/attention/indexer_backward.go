package attention

import (
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/nn"
)

// chooserBackward is scratch of the backward pass.
type chooserBackward struct {
	keys, dq, dheads, dkeys []float32
	pooler                  poolerScratch
	pool, index             []float32
}

func (i *chooser) takeBackward(m memory, e extent) chooserBackward {
	b := chooserBackward{
		keys: m.F32(e.entries * i.c.IndexDim), dq: m.F32(e.tokens * i.c.IndexHeads * i.c.IndexDim),
		dheads: m.F32(e.tokens * i.c.IndexHeads), dkeys: m.F32(e.entries * i.c.IndexDim),
		pooler: i.pooler.takeScratch(m, e.tokens, e.entries), pool: m.F32(i.pooler.pool.Scratch()),
	}
	cols := kernel.Mat{Cols: i.c.IndexDim}
	b.index = m.F32(i.x.BackwardScratch(&kernel.IndexerGradient{K: cols, DK: cols, Chosen: &i.chosen}))
	return b
}

// backward adds the gradient of the indexer's loss, times scale, to the
// gradients of its weights and returns the loss. The attention's backward pass
// has filled s.target and computed s.qr.
func (i *chooser) backward(ps *products, s *sparseBackward, x []float32, e extent, scale float32) float64 {
	b, c, T := &s.index, &i.c, e.tokens
	before := e.pass.Again(true)
	i.pooler.finish(b.keys, s.blockRot, e.pass)
	e.pass.Again(before)
	if cap(i.loss) < T {
		i.loss = make([]float64, T)
	}
	g := kernel.IndexerGradient{Chosen: &i.chosen, Target: s.target, Scale: scale, Loss: i.loss[:T]}
	g.Q, g.W, g.K = i.operands(b.keys, e)
	g.DQ, g.DW = kernel.MatOf(b.dq, T*c.IndexHeads, c.IndexDim), kernel.MatOf(b.dheads, T, c.IndexHeads)
	g.DK = kernel.MatOf(b.dkeys, e.entries, c.IndexDim)
	i.x.Backward(&g, b.index)
	e.pass.See("indexer.q", b.dq)
	e.pass.See("indexer.weights", b.dheads)
	e.pass.SeeEntries("indexer.keys", b.dkeys, c.Ratio)

	i.rotate(b.dq, s.tokenRot, e, true)
	e.pass.See("indexer.q_b", b.dq)
	ps.addWeight(i.w.WQB, b.dq, s.qr, T, c.QRank, c.IndexHeads*c.IndexDim)
	kernel.Scale(b.dheads, i.scale)
	e.pass.See("indexer.head_weights", b.dheads)
	ps.addWeight(i.w.Proj, b.dheads, x, T, c.Hidden, c.IndexHeads)
	i.pooler.backward(ps, nil, b.dkeys, x, s.blockRot, b.pooler, b.pool, e.pass)
	loss := 0.0
	for _, l := range i.loss[:T] {
		loss += nn.Term(l)
	}
	return loss
}
