package deepseektest

import (
	"math"
	"math/bits"
)

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
