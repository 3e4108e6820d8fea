package deepseektest

// mtpV4 runs the MTP blocks of V4 (section 2.6) on the trunk's final streams x [T, S, d], taken before hc_head. Block k joins
// the streams at position i with the embedding of token i+k+1 and predicts the token after it; the last k+1 positions of a
// sequence have no such token and drop out.
func (r *Reference) mtpV4(f *Forwarded, x *Tensor, tokens []int32) {
	t, c := r.Tape, r.c
	for k := range min(c.NumMTP, len(tokens)-1) {
		prefix, n := "mtp."+itoa(k), len(tokens)-k-1
		e := r.RMSNorm(r.Embed("embed.weight", tokens[k+1:]), prefix+".enorm.weight")
		h := t.Reshape(r.RMSNorm(t.Slice(x, 0, 0, n), prefix+".hnorm.weight"), n*c.HCMult, c.HiddenSize)
		he := t.Reshape(r.Linear(h, prefix+".h_proj.weight", c.HiddenSize), n, c.HCMult, c.HiddenSize)
		ee := t.Reshape(r.Linear(e, prefix+".e_proj.weight", c.HiddenSize), n, 1, c.HiddenSize)
		x = r.blockV4(f, prefix, c.NumLayers+k, t.Add(he, ee), nil)
		y := r.RMSNorm(r.HyperHead(prefix+".", x), prefix+".norm.weight")
		f.MTPLogits = append(f.MTPLogits, r.Linear(y, "head.weight", c.VocabSize))
	}
}

// mtpV3 runs the MTP blocks of V3. A block's input is eh_proj [RMSNorm(Embed(t)); RMSNorm(h)], where h [T, d] is the trunk's
// state after its final norm, or the block before's after its own.
func (r *Reference) mtpV3(f *Forwarded, h *Tensor, tokens []int32) {
	t, c := r.Tape, r.c
	for k := range min(c.NumMTP, len(tokens)-1) {
		prefix := "model.layers." + itoa(c.NumLayers+k)
		e := r.RMSNorm(r.Embed("model.embed_tokens.weight", tokens[k+1:]), prefix+".enorm.weight")
		joined := t.Concat(1, e, r.RMSNorm(t.Slice(h, 0, 0, e.Dim(0)), prefix+".hnorm.weight"))
		y := r.blockV3(f, c.NumLayers+k, r.Linear(joined, prefix+".eh_proj.weight", c.HiddenSize))
		h = r.RMSNorm(y, prefix+".shared_head.norm.weight")
		f.MTPLogits = append(f.MTPLogits, r.Linear(h, "lm_head.weight", c.VocabSize))
	}
}
