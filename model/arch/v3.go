package arch

import (
	"fmt"

	"github.com/temper-ml/temper/compute/dtype"
)

// v3 lists a DeepSeek-V3 model, or a V2, which has no routing bias and no MTP. The MTP blocks follow the trunk's layers in the
// numbering of the published names.
func (b *builder) v3() {
	c := b.c
	b.add(Embed, "model.embed_tokens.weight", b.plain(), Embedding, c.VocabSize, c.HiddenSize)
	for l := range c.NumLayers {
		b.prefix, b.layer = fmt.Sprintf("model.layers.%d.", l), l
		b.v3Block()
	}
	b.prefix, b.layer = "", -1
	b.norm(Norm, "model.norm.weight", c.HiddenSize)
	if !c.TieEmbeddings {
		b.add(Head, "lm_head.weight", b.plain(), OutputHead, c.VocabSize, c.HiddenSize)
	}
	for l := c.NumLayers; l < c.Blocks(); l++ {
		b.prefix, b.layer = fmt.Sprintf("model.layers.%d.", l), l
		b.norm(ENorm, "enorm.weight", c.HiddenSize)
		b.norm(HNorm, "hnorm.weight", c.HiddenSize)
		b.matrix(EHProj, "eh_proj.weight", c.HiddenSize, 2*c.HiddenSize)
		b.v3Block()
		b.norm(Norm, "shared_head.norm.weight", c.HiddenSize)
	}
}

func (b *builder) v3Block() {
	c := b.c
	d := c.HiddenSize
	b.norm(AttnNorm, "input_layernorm.weight", d)
	if c.QLoraRank == 0 {
		b.linear(WQ, "self_attn.q_proj.weight", c.NumHeads*c.QueryDim(), d)
	} else {
		b.linear(WQA, "self_attn.q_a_proj.weight", c.QLoraRank, d)
		b.norm(QNorm, "self_attn.q_a_layernorm.weight", c.QLoraRank)
		b.linear(WQB, "self_attn.q_b_proj.weight", c.NumHeads*c.QueryDim(), c.QLoraRank)
	}
	b.linear(WKVA, "self_attn.kv_a_proj_with_mqa.weight", c.KVLoraRank+c.RopeDim, d)
	b.norm(KVNorm, "self_attn.kv_a_layernorm.weight", c.KVLoraRank)
	b.linear(WKVB, "self_attn.kv_b_proj.weight", c.NumHeads*(c.NopeDim+c.ValueDim), c.KVLoraRank)
	b.linear(WO, "self_attn.o_proj.weight", d, c.NumHeads*c.ValueDim)
	b.norm(FFNNorm, "post_attention_layernorm.weight", d)
	if !c.IsMoE(b.layer) {
		b.v3MLP("mlp.", c.IntermediateSize, DenseW1, DenseW2, DenseW3)
		return
	}
	b.matrix(Gate, "mlp.gate.weight", c.Experts, d)
	if c.Family == V3 {
		b.add(GateBias, "mlp.gate.e_score_correction_bias", dtype.F32, Untrained, c.Experts)
	}
	for e := range b.experts() {
		b.expert = e
		b.v3MLP(fmt.Sprintf("mlp.experts.%d.", e), c.MoEIntermediate, ExpertW1, ExpertW2, ExpertW3)
	}
	b.expert = -1
	if c.SharedExperts > 0 {
		b.v3MLP("mlp.shared_experts.", c.SharedIntermediate(), SharedW1, SharedW2, SharedW3)
	}
}

// v3MLP lists one gated feed-forward block: gate (w1), down (w2), up (w3).
func (b *builder) v3MLP(name string, width int, w1, w2, w3 Role) {
	d := b.c.HiddenSize
	b.linear(w1, name+"gate_proj.weight", width, d)
	b.linear(w2, name+"down_proj.weight", d, width)
	b.linear(w3, name+"up_proj.weight", width, d)
}
