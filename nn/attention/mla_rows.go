package attention

import (
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/nn"
)

// mlaRows are what Forward computes and Backward computes again.
type mlaRows struct {
	rot    rotation
	qr     []float32 // [T, R] normed
	latent []float32 // [T, KV rank] normed
	k      []float32 // [T, H*query dim] keys, with the shared part copied to every head
}

func (a *MLA) takeRows(m memory, tokens int) mlaRows {
	return mlaRows{
		rot: a.c.Rope.take(m, tokens), qr: m.F32(tokens * a.c.QRank), latent: m.F32(tokens * a.c.KVRank),
		k: m.F32(tokens * a.c.Heads * a.c.queryDim()),
	}
}

func (a *MLA) takeSaved(m memory, tokens int) {
	c, T := &a.c, tokens
	a.saved = mlaSaved{
		qa: m.F32(T * c.QRank), qrstd: m.F32(T), q: m.F32(T * c.Heads * c.queryDim()),
		latent: m.F32(T * c.KVRank), lrstd: m.F32(T), shared: m.F32(T * c.ropeDim()),
		joint: m.F32(T * c.Heads * c.jointDim()), o: m.F32(T * c.Heads * c.ValueDim), lseT: m.F32(T * c.Heads),
	}
}

// Floats returns the arena memory, in 4-byte elements, that Forward keeps for
// a pass and the most that Forward or Backward need besides. It must not be
// called between the two.
func (a *MLA) Floats(p *nn.Pass) (saved, scratch int) {
	T := a.begin(p.Segments)
	var c, f, b counter
	a.takeSaved(&c, T)
	a.takeRows(&f, T)
	f.F32(a.attn.Scratch(a.heads, false))
	a.takeBackward(&b, T)
	return int(c), int(max(f, b))
}

func (a *MLA) norms(r *mlaRows, tokens int, p *nn.Pass) {
	kernel.RMSNorm(r.qr, a.saved.qrstd, a.saved.qa, a.QNorm.Data, tokens, a.c.QRank, a.c.Eps)
	p.See("q_norm", r.qr)
	p.See("q_norm.scale", a.saved.qrstd)
	kernel.RMSNorm(r.latent, a.saved.lrstd, a.saved.latent, a.KVNorm.Data, tokens, a.c.KVRank, a.c.Eps)
	p.See("latent_norm", r.latent)
	p.See("latent_norm.scale", a.saved.lrstd)
}

// keys puts the keys of all heads together from their own and the shared part.
func (a *MLA) keys(r *mlaRows, tokens int, p *nn.Pass) {
	const grain = 8
	if tokens <= grain { // takes nothing from the heap
		a.joinKeys(r.k, 0, tokens)
	} else {
		k := r.k
		kernel.Parallel(tokens, grain, func(lo, hi int) { a.joinKeys(k, lo, hi) })
	}
	p.See("keys", r.k)
}

// joinKeys is keys for tokens [lo, hi).
func (a *MLA) joinKeys(k []float32, lo, hi int) {
	c := &a.c
	width, joint, rope := c.queryDim(), c.jointDim(), c.ropeDim()
	for i := lo * c.Heads; i < hi*c.Heads; i++ {
		t := i / c.Heads
		row := k[i*width : (i+1)*width]
		copy(row, a.saved.joint[i*joint:i*joint+c.NopeDim])
		copy(row[c.NopeDim:], a.saved.shared[t*rope:(t+1)*rope])
	}
}

// headCols returns the columns of head h, from at on and n wide, of a matrix
// whose heads are width wide.
func (a *MLA) headCols(x []float32, h, tokens, width, at, n int) kernel.Mat {
	at += h * width
	return kernel.MatOf(x, tokens, a.c.Heads*width).Slice(0, tokens, at, at+n)
}

// operands fills in what Forward and Backward of the kernel share.
func (a *MLA) operands(r *mlaRows, tokens int) {
	c, v := &a.c, &a.saved
	for h := range a.heads {
		a.heads[h] = kernel.AttentionHeads{
			Q:   a.headCols(v.q, h, tokens, c.queryDim(), 0, c.queryDim()),
			K:   a.headCols(r.k, h, tokens, c.queryDim(), 0, c.queryDim()),
			V:   a.headCols(v.joint, h, tokens, c.jointDim(), c.NopeDim, c.ValueDim),
			O:   a.headCols(v.o, h, tokens, c.ValueDim, 0, c.ValueDim),
			LSE: v.lseT[h*tokens : (h+1)*tokens],
		}
	}
}
