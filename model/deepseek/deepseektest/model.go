package deepseektest

import (
	"fmt"
	"slices"

	"github.com/temper-ml/temper/model/arch"
)

// Batch is one packed row: tokens, targets (-1 = not supervised) and the segments that isolate samples from each other.
type Batch struct {
	Tokens, Labels []int32
	MTPLabels      []int32 // for the first MTP block; nil means one place on from Labels, as each further block's are
	Segments       [][2]int
}

// Scales multiply the four losses in the total that is differentiated.
type Scales struct{ LM, MTP, Balance, Indexer float64 }

// Output holds the unscaled sums of each loss, their scaled total, and what a comparison needs.
type Output struct {
	LM, MTP, Balance, Indexer, Total float64
	LogProbs                         []float64 // log p(label) per position of the row, 0 where not supervised
	Logits                           []float64 // [T, V]
	MTPLogits                        []float64 // per segment and MTP block, [T-1, V], then [T-2, V] and so on
	Grads                            map[string][]float64
}

// Run evaluates a whole model on one row and differentiates the scaled total. Every segment is computed entirely on its own,
// which is what isolation means: window, compressed blocks, positions, MTP shift and balance all start again.
func (r *Reference) Run(b Batch, s Scales) (Output, error) { return r.evaluate(b, s, true) }

func (r *Reference) evaluate(b Batch, s Scales, differentiate bool) (out Output, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	t := r.Tape
	total := t.Const([]float64{0}, 1)
	add := func(sum *float64, part *Tensor, scale float64) {
		if part == nil {
			return
		}
		v := t.Sum(part)
		*sum += v.Data[0]
		total = t.Add(total, t.Scale(v, scale))
	}
	out.LogProbs = make([]float64, len(b.Tokens))
	for _, seg := range b.Segments {
		lo, hi := seg[0], seg[1]
		f := r.Forward(b.Tokens[lo:hi])
		loss, rows := r.crossEntropy(f.Logits, b.Labels[lo:hi])
		add(&out.LM, loss, s.LM)
		for i, row := range rows {
			out.LogProbs[lo+row] = -loss.Data[i]
		}
		labels := later(b.Labels[lo:hi])
		if b.MTPLabels != nil {
			labels = b.MTPLabels[lo:hi]
		}
		for _, logits := range f.MTPLogits {
			loss, _ = r.crossEntropy(logits, labels[:logits.Dim(0)])
			add(&out.MTP, loss, s.MTP)
			out.MTPLogits = append(out.MTPLogits, logits.Data...)
			labels = later(labels)
		}
		for _, part := range f.Balance {
			add(&out.Balance, part, s.Balance)
		}
		for _, part := range f.Indexer {
			add(&out.Indexer, part, s.Indexer)
		}
		out.Logits = append(out.Logits, f.Logits.Data...)
	}
	out.Total = total.Data[0]
	if differentiate {
		t.Backward(total)
		out.Grads = r.Gradients()
	}
	return out, nil
}

// later moves the labels of one segment one place on.
func later(labels []int32) []int32 { return append(slices.Clone(labels[1:]), -1) }

// Forwarded is the result of one sequence: logits [T, V] of the trunk and [T-k, V] of the k-th MTP block, and the balance and indexer
// losses of every layer that has them, in layer order with the MTP blocks last.
type Forwarded struct {
	Logits           *Tensor
	MTPLogits        []*Tensor
	Balance, Indexer []*Tensor
}

// Forward runs the trunk and the MTP blocks on one sequence.
func (r *Reference) Forward(tokens []int32) Forwarded {
	if r.c.Family == arch.V3 {
		return r.forwardV3(tokens)
	}
	return r.forwardV4(tokens)
}

// forwardV4 is section 2.0 and, for the MTP blocks, 2.6.
func (r *Reference) forwardV4(tokens []int32) (f Forwarded) {
	c := r.c
	x := r.streams(r.Embed("embed.weight", tokens))
	for layer := range c.NumLayers {
		x = r.blockV4(&f, "layers."+itoa(layer), layer, x, tokens)
	}
	f.Logits = r.Linear(r.RMSNorm(r.HyperHead("", x), "norm.weight"), "head.weight", c.VocabSize)
	r.mtpV4(&f, x, tokens)
	return f
}

