package operator

// mla appends latent attention: queries and keys are expanded from low-rank
// latents, one rotating key is shared by all heads.
func (b *builder) mla() {
	c, tp := b.c, int64(b.s.TP)
	d, h := int64(c.HiddenSize), int64(c.NumHeads)
	qk, v := int64(c.QueryDim()), int64(c.ValueDim)
	q, kv, r := int64(c.QLoraRank), int64(c.KVLoraRank), int64(c.RopeDim)
	b.attnNorm()
	copies := 1
	if !b.s.Sequence {
		copies = b.s.TP
	}
	// The narrow projections are held whole and run on this rank's tokens.
	if q > 0 {
		b.product(linear{name: "attn.query", part: "wq_a", rows: b.mine, n: q, k: d, copies: copies})
		b.whole(q*d, true)
		b.keep("query latent", b.size(b.mine*q), PerOp)
		b.norm("q_norm", b.mine, q)
		b.keep("query latent, normed", b.size(b.mine*q), Norms|PerOp)
		b.gatherLatent("attn.query", q)
		b.module = Up
		b.product(linear{name: "attn.query", part: "wq_b", rows: b.tokens, n: h * qk / tp, k: q})
		b.module = 0
		b.weight(h*qk, q, true)
	} else {
		b.product(linear{name: "attn.query", part: "wq", rows: b.tokens, n: h * qk / tp, k: d})
		b.weight(h*qk, d, true)
	}
	b.product(linear{name: "attn.key", part: "wkv_a", rows: b.mine, n: kv + r, k: d, copies: copies})
	b.whole((kv+r)*d, true)
	b.keep("key latent", b.size(b.mine*(kv+r)), PerOp)
	b.norm("kv_norm", b.mine, kv)
	b.keep("key latent, normed", b.size(b.mine*kv), Norms|PerOp)
	b.gatherLatent("attn.key", kv+r)
	b.module = Up
	b.product(linear{name: "attn.key", part: "wkv_b", rows: b.tokens, n: h * (int64(c.NopeDim) + v) / tp, k: kv})
	b.weight(h*(int64(c.NopeDim)+v), kv, true)
	b.rope(2 * h * qk / tp)
	b.module = 0
	b.keep("queries, keys, values", b.size(b.tokens*h*(2*qk+v)/tp), Up|PerOp)
	b.exchangeKV(h * (qk + v) / tp)
	b.core("attn.full", h/tp, qk, v, b.causal(), PerOp)
	b.product(linear{name: "attn.output", part: "wo", rows: b.tokens, n: d, k: h * v / tp})
	b.weight(d, h*v, true)
	b.leaveTP("attn.output")
	b.residual("attention")
}

// gatherLatent brings the latents of a TP group's tokens together.
func (b *builder) gatherLatent(name string, width int64) {
	switch {
	case b.s.TP == 1:
	case b.s.Sequence:
		b.message(name, "tp.latent", TP, AllGather, ReduceScatter, float64(b.size(b.tokens*width)))
	default:
		b.message(name, "tp.latent", TP, NoPattern, AllReduce, float64(b.size(b.tokens*width)))
	}
}
