package costmodel

import (
	"math"

	"github.com/temper-ml/temper/cluster/costmodel/operator"
)

// tiles are the output tiles that product kernels come in; the fastest for the
// shape is used, as tuned libraries do.
var tiles = [...]struct{ m, n float64 }{{256, 256}, {256, 128}, {128, 256}, {128, 128}, {128, 64}, {64, 128}, {64, 64}}

// multiply returns the seconds of Batch products of M x K by K x N.
//
// The output is cut into tiles; each of the device's cores works on one tile at
// a time, so the last wave of tiles leaves some idle. A tile costs a fixed start
// beside its operations, which is what makes short K slow. Few tiles may share
// one output along K.
func (r *rates) multiply(o *operator.Operator) float64 {
	flops := r.rateOf(o)
	perCore := flops / r.cores
	best := math.Inf(1)
	batch, m, n, k := float64(o.Batch), float64(o.M), float64(o.N), float64(o.K)
	for _, t := range tiles {
		count := batch * math.Ceil(m/t.m) * math.Ceil(n/t.n)
		small := (1 + float64(r.tile*(1/t.m+1/t.n))) / (1 + float64(r.tile*(1/256.+1/256.)))
		for split := 1.0; split <= 8; split *= 2 {
			if split > 1 && (count*split > 2*r.cores || k/split < 512) {
				break
			}
			waves := count * split / r.cores
			waves += float64(r.wave * (math.Ceil(waves) - waves))
			each := float64(2*t.m*t.n*k/split/perCore*small) + r.start
			best = min(best, waves*each)
		}
	}
	return smoothMax(best, o.Bytes/r.memory)
}

// rateOf returns the FLOP/s of large products of the operator's format.
func (r *rates) rateOf(o *operator.Operator) float64 {
	f, ok := r.product[o.DType]
	if !ok {
		f = r.product[operator.BF16]
	}
	if o.Class == operator.GroupedProduct {
		f *= r.grouped
	}
	return f
}

// attend returns the seconds of attention. Unfused attention is batched products
// and passes over the scores; flash attention is one kernel, or several pieces,
// whose rate grows with the length that each can stream over.
func (r *rates) attend(o *operator.Operator, flash, backward bool, pieces int) float64 {
	if !flash {
		return r.unfused(o)
	}
	rate := r.attn
	if backward {
		rate *= r.backward
	}
	if o.K > 128 {
		rate *= r.wide
	}
	streamed := max(1, float64(o.N)/float64(max(1, pieces)))
	rate *= streamed / (streamed + r.ramp)
	return smoothMax((o.FLOPs+o.Extra)/rate, o.Bytes/r.memory)
}

// unfused returns the seconds of attention that writes its scores to memory:
// batched products over the full square, of which no causal half is skipped,
// then passes over the scores.
func (r *rates) unfused(o *operator.Operator) float64 {
	scores := operator.Operator{Class: operator.Product, DType: o.DType, Batch: o.Batch, M: o.M, N: o.M, K: o.K}
	sums := scores
	sums.N, sums.K = o.K, o.M
	square := 2 * float64(o.Batch) * float64(o.M) * float64(o.M) * float64(o.K)
	pairs := o.FLOPs / max(1, square) // one of each
	return float64(pairs*(r.multiply(&scores)+r.multiply(&sums))) + o.Bytes/r.memory
}

// smoothMax is the time of two things that overlap well: a little more than the
// longer one where they are alike.
func smoothMax(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if b <= 0 {
		return a
	}
	x := b / a
	x *= x
	return a * math.Sqrt(math.Sqrt(1+float64(x*x)))
}
