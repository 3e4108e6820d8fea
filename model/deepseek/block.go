package deepseek

import (
	"math"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/nn"
)

// block is one transformer block: an attention and a feed-forward sublayer.
type block struct {
	layer     int
	attn, ffn residual
	attention attends // the body of attn
	moe       *nn.MoE // the body of ffn, or
	dense     *nn.FFN // this one

	x []float32 // input streams, kept by whoever runs the block
}

// forward writes the output streams. What it keeps in the arena depends on the
// recompute choice; under RecomputeFull it is nothing.
func (b *block) forward(out, x []float32, p *nn.Pass, rc Recompute) {
	b.x = x
	m := p.Arena.Mark()
	mid := p.Arena.F32(len(x))
	b.attn.forward(mid, x, p, rc == RecomputeNone)
	b.ffn.forward(out, mid, p, rc == RecomputeNone)
	if rc == RecomputeFull {
		p.Arena.Release(m)
	}
}

// backward turns the gradient d of the output streams into that of the input
// streams, in place; spare is of the same size.
func (b *block) backward(d, spare []float32, p *nn.Pass, rc Recompute) error {
	m := p.Arena.Mark()
	defer p.Arena.Release(m)
	if rc == RecomputeFull {
		mid := p.Arena.F32(len(b.x))
		before := p.Again(true)
		b.attn.forward(mid, b.x, p, true)
		b.ffn.forward(nil, mid, p, true)
		p.Again(before)
	}
	b.ffn.backward(spare, d, p)
	if err := checkGradient(spare, b.layer, &b.ffn, p); err != nil {
		return err
	}
	b.attn.backward(d, spare, p)
	return checkGradient(d, b.layer, &b.attn, p)
}

// body is what a residual connection wraps: attention, experts or a dense
// feed-forward network. Forward writes out [T, D] from the normalised x [T, D];
// Backward overwrites dx. Forward may run twice before Backward.
type body interface {
	Forward(out, x []float32, p *nn.Pass)
	Backward(dx, dout, x []float32, p *nn.Pass)
}

// residual is one sublayer: mix the streams down (V4), normalise, body, add
// back. The saved slices live in the pass's arena.
type residual struct {
	name  string // for messages: "attention" or "feed-forward"
	layer int
	mix   *nn.HyperConnection
	norm  nn.RMSNorm
	body  body

	x    []float32 // input streams [T, S·D], owned by the block
	a    []float32 // what the norm reads [T, D]
	rstd []float32 // of the norm [T]
	y    []float32 // what the body reads [T, D]; nil if it is to be computed again
	f    []float32 // what the body wrote [T, D]; nil for a single stream
	rms  []float32 // per token, tells whether x is finite
}

// forward writes the next streams unless next is nil. With keep unset, the
// inside of the body is dropped and backward computes it again.
func (r *residual) forward(next, x []float32, p *nn.Pass, keep bool) {
	t, d := p.T(), r.norm.Dim
	a := p.Arena
	p.Enter(r.layer, r.name)
	r.x, r.a, r.rms = x, x, nil
	r.rstd = a.F32(t)
	if r.mix != nil {
		r.a = a.F32(t * d)
		r.mix.Pre(r.a, x, p)
		r.rms = r.mix.RowScale()
	}
	out := next
	if r.mix != nil {
		r.f = a.F32(t * d)
		out = r.f
	} else if out == nil {
		out = a.F32(t * d)
	}
	m := a.Mark()
	r.y = a.F32(t * d)
	r.norm.Forward(r.y, r.rstd, r.a, t)
	p.See("norm", r.y)
	p.See("norm.scale", r.rstd)
	if r.mix == nil {
		r.rms = r.rstd
	}
	r.body.Forward(out, r.y, p)
	if !keep {
		a.Release(m)
		r.y = nil
	}
	switch {
	case next == nil:
		return
	case r.mix != nil:
		r.mix.Post(next, x, r.f, p)
	default:
		kernel.AddTo(next, x)
	}
	p.See("streams", next)
}

// backward overwrites dx [T, S·D] from dnext. The two may not overlap.
func (r *residual) backward(dx, dnext []float32, p *nn.Pass) {
	t, d := p.T(), r.norm.Dim
	a := p.Arena
	m := a.Mark()
	defer a.Release(m)
	p.Enter(r.layer, r.name)
	if r.y == nil {
		r.y = a.F32(t * d)
		out := a.F32(t * d)
		before := p.Again(true)
		r.norm.Forward(r.y, r.rstd, r.a, t)
		p.See("norm", r.y)
		r.body.Forward(out, r.y, p)
		p.Again(before)
	}
	dy := a.F32(t * d)
	if r.mix == nil {
		r.body.Backward(dy, dnext, r.y, p)
		copy(dx, dnext)
		r.norm.Backward(dx, dy, r.a, r.rstd, t)
		p.See("input", dx)
		return
	}
	df := a.F32(t * d)
	r.mix.BackwardPost(dx, df, dnext, r.x, r.f, p)
	r.body.Backward(dy, df, r.y, p)
	da := df
	kernel.Zero(da)
	r.norm.Backward(da, dy, r.a, r.rstd, t)
	p.See("mix", da)
	r.mix.BackwardPre(dx, da, r.x, p)
}

// badToken returns the first token whose streams, as the last forward read
// them, are not finite, -1 if there is none.
func (r *residual) badToken() int { return badScale(r.rms) }

// badScale returns the first index at which a reciprocal root mean square shows
// that its row is not finite: NaN, or 0 because the sum of squares overflowed.
func badScale(rms []float32) int {
	for i, v := range rms {
		if !(v > 0 && v <= math.MaxFloat32) {
			return i
		}
	}
	return -1
}

// experts is a mixture-of-experts body that reports, once per micro-batch, how
// the tokens were routed.
type experts struct {
	*nn.MoE
	report *report
	layer  int
}

// report collects what layers tell about the current micro-batch.
type report struct {
	open    bool // set during the first forward pass only, not when recomputing
	counts  [][]int64
	balance float64
	routed  func(layer int, rt *nn.Routing) // told of every forward pass, unless nil
}

// Forward runs the experts and reports.
func (e experts) Forward(out, x []float32, p *nn.Pass) {
	e.MoE.Forward(out, x, p)
	if e.report.routed != nil {
		e.report.routed(e.layer, e.Routing())
	}
	if !e.report.open {
		return
	}
	rt := e.Routing()
	for i := range e.report.counts[e.layer] {
		e.report.counts[e.layer][i] = int64(rt.Count(i))
	}
	e.report.balance += e.Balance(p)
}

// reset starts a new micro-batch.
func (r *report) reset() {
	r.open, r.balance = true, 0
	for _, c := range r.counts {
		clear(c)
	}
}
