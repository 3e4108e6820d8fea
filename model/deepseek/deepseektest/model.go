package deepseektest

import (
	"fmt"

	"github.com/temper-ml/temper/model/arch"
)

// Batch is one packed row: tokens, targets (-1 = not supervised) and the segments that isolate samples from each other.
type Batch struct {
	Tokens, Labels, MTPLabels []int32 // MTPLabels may be nil: no loss from the MTP blocks
	Segments                  [][2]int
}

// Scales multiply the four losses in the total that is differentiated.
type Scales struct{ LM, MTP, Balance, Indexer float64 }

// Output holds the unscaled sums of each loss, their scaled total, and what a comparison needs.
type Output struct {
	LM, MTP, Balance, Indexer, Total float64
	LogProbs                         []float64 // log p(label) per position of the row, 0 where not supervised
	Logits                           []float64 // [T, V]
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
		if b.MTPLabels != nil && f.MTPLogits != nil {
			loss, _ = r.crossEntropy(f.MTPLogits, b.MTPLabels[lo:hi-1])
			add(&out.MTP, loss, s.MTP)
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

// Forwarded is the result of one sequence: logits [T, V], the MTP block's logits [T-1, V] (nil without one), and the balance
// and indexer losses of every layer that has them, in layer order with the MTP block last.
type Forwarded struct {
	Logits, MTPLogits *Tensor
	Balance, Indexer  []*Tensor
}

// Forward runs the trunk and the MTP block on one sequence.
func (r *Reference) Forward(tokens []int32) Forwarded {
	if r.c.Family == arch.V3 {
		return r.forwardV3(tokens)
	}
	return r.forwardV4(tokens)
}

// forwardV4 is section 2.0 and, for the MTP block, 2.6.
func (r *Reference) forwardV4(tokens []int32) (f Forwarded) {
	c := r.c
	x := r.streams(r.Embed("embed.weight", tokens))
	for layer := range c.NumLayers {
		x = r.blockV4(&f, "layers."+itoa(layer), layer, x, tokens)
	}
	f.Logits = r.head(r.HyperHead("", x), "norm.weight", "head.weight")
	if c.NumMTP > 0 && len(tokens) > 1 {
		f.MTPLogits = r.mtpV4(&f, x, tokens)
	}
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

func (r *Reference) head(h *Tensor, norm, head string) *Tensor {
	return r.Linear(r.RMSNorm(h, norm), head, r.c.VocabSize)
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

// mtpV4 predicts the token after next (section 2.6). Position i joins the trunk's streams at i with the embedding of token
// i+1; the last position has no such token and drops out. x is the trunk's final state before hc_head.
func (r *Reference) mtpV4(f *Forwarded, x *Tensor, tokens []int32) *Tensor {
	t, n, d := r.Tape, len(tokens)-1, r.c.HiddenSize
	e := r.RMSNorm(r.Embed("embed.weight", tokens[1:]), "mtp.0.enorm.weight")
	h := r.RMSNorm(t.Slice(x, 0, 0, n), "mtp.0.hnorm.weight")
	he := r.Linear(t.Reshape(h, n*r.c.HCMult, d), "mtp.0.h_proj.weight", d)
	y := t.Add(t.Reshape(he, n, r.c.HCMult, d), t.Reshape(r.Linear(e, "mtp.0.e_proj.weight", d), n, 1, d))
	y = r.blockV4(f, "mtp.0", r.c.NumLayers, y, tokens[1:])
	return r.head(r.HyperHead("mtp.0.", y), "mtp.0.norm.weight", "head.weight")
}

// forwardV3 is section 7: pre-norm residual blocks, the first DenseLayers without experts.
func (r *Reference) forwardV3(tokens []int32) (f Forwarded) {
	x := r.Embed("model.embed_tokens.weight", tokens)
	for layer := range r.c.NumLayers {
		x = r.blockV3(&f, layer, x)
	}
	f.Logits = r.head(x, "model.norm.weight", "lm_head.weight")
	if r.c.NumMTP > 0 && len(tokens) > 1 {
		f.MTPLogits = r.mtpV3(&f, x, tokens)
	}
	return f
}

func (r *Reference) blockV3(f *Forwarded, layer int, x *Tensor) *Tensor {
	t, prefix := r.Tape, "model.layers."+itoa(layer)
	x = t.Add(x, r.LatentAttention(prefix+".self_attn", r.RMSNorm(x, prefix+".input_layernorm.weight")))
	h := r.RMSNorm(x, prefix+".post_attention_layernorm.weight")
	mlp := prefix + ".mlp"
	if !r.c.IsMoE(layer) {
		return t.Add(x, r.SwiGLU(h, mlp+".gate_proj.weight", mlp+".up_proj.weight", mlp+".down_proj.weight",
			r.c.IntermediateSize, 0, nil))
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

// mtpV3 is V3's extra block: its input is eh_proj [RMSNorm(Embed(t_{i+1})); RMSNorm(h_i)], h the trunk's state before its
// final norm.
func (r *Reference) mtpV3(f *Forwarded, x *Tensor, tokens []int32) *Tensor {
	t, n, prefix := r.Tape, len(tokens)-1, "model.layers."+itoa(r.c.NumLayers)
	e := r.RMSNorm(r.Embed("model.embed_tokens.weight", tokens[1:]), prefix+".enorm.weight")
	h := r.RMSNorm(t.Slice(x, 0, 0, n), prefix+".hnorm.weight")
	y := r.Linear(t.Concat(1, e, h), prefix+".eh_proj.weight", r.c.HiddenSize)
	y = r.blockV3(f, r.c.NumLayers, y)
	return r.head(y, prefix+".shared_head.norm.weight", "lm_head.weight")
}
