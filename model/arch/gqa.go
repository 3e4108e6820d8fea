package arch

import "fmt"

// gqa lists a model of grouped-query attention: Llama, Mistral, the Qwens,
// Mixtral and GPT-OSS. GPT-OSS stacks the experts of a layer in one tensor of its
// files; here each expert's part is a row, with the expert's number in its name.
func (b *builder) gqa() {
	c := b.c
	b.add(Embed, "model.embed_tokens.weight", b.plain(), Embedding, c.VocabSize, c.HiddenSize)
	for l := range c.NumLayers {
		b.prefix, b.layer = fmt.Sprintf("model.layers.%d.", l), l
		b.norm(AttnNorm, "input_layernorm.weight", c.HiddenSize)
		b.gqaAttention()
		b.norm(FFNNorm, "post_attention_layernorm.weight", c.HiddenSize)
		b.gqaFeedForward()
	}
	b.prefix, b.layer = "", -1
	b.norm(Norm, "model.norm.weight", c.HiddenSize)
	if !c.TieEmbeddings {
		b.add(Head, "lm_head.weight", b.plain(), OutputHead, c.VocabSize, c.HiddenSize)
	}
}

func (b *builder) gqaAttention() {
	c := b.c
	d, q, kv := c.HiddenSize, c.NumHeads*c.HeadDim, c.NumKVHeads*c.HeadDim
	bias := c.HasQKVBias()
	b.biased(WQ, QBias, "self_attn.q_proj", q, d, bias)
	b.biased(WK, KBias, "self_attn.k_proj", kv, d, bias)
	b.biased(WV, VBias, "self_attn.v_proj", kv, d, bias)
	if c.HasQKNorm() {
		b.norm(QNorm, "self_attn.q_norm.weight", c.HeadDim)
		b.norm(KNorm, "self_attn.k_norm.weight", c.HeadDim)
	}
	if c.HasSinks() {
		b.add(Sink, "self_attn.sinks", b.plain(), Vector, c.NumHeads)
	}
	b.biased(WO, OBias, "self_attn.o_proj", d, q, c.HasOutputBias())
}

func (b *builder) gqaFeedForward() {
	c := b.c
	switch c.Family {
	case Mixtral:
		b.matrix(Gate, "block_sparse_moe.gate.weight", c.Experts, c.HiddenSize)
		for e := range b.experts() {
			b.expert = e
			name := fmt.Sprintf("block_sparse_moe.experts.%d.", e)
			b.linear(ExpertW1, name+"w1.weight", c.MoEIntermediate, c.HiddenSize)
			b.linear(ExpertW2, name+"w2.weight", c.HiddenSize, c.MoEIntermediate)
			b.linear(ExpertW3, name+"w3.weight", c.MoEIntermediate, c.HiddenSize)
		}
	case GPTOSS:
		b.biased(Gate, RouterBias, "mlp.router", c.Experts, c.HiddenSize, true)
		for e := range b.experts() {
			b.expert = e
			name := fmt.Sprintf("mlp.experts.%d.", e)
			b.linear(ExpertW13, name+"gate_up_proj", c.HiddenSize, 2*c.MoEIntermediate)
			b.add(ExpertB13, name+"gate_up_proj_bias", b.plain(), Vector, 2*c.MoEIntermediate)
			b.linear(ExpertW2, name+"down_proj", c.MoEIntermediate, c.HiddenSize)
			b.add(ExpertB2, name+"down_proj_bias", b.plain(), Vector, c.HiddenSize)
		}
	case Qwen3MoE:
		b.matrix(Gate, "mlp.gate.weight", c.Experts, c.HiddenSize)
		for e := range b.experts() {
			b.expert = e
			b.v3MLP(fmt.Sprintf("mlp.experts.%d.", e), c.MoEIntermediate, ExpertW1, ExpertW2, ExpertW3)
		}
	default:
		b.biased(DenseW1, DenseB1, "mlp.gate_proj", c.IntermediateSize, c.HiddenSize, c.MLPBias)
		b.biased(DenseW2, DenseB2, "mlp.down_proj", c.HiddenSize, c.IntermediateSize, c.MLPBias)
		b.biased(DenseW3, DenseB3, "mlp.up_proj", c.IntermediateSize, c.HiddenSize, c.MLPBias)
	}
	b.expert = -1
}

// biased appends a hidden matrix and, if it has one, the bias of its outputs.
func (b *builder) biased(role, bias Role, name string, rows, cols int, has bool) {
	b.linear(role, name+".weight", rows, cols)
	if has {
		b.add(bias, name+".bias", b.plain(), Vector, rows)
	}
}

// gpt lists a GPT: learned positions, LayerNorm with bias, one product for query,
// key and value. GPT-2's files hold the transposes of the matrices of a block, and
// so do the shapes here.
func (b *builder) gpt() {
	c := b.c
	d, f := c.HiddenSize, c.IntermediateSize
	b.add(Embed, "transformer.wte.weight", b.plain(), Embedding, c.VocabSize, d)
	b.add(Position, "transformer.wpe.weight", b.plain(), Embedding, c.MaxPositions, d)
	for l := range c.NumLayers {
		b.prefix, b.layer = fmt.Sprintf("transformer.h.%d.", l), l
		b.layerNorm(AttnNorm, AttnNormBias, "ln_1")
		b.transposed(WQKV, QKVBias, "attn.c_attn", d, 3*d)
		b.transposed(WO, OBias, "attn.c_proj", d, d)
		b.layerNorm(FFNNorm, FFNNormBias, "ln_2")
		b.transposed(DenseW1, DenseB1, "mlp.c_fc", d, f)
		b.transposed(DenseW2, DenseB2, "mlp.c_proj", f, d)
	}
	b.prefix, b.layer = "transformer.", -1
	b.layerNorm(Norm, NormBias, "ln_f")
	b.prefix = ""
	if !c.TieEmbeddings {
		b.add(Head, "lm_head.weight", b.plain(), OutputHead, c.VocabSize, d)
	}
}

func (b *builder) layerNorm(role, bias Role, name string) {
	b.norm(role, name+".weight", b.c.HiddenSize)
	b.norm(bias, name+".bias", b.c.HiddenSize)
}

// transposed appends a matrix stored input-first, and its bias.
func (b *builder) transposed(role, bias Role, name string, in, out int) {
	b.linear(role, name+".weight", in, out)
	b.add(bias, name+".bias", b.plain(), Vector, out)
}
