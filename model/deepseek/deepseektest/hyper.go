package deepseektest

// HyperPre computes the maps of a manifold-constrained hyper-connection (eq. 1-8) from the streams x [T, S, d]: the input of
// the sublayer a [T, d], and the weights post [T, S] and comb [T, S, S] that HyperPost needs.
func (r *Reference) HyperPre(prefix string, x *Tensor) (a, post, comb *Tensor) {
	t, s := r.Tape, x.Dim(1)
	m := r.hyperLogits(x, prefix+"_fn", s*(s+2))
	scale, base := r.weight(prefix+"_scale", 3), r.weight(prefix+"_base", s*(s+2))
	part := func(i, lo, hi int) *Tensor { // m * scale_i + base, for one of the three groups of outputs
		return t.Add(t.Mul(t.Slice(m, 1, lo, hi), t.Slice(scale, 0, i, i+1)), t.Slice(base, 0, lo, hi))
	}
	pre := t.Offset(t.Sigmoid(part(0, 0, s)), r.c.HCEps)
	post = t.Scale(t.Sigmoid(part(1, s, 2*s)), 2)
	comb = r.Sinkhorn(t.Reshape(part(2, 2*s, s*(s+2)), x.Dim(0), s, s))
	return t.Reshape(r.collapse(pre, x), x.Dim(0), x.Dim(2)), post, comb
}

// hyperLogits is fn flat(x) / sqrt(mean(flat(x)²) + eps), [T, n].
func (r *Reference) hyperLogits(x *Tensor, fn string, n int) *Tensor {
	flat := r.Tape.Reshape(x, x.Dim(0), x.Dim(1)*x.Dim(2))
	return r.Tape.Mul(r.Linear(flat, fn, n), r.rms(flat))
}

// collapse is sum over streams of pre_j x_j.
func (r *Reference) collapse(pre, x *Tensor) *Tensor {
	return r.Tape.Einsum("tj,tjd->td", pre, x)
}

// Sinkhorn makes z [T, S, S] nearly doubly stochastic: a row softmax, then alternating column and row normalisations that
// begin and end with the columns, eps in every denominator.
func (r *Reference) Sinkhorn(z *Tensor) *Tensor {
	t, eps := r.Tape, r.c.HCEps
	normalise := func(c *Tensor, axis int) *Tensor {
		return t.Div(c, t.Offset(t.SumAxis(c, axis), eps))
	}
	c := normalise(t.Offset(t.Softmax(z, 2), eps), 1)
	for range r.c.HCSinkhornIters - 1 {
		c = normalise(normalise(c, 2), 1)
	}
	return c
}

// HyperPost mixes the sublayer's output f [T, d] back: stream k becomes post_k f + sum over j of comb_jk x_j.
func (r *Reference) HyperPost(f, x, post, comb *Tensor) *Tensor {
	t := r.Tape
	return t.Add(t.Einsum("tk,td->tkd", post, f), t.Einsum("tjk,tjd->tkd", comb, x))
}

// HyperHead collapses the streams before the final norm (section 2.0): [T, S, d] to [T, d].
func (r *Reference) HyperHead(prefix string, x *Tensor) *Tensor {
	t, s := r.Tape, x.Dim(1)
	m := r.hyperLogits(x, prefix+"hc_head_fn", s)
	z := t.Add(t.Mul(m, r.weight(prefix+"hc_head_scale", 1)), r.weight(prefix+"hc_head_base", s))
	return r.collapse(t.Offset(t.Sigmoid(z), r.c.HCEps), x)
}
