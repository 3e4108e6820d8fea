package attention

import (
	"fmt"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/nn"
)

// MLAConfig is what decides an [MLA] layer. A query head has NopeDim
// dimensions that do not rotate, then those of the rotary table.
type MLAConfig struct {
	Hidden   int // model dimension
	Heads    int
	QRank    int // of the query's low-rank projection
	KVRank   int // of the latent that keys and values come from
	NopeDim  int
	ValueDim int
	Scale    float32 // of the scores
	Eps      float32
	Rope     *Rotary
}

// MLAConfigOf returns the configuration of V3's layers; rope must be what
// [RotaryOf] returns. With YaRN the scores' scale grows by the square of
// 1 + 0.1·mscale·ln(factor).
func MLAConfigOf(c *arch.Config, rope *Rotary) (MLAConfig, error) {
	m := MLAConfig{
		Hidden: c.HiddenSize, Heads: c.NumHeads, QRank: c.QLoraRank, KVRank: c.KVLoraRank,
		NopeDim: c.NopeDim, ValueDim: c.ValueDim, Eps: float32(c.RMSNormEps), Rope: rope,
	}
	scale := float64(inverseRoot(c.NopeDim + c.RopeDim))
	if y := c.RopeScaling; y != nil && y.Factor > 1 {
		if y.MScale != y.MScaleAllDim {
			return m, fmt.Errorf("attention: mscale must equal mscale_all_dim, got %v and %v", y.MScale, y.MScaleAllDim)
		}
		f := float64(0.1*y.MScaleAllDim*naturalLog(y.Factor)) + 1
		scale *= f * f
	}
	m.Scale = float32(scale)
	return m, nil
}

// Check reports what is impossible about c.
func (c *MLAConfig) Check() error {
	for _, f := range []struct {
		name string
		v    int
	}{
		{"hidden size", c.Hidden},
		{"heads", c.Heads},
		{"query rank", c.QRank},
		{"key rank", c.KVRank},
		{"unrotated dimension", c.NopeDim},
		{"value dimension", c.ValueDim},
	} {
		if f.v <= 0 {
			return fmt.Errorf("attention: %s must be positive, got %d", f.name, f.v)
		}
	}
	if c.Rope == nil {
		return fmt.Errorf("attention: a rotary table is needed")
	}
	if !(c.Scale > 0) {
		return fmt.Errorf("attention: scale must be positive, got %v", c.Scale)
	}
	return nil
}

// ropeDim returns the dimensions of a key that rotate and that all heads share.
func (c *MLAConfig) ropeDim() int { return 2 * c.Rope.Pairs() }

// queryDim returns the width of a query head.
func (c *MLAConfig) queryDim() int { return c.NopeDim + c.ropeDim() }

// jointDim returns the width of a head's unrotated key and value together.
func (c *MLAConfig) jointDim() int { return c.NopeDim + c.ValueDim }

// MLA is V3's multi-head latent attention: queries through a low rank, keys
// and values from one latent vector per token, plus one rotated part of the
// key that all heads share. Every earlier token of the segment is attended. An
// MLA serves one goroutine.
type MLA struct {
	WQA    nn.Weight // [R, D]
	QNorm  nn.Weight // [R]
	WQB    nn.Weight // [H*query dim, R]
	WKVA   nn.Weight // [KV rank + rotated dim, D]
	KVNorm nn.Weight // [KV rank]
	WKVB   nn.Weight // [H*(nope + value dim), KV rank]
	WO     nn.Weight // [D, H*value dim]

	c     MLAConfig
	segs  []kernel.Segment
	attn  kernel.Attention
	heads []kernel.AttentionHeads
	saved mlaSaved
	work  products

	pasts     []*Past // that passes continue; nil: passes start anew
	lanes     []*mlaLane
	queue     queue
	past      mlaPast // of the present pass that continues
	passed    []nn.Segment
	attendOne func(lane, i int) // attendBeside, bound once
}

