package deepseektest

import (
	"math"

	"github.com/temper-ml/temper/model/arch"
)

// Linear is x wᵀ for x [T, in] and the named weight [out, in].
func (r *Reference) Linear(x *Tensor, name string, out int) *Tensor {
	return r.Tape.Einsum("ti,oi->to", x, r.weight(name, out, x.Dim(-1)))
}

// RMSNorm is w x / sqrt(mean(x²) + eps) over the last axis; an empty name means no weight.
func (r *Reference) RMSNorm(x *Tensor, name string) *Tensor {
	y := r.Tape.Mul(x, r.rms(x))
	if name == "" {
		return y
	}
	return r.Tape.Mul(y, r.weight(name, x.Dim(-1)))
}

// rms is 1/sqrt(mean(x²) + eps) over the last axis, which stays with size 1.
func (r *Reference) rms(x *Tensor) *Tensor {
	t := r.Tape
	mean := t.Scale(t.SumAxis(t.Mul(x, x), -1), 1/float64(x.Dim(-1)))
	return t.Rsqrt(t.Offset(mean, r.c.RMSNormEps))
}

// Embed looks up the rows of a table [V, d].
func (r *Reference) Embed(name string, tokens []int32) *Tensor {
	at := make([]int, len(tokens))
	for i, id := range tokens {
		at[i] = int(id)
	}
	return r.Tape.Take(r.weight(name, r.c.VocabSize, r.c.HiddenSize), 0, at)
}

// SwiGLU is w2(weight * silu(min(w1 x, limit)) * clamp(w3 x, ±limit)) with names w1, w3, w2; V3 has no limit; weight is [T, 1],
// nil for 1.
func (r *Reference) SwiGLU(x *Tensor, names [3]string, width int, weight *Tensor) *Tensor {
	t, limit := r.Tape, r.c.SwiGLULimit
	gate, up := r.Linear(x, names[0], width), r.Linear(x, names[1], width)
	if limit > 0 {
		gate, up = t.Clamp(gate, -infinity, limit), t.Clamp(up, -limit, limit)
	}
	h := t.Mul(t.Silu(gate), up)
	if weight != nil {
		h = t.Mul(h, weight)
	}
	return r.Linear(h, names[2], x.Dim(-1))
}

// crossEntropy is log sum exp(z) - z[label] for the rows with a label >= 0, as [n, 1], and those rows' indices. It is nil
// when there are none.
func (r *Reference) crossEntropy(logits *Tensor, labels []int32) (loss *Tensor, rows []int) {
	t := r.Tape
	for i, label := range labels {
		if label >= 0 {
			rows = append(rows, i)
		}
	}
	if len(rows) == 0 {
		return nil, nil
	}
	z := t.Take(logits, 0, rows)
	hot := make([]float64, len(z.Data))
	for i, row := range rows {
		hot[i*z.Dim(1)+int(labels[row])] = 1
	}
	picked := t.SumAxis(t.Mul(z, t.Const(hot, z.Shape...)), 1)
	return t.Sub(t.LogSumExp(z, 1), picked), rows
}

// frequencies are the rotation speeds of a V4 layer: plain for window layers, another base and YaRN where the layer
// compresses (section 2.2); queries, window keys, compressed keys and the indexer of one layer all share them.
func (r *Reference) frequencies(ratio int) []float64 {
	if ratio == 0 {
		return frequencies(r.c.RopeTheta, r.c.RopeDim, nil)
	}
	return frequencies(r.c.CompressRopeTheta, r.c.RopeDim, r.c.RopeScaling)
}

// frequencies are the rotation speeds of the dim/2 channel pairs, theta^(-2i/dim), stretched by YaRN when y is not nil:
// pairs that turn more than betaFast times within the original context keep their speed, pairs that turn less than betaSlow
// times are slowed by the factor, and a linear ramp lies between.
func frequencies(theta float64, dim int, y *arch.RopeScaling) []float64 {
	freq := make([]float64, dim/2)
	for i := range freq {
		freq[i] = math.Pow(theta, -2*float64(i)/float64(dim))
	}
	if y == nil {
		return freq
	}
	pair := func(turns float64) float64 { // the (real-valued) pair that turns this often within the original context
		return float64(dim) * math.Log(float64(y.OriginalMaxPositions)/(turns*2*math.Pi)) / (2 * math.Log(theta))
	}
	low := max(math.Floor(pair(y.BetaFast)), 0)
	high := min(math.Ceil(pair(y.BetaSlow)), float64(dim-1))
	if low == high {
		high += 0.001
	}
	for i := range freq {
		ramp := min(max((float64(i)-low)/(high-low), 0), 1)
		freq[i] = float64(freq[i]*(1-ramp)) + float64(freq[i]/y.Factor*ramp)
	}
	return freq
}

// Rope rotates the last len(2*freq) channels of x, [T, D] or [T, H, D], in adjacent pairs: the pair (a, b) at position p turns
// by the angle p*freq. Inverse turns the other way.
func (r *Reference) Rope(x *Tensor, position []int, freq []float64, inverse bool) *Tensor {
	t := r.Tape
	dim := 2 * len(freq)
	keep := t.Slice(x, -1, 0, x.Dim(-1)-dim)
	turn := t.Slice(x, -1, x.Dim(-1)-dim, x.Dim(-1))
	swap := make([]int, dim)
	cos, sin := make([]float64, len(position)*dim), make([]float64, len(position)*dim)
	for j := range dim {
		swap[j] = j ^ 1
		for i, p := range position {
			s, c := math.Sincos(float64(p) * freq[j/2])
			if (j%2 == 0) != inverse {
				s = -s
			}
			cos[i*dim+j], sin[i*dim+j] = c, s
		}
	}
	shape := []int{len(position), dim}
	if len(x.Shape) == 3 {
		shape = []int{len(position), 1, dim}
	}
	rotated := t.Add(t.Mul(turn, t.Const(cos, shape...)), t.Mul(t.Take(turn, -1, swap), t.Const(sin, shape...)))
	return t.Concat(-1, keep, rotated)
}

// every returns 0, step, 2*step, ... : n positions.
func every(n, step int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i * step
	}
	return p
}
