package deepseektest

import (
	"math"
	"math/bits"
)

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

// IndexerScores are the lightning indexer's scores of every compressed entry for every query (eq. 13-16), before masking:
// sum over heads of w_h relu(<q_h, k>), [T, N]. x [T, d] and qr [T, R] arrive detached from the trunk.
func (r *Reference) IndexerScores(prefix string, x, qr *Tensor) *Tensor {
	t, heads, dim := r.Tape, r.c.IndexHeads, r.c.IndexHeadDim
	k := r.Compressor(prefix+".compressor", x, overlapRatio, dim)
	if k == nil {
		return nil
	}
	k = r.Hadamard(k)
	q := t.Reshape(r.Linear(qr, prefix+".wq_b.weight", heads*dim), x.Dim(0), heads, dim)
	q = r.Hadamard(r.Rope(q, every(x.Dim(0), 1), r.frequencies(overlapRatio), false))
	w := t.Scale(r.Linear(x, prefix+".weights_proj.weight", heads), math.Pow(float64(dim), -0.5)*math.Pow(float64(heads), -0.5))
	dots := t.ReLU(t.Einsum("thd,nd->thn", q, k))
	return t.Einsum("thn,th->tn", dots, w)
}

// Hadamard multiplies the last axis, a power of two long, by the orthogonal Sylvester matrix H/sqrt(dim), entry (i, j) of
// which has the sign of the parity of i AND j.
func (r *Reference) Hadamard(x *Tensor) *Tensor {
	t, n := r.Tape, x.Dim(-1)
	h := make([]float64, n*n)
	for i := range n {
		for j := range n {
			h[i*n+j] = 1 / math.Sqrt(float64(n))
			if bits.OnesCount(uint(i&j))%2 == 1 {
				h[i*n+j] = -h[i*n+j]
			}
		}
	}
	rows := t.Reshape(x, len(x.Data)/n, n)
	return t.Reshape(t.Einsum("ti,oi->to", rows, t.Const(h, n, n)), x.Shape...)
}

// selectEntries picks for each query the index_topk best visible entries (eq. 17): entry i is visible to query t when block
// i ended at or before t.
func (r *Reference) selectEntries(prefix string, scores *Tensor, ratio int) [][]int {
	T, n := scores.Dim(0), scores.Dim(1)
	picks := make([][]int, T)
	for q := range T {
		picks[q] = r.choose(prefix, scores.Data[q*n:q*n+min(n, (q+1)/ratio)], r.c.IndexTopK)
	}
	return picks
}

// IndexerLoss is sum over queries of KL(p || softmax(scores)) over each query's selected entries, where p is the mean over
// heads of the attention probabilities on those entries (with window and sink in their denominators), rescaled to sum 1.
// Probabilities are [T, H, N] on the compressed entries only, and no gradient flows into them.
func (r *Reference) IndexerLoss(scores, probabilities *Tensor, picks [][]int) *Tensor {
	t := r.Tape
	heads, n := probabilities.Dim(1), probabilities.Dim(2)
	total := t.Const([]float64{0}, 1)
	for q, at := range picks {
		if len(at) == 0 {
			continue
		}
		p, sum := make([]float64, len(at)), 0.0
		for j, s := range at {
			for h := range heads {
				p[j] += probabilities.Data[(q*heads+h)*n+s]
			}
			sum += p[j]
		}
		entropy := 0.0
		for j := range p {
			p[j] /= sum
			entropy += float64(p[j] * math.Log(p[j]))
		}
		row := t.Take(t.Slice(scores, 0, q, q+1), 1, at)
		logq := t.Sub(row, t.LogSumExp(row, 1))
		cross := t.Sum(t.Mul(logq, t.Const(p, 1, len(p))))
		total = t.Add(total, t.Offset(t.Scale(cross, -1), entropy))
	}
	return total
}