// mlaSaved is what Forward keeps for Backward.
type mlaSaved struct {
	qa, qrstd      []float32 // [T, R] and [T] before and of the query's norm
	q              []float32 // [T, H*query dim] rotated
	latent, lrstd  []float32 // [T, KV rank] and [T] before and of the key's norm
	shared         []float32 // [T, rotated dim] rotated
	joint, o, lseT []float32 // [T, H*(nope + value dim)], [T, H*value dim], [H, T]
}

// NewMLA returns a layer without weights.
func NewMLA(c MLAConfig) (*MLA, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	a := &MLA{c: c, heads: make([]kernel.AttentionHeads, c.Heads)}
	a.attn = kernel.Attention{Heads: 1, Scale: c.Scale}
	return a, nil
}

// KL returns 0: there is no indexer.
func (a *MLA) KL() float64 { return 0 }

// begin sets the segments and returns the number of tokens.
func (a *MLA) begin(segs []nn.Segment) (tokens int) {
	a.segs = a.segs[:0]
	for _, g := range segs {
		a.segs = append(a.segs, kernel.Segment(g))
		tokens = g.End
	}
	a.attn.Segments = a.segs
	return tokens
}

// Forward computes out [T, D] from x [T, D], which must stay as it is until
// Backward. What Backward needs stays in the arena; calling Forward again
// replaces it.
func (a *MLA) Forward(out, x []float32, p *nn.Pass) {
	if a.pasts != nil {
		a.forwardPast(out, x, p)
		return
	}
	T := a.begin(p.Segments)
	a.takeSaved(p.Arena, T)
	mark := p.Arena.Mark()
	defer p.Arena.Release(mark)
	r := a.takeRows(p.Arena, T)
	attn := p.Arena.F32(a.attn.Scratch(a.heads, false))
	c, v := &a.c, &a.saved
	c.Rope.tokens(r.rot, p.Segments)

	a.work.add(project(v.qa, x, a.WQA, T, c.Hidden, c.QRank))
	a.work.add(project(v.latent, x, a.latentRows(), T, c.Hidden, c.KVRank))
	a.work.add(project(v.shared, x, a.sharedRows(), T, c.Hidden, c.ropeDim()))
	a.work.run()
	p.See("q_a", v.qa)
	p.See("latent", v.latent)
	p.See("shared_key", v.shared)
	a.norms(&r, T, p)
	a.work.add(project(v.q, r.qr, a.WQB, T, c.QRank, c.Heads*c.queryDim()))
	a.work.add(project(v.joint, r.latent, a.WKVB, T, c.KVRank, c.Heads*c.jointDim()))
	a.work.run()
	p.See("q_b", v.q)
	p.See("keys_values", v.joint)
	kernel.Rope(v.q, T, c.Heads, c.queryDim(), r.rot.cos, r.rot.sin, false)
	kernel.Rope(v.shared, T, 1, c.ropeDim(), r.rot.cos, r.rot.sin, false)
	p.See("q", v.q)
	p.See("rotated_key", v.shared)
	a.keys(&r, T, p)
	a.operands(&r, T)
	a.attn.Forward(a.heads, attn)
	p.See("attended", v.o)
	p.SeeHeads("attended.normalisers", v.lseT)
	a.work.add(project(out, v.o, a.WO, T, c.Heads*c.ValueDim, c.Hidden))
	a.work.run()
	p.See("output", out)
}

// latentRows returns the rows of WKVA that give the latent.
func (a *MLA) latentRows() nn.Weight { return rowsOf(a.WKVA, 0, a.c.KVRank*a.c.Hidden) }

// sharedRows returns the rows of WKVA that give the shared, rotated key part.
func (a *MLA) sharedRows() nn.Weight {
	return rowsOf(a.WKVA, a.c.KVRank*a.c.Hidden, (a.c.KVRank+a.c.ropeDim())*a.c.Hidden)
}

// rowsOf returns the elements lo to hi of a weight as a weight.
func rowsOf(w nn.Weight, lo, hi int) nn.Weight {
	r := nn.Weight{Data: w.Data[lo:hi]}
	if w.Trained() {
		r.Grad = w.Grad[lo:hi]
	}
	return r
}
