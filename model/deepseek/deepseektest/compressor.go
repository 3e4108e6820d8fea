package deepseektest

import "math"

// overlapRatio is the compression ratio whose entries overlap and are selected by an indexer (CSA); other ratios are HCA.
const overlapRatio = 4

// Compressor pools every ratio tokens of x [T, d] into one entry of width dim (eq. 9-12 with overlap, 20-23 without). It
// returns [T/ratio, dim], or nil when no block is complete; trailing tokens of an incomplete block take no part.
func (r *Reference) Compressor(prefix string, x *Tensor, ratio, dim int) *Tensor {
	t, n := r.Tape, x.Dim(0)/ratio
	if n == 0 {
		return nil
	}
	width := dim
	if ratio == overlapRatio {
		width = 2 * dim
	}
	x = t.Slice(x, 0, 0, n*ratio)
	value := t.Reshape(r.Linear(x, prefix+".wkv.weight", width), n, ratio, width)
	score := t.Reshape(r.Linear(x, prefix+".wgate.weight", width), n, ratio, width)
	score = t.Add(score, r.weight(prefix+".ape", ratio, width))
	if ratio == overlapRatio {
		value, score = r.overlap(value, dim, 0), r.overlap(score, dim, math.Inf(-1))
	}
	pooled := t.SumAxis(t.Mul(t.Softmax(score, 1), value), 1)
	entry := r.RMSNorm(t.Reshape(pooled, n, dim), prefix+".norm.weight")
	return r.Rope(entry, every(n, ratio), r.frequencies(ratio), false)
}

// overlap lays out the slots of an overlapping entry: the previous block's tokens by their first dim channels, then the
// block's own tokens by their last dim channels. The first block has no predecessor: its slots hold fill.
func (r *Reference) overlap(x *Tensor, dim int, fill float64) *Tensor {
	t, n, ratio := r.Tape, x.Dim(0), x.Dim(1)
	none := make([]float64, ratio*dim)
	for i := range none {
		none[i] = fill
	}
	before := t.Slice(t.Slice(x, 0, 0, n-1), 2, 0, dim)
	before = t.Concat(0, t.Const(none, 1, ratio, dim), before)
	return t.Concat(1, before, t.Slice(x, 2, dim, 2*dim))
}
