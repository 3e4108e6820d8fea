package nn

import "github.com/temper-ml/temper/compute/kernel"

// Streams is the number of residual streams of a hyper-connected model.
const Streams = kernel.Streams

// hyperMaps is the number of mixing coefficients a token has: Streams read
// weights, Streams write weights and a Streams×Streams mixing matrix.
const hyperMaps = 2*Streams + Streams*Streams

// HyperConnection wraps a sublayer f of a model with four residual streams
// X [T, 4, D] (manifold-constrained hyper-connections): the sublayer reads
// a = Σ_j pre_j X_j, and the streams become X'_k = post_k f(a) + Σ_j C_jk X_j.
// The coefficients come from each token's normalised streams through Fn
// [24, 4D], Base [24] and Scale [3]; C is made doubly stochastic by Sinkhorn
// iterations, so that depth neither grows nor shrinks the streams.
type HyperConnection struct {
	Fn, Base, Scale Weight
	Dim             int
	Iters           int
	Eps             float32 // added in the Sinkhorn divisions and to pre
	NormEps         float32

	// Saved by Maps for the rest of the pass.
	rstd            []float32 // [T]
	maps            []float32 // [T, 24]
	pre, post, comb []float32 // [T, 4], [T, 4], [T, 16]
	dpost, dcomb    []float32 // between BackwardPost and BackwardPre
}

func (h *HyperConnection) fn() *Linear {
	return &Linear{Weight: h.Fn, In: Streams * h.Dim, Out: hyperMaps}
}

// HyperFloats returns the arena memory that [HyperConnection.Pre] keeps for
// each token.
const HyperFloats = 1 + 2*hyperMaps

// Pre computes the coefficients of every token of x and the sublayer's input
// a [T, D]. They are kept in the arena for Post and the backward pass.
func (h *HyperConnection) Pre(a, x []float32, p *Pass) {
	t := p.T()
	h.rstd, h.maps = p.Arena.F32(t), p.Arena.F32(t*hyperMaps)
	h.pre, h.post, h.comb = p.Arena.F32(t*Streams), p.Arena.F32(t*Streams), p.Arena.F32(t*Streams*Streams)
	kernel.RowRMS(h.rstd, x, t, Streams*h.Dim, h.NormEps)
	p.See("mix.scale", h.rstd)
	h.fn().Forward(h.maps, x, t)
	p.See("mix.projection", h.maps)
	kernel.ScaleRows(h.maps, h.rstd, t, hyperMaps)
	p.See("mix.maps", h.maps)
	kernel.HCMap(h.pre, h.post, h.comb, h.maps, h.Scale.Data, h.Base.Data, t, h.Iters, h.Eps)
	p.See("mix.pre", h.pre)
	p.See("mix.post", h.post)
	p.See("mix.comb", h.comb)
	kernel.HCPre(a, x, h.pre, t, h.Dim)
	p.See("mix", a)
}

// RowScale returns the reciprocal root mean square of each token's streams, as
// seen by the last Pre: not finite, or zero, where the streams are not finite.
func (h *HyperConnection) RowScale() []float32 { return h.rstd }

// Post writes the next streams y from x and the sublayer's output f.
func (h *HyperConnection) Post(y, x, f []float32, p *Pass) {
	kernel.HCPost(y, x, f, h.post, h.comb, p.T(), h.Dim)
}

// BackwardPost takes the gradient dy of the next streams back to the streams
// (dx, overwritten) and to the sublayer's output (df, overwritten). It must be
// followed by BackwardPre before the arena goes back to its state of before.
func (h *HyperConnection) BackwardPost(dx, df, dy, x, f []float32, p *Pass) {
	t := p.T()
	h.dpost, h.dcomb = p.Arena.F32(t*Streams), p.Arena.F32(t*Streams*Streams)
	kernel.HCPostBackward(dx, df, h.dpost, h.dcomb, dy, x, f, h.post, h.comb, t, h.Dim)
	p.See("input.past", dx)
	p.See("output", df)
	p.See("mix.post", h.dpost)
	p.See("mix.comb", h.dcomb)
}

// BackwardPre adds to dx what reaches the streams through the sublayer's input
// (gradient da) and through the coefficients.
func (h *HyperConnection) BackwardPre(dx, da, x []float32, p *Pass) {
	t := p.T()
	m := p.Arena.Mark()
	defer p.Arena.Release(m)
	dpre, dm, c := p.Arena.F32(t*Streams), p.Arena.F32(t*hyperMaps), p.Arena.F32(t)
	kernel.HCPreBackward(dx, dpre, da, x, h.pre, t, h.Dim)
	p.See("mix.pre", dpre)
	p.See("input.mix", dx)
	kernel.HCMapBackward(dm, h.Scale.Grad, h.Base.Grad, dpre, h.dpost, h.dcomb,
		h.maps, h.Scale.Data, h.Base.Data, t, h.Iters, h.Eps)
	p.See("mix.maps", dm)
	normMapsBackward(c, dm, h.maps, h.rstd, t, hyperMaps, Streams*h.Dim)
	p.See("mix.scale", c)
	p.See("mix.projection", dm)
	h.fn().Backward(dx, dm, x, t, true)
	p.See("input.maps", dx)
	kernel.AxpyRows(dx, c, x, t, Streams*h.Dim)
	p.See("input", dx)
}

// normMapsBackward takes the gradient dm of m = rstd · (fn x) to the gradient
// of fn x (in place: dm · rstd) and to c, where c·x is what reaches x through
// rstd: c = -rstd² Σ dm m / dim.
func normMapsBackward(c, dm, m, rstd []float32, rows, cols, dim int) {
	inv := 1 / float32(dim)
	kernel.DotRows(c, dm, m, rows, cols)
	for t, r := range rstd {
		c[t] = -float32(float32(float32(r*r)*c[t]) * inv)
	}
	kernel.ScaleRows(dm, rstd, rows, cols)
}
