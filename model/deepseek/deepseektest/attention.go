package deepseektest

import (
	"math"
)

// Attended is what an attention block returns: its output [T, d], the mask-resolved probabilities [T, H, N] over window keys
// then compressed keys, and the indexer's loss (nil without an indexer).
type Attended struct {
	Out           *Tensor
	Probabilities *Tensor
	IndexerLoss   *Tensor
}

// Attention is V4's attention over one sequence x [T, d] (section 2.2; eq. 13-19, 24-27): shared key-value head, sliding
// window, compressed entries by ratio (0 none, 4 selected by the indexer, else all visible), sinks, grouped output.
func (r *Reference) Attention(prefix string, ratio int, x *Tensor) Attended {
	t, c, T := r.Tape, r.c, x.Dim(0)
	position, freq := every(T, 1), r.frequencies(ratio)

	qr := r.RMSNorm(r.Linear(x, prefix+".wq_a.weight", c.QLoraRank), prefix+".q_norm.weight")
	q := t.Reshape(r.Linear(qr, prefix+".wq_b.weight", c.NumHeads*c.HeadDim), T, c.NumHeads, c.HeadDim)
	q = r.Rope(r.RMSNorm(q, ""), position, freq, false)
	kv := r.RMSNorm(r.Linear(x, prefix+".wkv.weight", c.HeadDim), prefix+".kv_norm.weight")
	keys := r.Rope(kv, position, freq, false)
	mask := windowMask(T, c.SlidingWindow)

	var scores *Tensor
	var picks [][]int
	if ratio != 0 {
		entries := r.Compressor(prefix+".compressor", x, ratio, c.HeadDim)
		if entries != nil {
			if ratio == overlapRatio {
				scores = r.IndexerScores(prefix+".indexer", t.Detach(x), t.Detach(qr))
				picks = r.selectEntries(prefix, scores, ratio)
			} else {
				picks = allVisible(T, entries.Dim(0), ratio)
			}
			keys = t.Concat(0, keys, entries)
			mask = appendPicks(mask, picks, entries.Dim(0))
		}
	}
	o, p := r.sinkAttention(q, keys, mask, prefix+".attn_sink")
	out := Attended{Out: r.groupedOutput(prefix, r.Rope(o, position, freq, true)), Probabilities: p}
	if scores != nil {
		out.IndexerLoss = r.IndexerLoss(scores, t.Slice(p, 2, T, p.Dim(2)), picks)
	}
	return out
}

// sinkAttention attends q [T, H, D] to keys [N, D], which are also the values, with an extra logit per head that takes part
// in the softmax but has no value (eq. 27).
func (r *Reference) sinkAttention(q, keys *Tensor, mask [][]float64, sink string) (o, p *Tensor) {
	t, T, heads := r.Tape, q.Dim(0), q.Dim(1)
	n := keys.Dim(0)
	s := t.Scale(t.Einsum("thd,nd->thn", q, keys), math.Pow(float64(q.Dim(2)), -0.5))
	flat := make([]float64, 0, T*n)
	for _, row := range mask {
		flat = append(flat, row...)
	}
	s = t.Add(s, t.Const(flat, T, 1, n))
	zeros := t.Const(make([]float64, T*heads), T, heads, 1)
	logit := t.Add(zeros, t.Reshape(r.weight(sink, heads), heads, 1))
	p = t.Slice(t.Softmax(t.Concat(2, s, logit), 2), 2, 0, n)
	return t.Einsum("thn,nd->thd", p, keys), p
}

// groupedOutput projects each group of heads on its own, then all together.
func (r *Reference) groupedOutput(prefix string, o *Tensor) *Tensor {
	t, T, g := r.Tape, o.Dim(0), r.c.OGroups
	in := o.Dim(1) * o.Dim(2) / g
	a := t.Reshape(r.weight(prefix+".wo_a.weight", g*r.c.OLoraRank, in), g, r.c.OLoraRank, in)
	z := t.Einsum("tgi,gri->tgr", t.Reshape(o, T, g, in), a)
	return r.Linear(t.Reshape(z, T, g*r.c.OLoraRank), prefix+".wo_b.weight", r.c.HiddenSize)
}

// windowMask is 0 where query t may see token k (t-window < k <= t) and -Inf elsewhere.
func windowMask(T, window int) [][]float64 {
	mask := make([][]float64, T)
	for q := range mask {
		mask[q] = make([]float64, T)
		for k := range T {
			if k > q || k <= q-window {
				mask[q][k] = math.Inf(-1)
			}
		}
	}
	return mask
}

// allVisible lists for each query the entries whose block is complete.
func allVisible(T, n, ratio int) [][]int {
	picks := make([][]int, T)
	for q := range picks {
		picks[q] = every(min(n, (q+1)/ratio), 1)
	}
	return picks
}

// appendPicks widens a mask by n compressed entries of which each query sees its picks.
func appendPicks(mask [][]float64, picks [][]int, n int) [][]float64 {
	for q := range mask {
		row := make([]float64, n)
		for i := range row {
			row[i] = math.Inf(-1)
		}
		for _, i := range picks[q] {
			row[i] = 0
		}
		mask[q] = append(mask[q], row...)
	}
	return mask
}

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
