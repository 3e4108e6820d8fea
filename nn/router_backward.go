package nn

import "github.com/temper-ml/temper/compute/kernel"

// Backward takes the gradient dweights [N] of the routing weights, in row
// order, to the gate's gradient and adds the input's gradient to dx [T, D]. The
// sequence balance loss joins in when p.BalanceScale is not zero and the router
// is a learned one. The choice itself has no gradient.
func (r *Router) Backward(dx, dweights, x []float32, rt *Routing, p *Pass) {
	t, e := p.T(), r.Experts
	m := p.Arena.Mark()
	defer p.Arena.Release(m)
	ds := p.Arena.Zeros(t * e)
	r.weighBackward(ds, dweights, rt, t)
	if p.BalanceScale != 0 && r.Table == nil {
		r.balanceBackward(ds, rt, p)
	}
	p.See("router.scores", ds)
	r.scoreBackward(ds)
	p.See("router.logits", ds)
	gate := Linear{Weight: r.Gate, In: r.Dim, Out: e}
	gate.Backward(dx, ds, x, t, true)
	p.See("norm.router", dx)
}

// weighBackward: with w_e = λ s_e / S, ds_e = λ (dw_e - Σ dw s / S) / S.
func (r *Router) weighBackward(ds, dweights []float32, rt *Routing, t int) {
	e, k := r.Experts, r.TopK
	for i := range t {
		chosen, rows := rt.Chosen[i*k:(i+1)*k], rt.Row[i*k:(i+1)*k]
		s, d := r.scores[i*e:(i+1)*e], ds[i*e:(i+1)*e]
		sum := r.sums[i] + 1e-20
		var mean float32
		for j, c := range chosen {
			mean = kernel.FMA32(dweights[rows[j]], s[c], mean)
		}
		mean /= sum
		for j, c := range chosen {
			d[c] = float32(r.Factor*(dweights[rows[j]]-mean)) / sum
		}
	}
}

// scoreBackward turns the gradient of the scores into that of the logits, in
// place: sigmoid' = s(1-s), sqrtsoftplus' = sigmoid(l) / 2s.
func (r *Router) scoreBackward(ds []float32) {
	if r.Score == SqrtSoftplus {
		kernel.SqrtSoftplusBackward(ds, ds, r.logits, r.scores)
		return
	}
	for i, s := range r.scores {
		ds[i] *= float32(s * (1 - s))
	}
}

// Balance returns the sequence balance loss of the last Route, summed over
// segments (each rounded by [Term]): Σ_e f_e P_e with f_e = E/(K·T) times the tokens of the segment that
// chose e, and P_e the mean over its tokens of s_e / Σ_j s_j. It is 0 for a
// hash router, whose choice cannot be moved.
func (r *Router) Balance(rt *Routing, p *Pass) float64 {
	if r.Table != nil {
		return 0
	}
	m := p.Arena.Mark()
	defer p.Arena.Release(m)
	f := p.Arena.F32(r.Experts)
	total := 0.0
	for _, seg := range p.Segments {
		r.frequencies(f, rt, seg)
		sum := 0.0
		for t := seg.Start; t < seg.End; t++ {
			s := r.scores[t*r.Experts : (t+1)*r.Experts]
			sum += float64(kernel.Dot(f, s) / kernel.Sum(s))
		}
		total += Term(sum / float64(seg.Len()))
	}
	return total
}

// frequencies sets f_e of one segment.
func (r *Router) frequencies(f []float32, rt *Routing, seg Segment) {
	clear(f)
	for _, c := range rt.Chosen[seg.Start*r.TopK : seg.End*r.TopK] {
		f[c]++
	}
	for e, c := range f {
		f[e] = float32(c*float32(r.Experts)) / float32(r.TopK*seg.Len())
	}
}

// balanceBackward adds the gradient of BalanceScale times the balance loss:
// with n_e = s_e/S, ds_e += scale/T · (f_e - Σ_j f_j n_j) / S.
func (r *Router) balanceBackward(ds []float32, rt *Routing, p *Pass) {
	m := p.Arena.Mark()
	defer p.Arena.Release(m)
	e := r.Experts
	f := p.Arena.F32(e)
	for _, seg := range p.Segments {
		r.frequencies(f, rt, seg)
		scale := p.BalanceScale / float32(seg.Len())
		for t := seg.Start; t < seg.End; t++ {
			s, d := r.scores[t*e:(t+1)*e], ds[t*e:(t+1)*e]
			sum := kernel.Sum(s)
			mean := kernel.Dot(f, s) / sum
			c := scale / sum
			for j := range d {
				d[j] += float32(c * (f[j] - mean))
			}
		}
	}
}
