package deepseektest

import "math"

// LatentAttention is V3's multi-head latent attention over one sequence x [T, d] (section 7): low-rank queries, keys and
// values from one latent per token, and one rotated key part shared by all heads; every earlier token is attended.
func (r *Reference) LatentAttention(prefix string, x *Tensor) *Tensor {
	t, c, T := r.Tape, r.c, x.Dim(0)
	position, freq := every(T, 1), frequencies(c.RopeTheta, c.RopeDim, c.RopeScaling)

	cq := r.RMSNorm(r.Linear(x, prefix+".q_a_proj.weight", c.QLoraRank), prefix+".q_a_layernorm.weight")
	q := t.Reshape(r.Linear(cq, prefix+".q_b_proj.weight", c.NumHeads*c.QueryDim()), T, c.NumHeads, c.QueryDim())
	q = r.Rope(q, position, freq, false)

	joint := r.Linear(x, prefix+".kv_a_proj_with_mqa.weight", c.KVLoraRank+c.RopeDim)
	latent := r.RMSNorm(t.Slice(joint, 1, 0, c.KVLoraRank), prefix+".kv_a_layernorm.weight")
	kpe := r.Rope(t.Slice(joint, 1, c.KVLoraRank, c.KVLoraRank+c.RopeDim), position, freq, false)
	width := c.NopeDim + c.ValueDim
	kv := t.Reshape(r.Linear(latent, prefix+".kv_b_proj.weight", c.NumHeads*width), T, c.NumHeads, width)

	s := t.Einsum("thd,nhd->thn", t.Slice(q, 2, 0, c.NopeDim), t.Slice(kv, 2, 0, c.NopeDim))
	s = t.Add(s, t.Einsum("thd,nd->thn", t.Slice(q, 2, c.NopeDim, c.QueryDim()), kpe))
	s = t.Scale(s, r.latentScale())
	var flat []float64
	for _, row := range windowMask(T, T) {
		flat = append(flat, row...)
	}
	p := t.Softmax(t.Add(s, t.Const(flat, T, 1, T)), 2)
	o := t.Einsum("thn,nhd->thd", p, t.Slice(kv, 2, c.NopeDim, width))
	return r.Linear(t.Reshape(o, T, c.NumHeads*c.ValueDim), prefix+".o_proj.weight", c.HiddenSize)
}

// latentScale is 1/sqrt(query width), times the square of YaRN's attention factor where one is set.
func (r *Reference) latentScale() float64 {
	scale := math.Pow(float64(r.c.QueryDim()), -0.5)
	if y := r.c.RopeScaling; y != nil && y.MScaleAllDim != 0 && y.Factor > 1 {
		m := float64(0.1*y.MScaleAllDim*math.Log(y.Factor)) + 1
		scale *= m * m
	}
	return scale
}
