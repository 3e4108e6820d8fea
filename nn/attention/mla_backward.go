package attention

import (
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/nn"
)

// mlaBackward is the scratch of Backward.
type mlaBackward struct {
	mlaRows
	do, dq, dk, djoint []float32
	delta, deltaT      []float32 // [T, H], [H, T]
	dqr, dqa           []float32
	dnormed, dlatent   []float32
	dshared            []float32
	attn               []float32
}

func (a *MLA) takeBackward(m memory, tokens int) mlaBackward {
	c, T := &a.c, tokens
	return mlaBackward{
		mlaRows: a.takeRows(m, T),
		do:      m.F32(T * c.Heads * c.ValueDim), dq: m.F32(T * c.Heads * c.queryDim()),
		dk: m.F32(T * c.Heads * c.queryDim()), djoint: m.F32(T * c.Heads * c.jointDim()),
		delta: m.F32(T * c.Heads), deltaT: m.F32(T * c.Heads),
		dqr: m.F32(T * c.QRank), dqa: m.F32(T * c.QRank),
		dnormed: m.F32(T * c.KVRank), dlatent: m.F32(T * c.KVRank), dshared: m.F32(T * c.ropeDim()),
		attn: m.F32(a.attn.Scratch(a.heads, true)),
	}
}

// Backward overwrites dx [T, D] with the gradient of x, given that of out, and
// adds to the gradients of the weights. x must be what Forward was given.
func (a *MLA) Backward(dx, dout, x []float32, p *nn.Pass) {
	T := a.begin(p.Segments)
	mark := p.Arena.Mark()
	defer p.Arena.Release(mark)
	b := a.takeBackward(p.Arena, T)
	c, v := &a.c, &a.saved
	c.Rope.tokens(b.rot, p.Segments)
	before := p.Again(true)
	a.norms(&b.mlaRows, T, p)
	a.keys(&b.mlaRows, T, p)
	p.Again(before)

	a.work.add(backProject(b.do, dout, a.WO, T, c.Heads*c.ValueDim, c.Hidden, false))
	a.work.addWeight(a.WO, dout, v.o, T, c.Heads*c.ValueDim, c.Hidden)
	a.work.run()
	p.See("attended", b.do)
	a.attentionBackward(&b, T)
	p.See("attended.dots", b.delta)
	p.See("q", b.dq)
	p.See("keys", b.dk)
	a.splitKeys(&b, T)
	p.See("keys_values", b.djoint)
	p.See("rotated_key", b.dshared)
	kernel.Rope(b.dq, T, c.Heads, c.queryDim(), b.rot.cos, b.rot.sin, true)
	kernel.Rope(b.dshared, T, 1, c.ropeDim(), b.rot.cos, b.rot.sin, true)
	p.See("q_b", b.dq)
	p.See("shared_key", b.dshared)
	a.latentsBackward(&b, T, p)

	a.work.add(backProject(dx, b.dqa, a.WQA, T, c.Hidden, c.QRank, false))
	a.work.addWeight(a.WQA, b.dqa, x, T, c.Hidden, c.QRank)
	a.work.addWeight(a.latentRows(), b.dlatent, x, T, c.Hidden, c.KVRank)
	a.work.addWeight(a.sharedRows(), b.dshared, x, T, c.Hidden, c.ropeDim())
	a.work.run()
	p.See("norm.q", dx)
	kernel.Run(backProject(dx, b.dlatent, a.latentRows(), T, c.Hidden, c.KVRank, true))
	p.See("norm.latent", dx)
	kernel.Run(backProject(dx, b.dshared, a.sharedRows(), T, c.Hidden, c.ropeDim(), true))
	p.See("norm", dx)
}

// latentsBackward goes from queries, keys and values back to the latents.
func (a *MLA) latentsBackward(b *mlaBackward, tokens int, p *nn.Pass) {
	c, v, T := &a.c, &a.saved, tokens
	a.work.add(backProject(b.dqr, b.dq, a.WQB, T, c.QRank, c.Heads*c.queryDim(), false))
	a.work.addWeight(a.WQB, b.dq, b.qr, T, c.QRank, c.Heads*c.queryDim())
	a.work.add(backProject(b.dnormed, b.djoint, a.WKVB, T, c.KVRank, c.Heads*c.jointDim(), false))
	a.work.addWeight(a.WKVB, b.djoint, b.latent, T, c.KVRank, c.Heads*c.jointDim())
	a.work.run()
	p.See("q_norm", b.dqr)
	p.See("latent_norm", b.dnormed)
	kernel.Zero(b.dqa)
	kernel.RMSNormBackward(b.dqa, a.QNorm.Grad, b.dqr, v.qa, a.QNorm.Data, v.qrstd, T, c.QRank)
	p.See("q_a", b.dqa)
	kernel.Zero(b.dlatent)
	kernel.RMSNormBackward(b.dlatent, a.KVNorm.Grad, b.dnormed, v.latent, a.KVNorm.Data, v.lrstd, T, c.KVRank)
	p.See("latent", b.dlatent)
}

// attentionBackward computes the gradients of queries, keys and values.
func (a *MLA) attentionBackward(b *mlaBackward, tokens int) {
	c := &a.c
	kernel.DotRows(b.delta, b.do, a.saved.o, tokens*c.Heads, c.ValueDim)
	for i, d := range b.delta {
		b.deltaT[i%c.Heads*tokens+i/c.Heads] = d
	}
	a.operands(&b.mlaRows, tokens)
	for i := range a.heads {
		h := &a.heads[i]
		h.DO = a.headCols(b.do, i, tokens, c.ValueDim, 0, c.ValueDim)
		h.Delta = b.deltaT[i*tokens : (i+1)*tokens]
		h.DQ = a.headCols(b.dq, i, tokens, c.queryDim(), 0, c.queryDim())
		h.DK = a.headCols(b.dk, i, tokens, c.queryDim(), 0, c.queryDim())
		h.DV = a.headCols(b.djoint, i, tokens, c.jointDim(), c.NopeDim, c.ValueDim)
	}
	a.attn.Backward(a.heads, b.attn)
}

// splitKeys moves the gradients of the heads' own key parts to djoint and adds
// those of the shared part over heads, in order.
func (a *MLA) splitKeys(b *mlaBackward, tokens int) {
	c := &a.c
	width, joint, rope := c.queryDim(), c.jointDim(), c.ropeDim()
	kernel.Parallel(tokens, 8, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			sum := b.dshared[t*rope : (t+1)*rope]
			for h := range c.Heads {
				i := t*c.Heads + h
				row := b.dk[i*width : (i+1)*width]
				copy(b.djoint[i*joint:], row[:c.NopeDim])
				if h == 0 {
					copy(sum, row[c.NopeDim:])
					continue
				}
				for j, d := range row[c.NopeDim:] {
					sum[j] += d
				}
			}
		}
	})
}