// streams repeats h [T, d] into S equal residual streams [T, S, d].
func (r *Reference) streams(h *Tensor) *Tensor {
	copies := make([]*Tensor, r.c.HCMult)
	for i := range copies {
		copies[i] = r.Tape.Reshape(h, h.Dim(0), 1, h.Dim(1))
	}
	return r.Tape.Concat(1, copies...)
}

// blockV4 is one layer on the streams x [T, S, d]: attention, then experts, each between its hyper-connections.
func (r *Reference) blockV4(f *Forwarded, prefix string, layer int, x *Tensor, tokens []int32) *Tensor {
	a, post, comb := r.HyperPre(prefix+".hc_attn", x)
	attended := r.Attention(prefix+".attn", r.c.CompressRatios[layer], r.RMSNorm(a, prefix+".attn_norm.weight"))
	if attended.IndexerLoss != nil {
		f.Indexer = append(f.Indexer, attended.IndexerLoss)
	}
	x = r.HyperPost(attended.Out, x, post, comb)

	a, post, comb = r.HyperPre(prefix+".hc_ffn", x)
	y, balance := r.MoE(ExpertsV4(prefix+".ffn", r.c.IsHash(layer)), r.RMSNorm(a, prefix+".ffn_norm.weight"), tokens)
	if !r.c.IsHash(layer) {
		f.Balance = append(f.Balance, balance)
	}
	return r.HyperPost(y, x, post, comb)
}

// ExpertsV4 names the tensors of a V4 expert block.
func ExpertsV4(prefix string, hash bool) Experts {
	e := Experts{
		Gate: prefix + ".gate.weight", Expert: prefix + ".experts", Shared: prefix + ".shared_experts",
		W1: ".w1.weight", W3: ".w3.weight", W2: ".w2.weight",
	}
	if hash {
		e.Table = prefix + ".gate.tid2eid"
	} else {
		e.Bias = prefix + ".gate.bias"
	}
	return e
}

// forwardV3 is section 7: pre-norm residual blocks, the first DenseLayers without experts.
func (r *Reference) forwardV3(tokens []int32) (f Forwarded) {
	x := r.Embed("model.embed_tokens.weight", tokens)
	for layer := range r.c.NumLayers {
		x = r.blockV3(&f, layer, x)
	}
	x = r.RMSNorm(x, "model.norm.weight")
	f.Logits = r.Linear(x, "lm_head.weight", r.c.VocabSize)
	r.mtpV3(&f, x, tokens)
	return f
}

func (r *Reference) blockV3(f *Forwarded, layer int, x *Tensor) *Tensor {
	t, prefix := r.Tape, "model.layers."+itoa(layer)
	x = t.Add(x, r.LatentAttention(prefix+".self_attn", r.RMSNorm(x, prefix+".input_layernorm.weight")))
	h := r.RMSNorm(x, prefix+".post_attention_layernorm.weight")
	mlp := prefix + ".mlp"
	if !r.c.IsMoE(layer) {
		return t.Add(x, r.SwiGLU(h, ExpertsV3("").names(mlp), r.c.IntermediateSize, nil))
	}
	y, balance := r.MoE(ExpertsV3(mlp), h, nil)
	f.Balance = append(f.Balance, balance)
	return t.Add(x, y)
}

// ExpertsV3 names the tensors of a V3 expert block.
func ExpertsV3(prefix string) Experts {
	return Experts{
		Gate: prefix + ".gate.weight", Bias: prefix + ".gate.e_score_correction_bias",
		Expert: prefix + ".experts", Shared: prefix + ".shared_experts",
		W1: ".gate_proj.weight", W3: ".up_proj.weight", W2: ".down_proj.weight",
	}
}

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
