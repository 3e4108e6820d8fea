package operator

// latentAttention appends attention whose queries and keys are expanded from
// low-rank latents; one rotating key is shared by all heads.
func (b *builder) latentAttention() {
	c, tp := b.c, int64(b.s.TP)
	h, qk, v := int64(c.NumHeads), int64(c.QueryDim()), int64(c.ValueDim)
	b.attnNorm()
	b.latentQuery()
	b.latentKey()
	b.module = Up
	b.rope((h*qk + h*qk) / tp)
	b.module = 0
	b.keepHeads(h*qk/tp, h*qk/tp, h*v/tp)
	b.exchangeKV(h * (qk + v) / tp)
	b.core("attn.full", h/tp, qk, v, b.spread(causalKeys(int64(b.n.Seq))))
	b.outputProduct(h*v, false)
}

// latentQuery appends the queries: through a latent, or in one product.
func (b *builder) latentQuery() {
	c, tp := b.c, int64(b.s.TP)
	d, heads, q := int64(c.HiddenSize), int64(c.NumHeads*c.QueryDim()), int64(c.QLoraRank)
	if q == 0 {
		b.enterTP("attn.query")
		b.product(linear{name: "attn.query", part: "wq", rows: b.tokens, n: heads / tp, k: d})
		b.matrix(1, heads, d)
		return
	}
	b.narrow("attn.query", "wq_a", q)
	b.keep("query latent", b.size(b.mine*q), 0)
	b.norm("q_norm", b.mine, q, q)
	b.keepInput("query latent, normed", b.mine*q, Norms|PerOp, false)
	b.gatherLatent("attn.query", q)
	b.module = Up
	b.product(linear{name: "attn.query", part: "wq_b", rows: b.tokens, n: heads / tp, k: q})
	b.module = 0
	b.matrix(1, heads, q)
}

// latentKey appends keys and values.
func (b *builder) latentKey() {
	c, tp := b.c, int64(b.s.TP)
	kv, r := int64(c.KVLoraRank), int64(c.RopeDim)
	heads := int64(c.NumHeads * (c.NopeDim + c.ValueDim))
	b.narrow("attn.key", "wkv_a", kv+r)
	b.keep("key latent", b.size(b.mine*(kv+r)), 0)
	b.norm("kv_norm", b.mine, kv, kv)
	b.keepInput("key latent, normed", b.mine*kv, Norms|PerOp, false)
	b.gatherLatent("attn.key", kv+r)
	b.module = Up
	b.product(linear{name: "attn.key", part: "wkv_b", rows: b.tokens, n: heads / tp, k: kv})
	b.module = 0
	b.matrix(1, heads, kv)
}

// narrow appends a product with a matrix that every TP rank holds whole and
// applies to its own tokens.
func (b *builder) narrow(name, part string, n int64) {
	d := int64(b.c.HiddenSize)
	b.product(linear{name: name, part: part, rows: b.mine, n: n, k: d, copies: b.copies})
	b.wholeMatrix(n, d)
	b.quantised(n * d)
}

// gatherLatent brings the latents of a TP group's tokens together.
func (b *builder) gatherLatent(name string, width int64) {
	payload := float64(b.size(b.tokens * width))
	switch {
	case b.s.TP == 1:
	case b.s.Sequence:
		b.message(name, "tp.latent", TP, AllGather, ReduceScatter, payload)
	default:
		b.message(name, "tp.latent", TP, NoPattern, AllReduce, payload)
	}
}
