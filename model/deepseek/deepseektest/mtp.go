package deepseektest

// mtpV4 runs the MTP blocks of V4 (section 2.6) on the trunk's final streams x [T, S, d], taken before hc_head. Block k joins
// the streams at position i with the embedding of token i+k+1 and predicts the token after it; where a sequence has no such
// token the embedding is zero, and no label refers to it. It returns each block's logits.
func (r *Reference) mtpV4(f *Forwarded, x *Tensor, tokens []int32) {
	t, T, c := r.Tape, len(tokens), r.c
	for k := range c.NumMTP {
		prefix := "mtp." + itoa(k)
		e := r.RMSNorm(r.embedAhead("embed.weight", tokens, k+1), prefix+".enorm.weight")
		h := t.Reshape(r.RMSNorm(x, prefix+".hnorm.weight"), T*c.HCMult, c.HiddenSize)
		he := t.Reshape(r.Linear(h, prefix+".h_proj.weight", c.HiddenSize), T, c.HCMult, c.HiddenSize)
		ee := t.Reshape(r.Linear(e, prefix+".e_proj.weight", c.HiddenSize), T, 1, c.HiddenSize)
		x = r.blockV4(f, prefix, c.NumLayers+k, t.Add(he, ee), nil)
		y := r.RMSNorm(r.HyperHead(prefix+".", x), prefix+".norm.weight")
		f.MTPLogits = append(f.MTPLogits, r.Linear(y, "head.weight", c.VocabSize))
	}
}

// mtpV3 runs the MTP blocks of V3. A block's input is eh_proj [RMSNorm(Embed(t)); RMSNorm(h)], where h [T, d] is the trunk's
// state after its final norm, or the block before's after its own.
func (r *Reference) mtpV3(f *Forwarded, h *Tensor, tokens []int32) {
	t, c := r.Tape, r.c
	for k := range c.NumMTP {
		prefix := "model.layers." + itoa(c.NumLayers+k)
		e := r.RMSNorm(r.embedAhead("model.embed_tokens.weight", tokens, k+1), prefix+".enorm.weight")
		joined := t.Concat(1, e, r.RMSNorm(h, prefix+".hnorm.weight"))
		y := r.blockV3(f, c.NumLayers+k, r.Linear(joined, prefix+".eh_proj.weight", c.HiddenSize))
		h = r.RMSNorm(y, prefix+".shared_head.norm.weight")
		f.MTPLogits = append(f.MTPLogits, r.Linear(h, "lm_head.weight", c.VocabSize))
	}
}

// embedAhead is the embedding of the token k places later, zero where there is none.
func (r *Reference) embedAhead(table string, tokens []int32, k int) *Tensor {
	k = min(k, len(tokens))
	none := r.Tape.Const(make([]float64, k*r.c.HiddenSize), k, r.c.HiddenSize)
	return r.Tape.Concat(0, r.Embed(table, tokens[k:]), none)
}
