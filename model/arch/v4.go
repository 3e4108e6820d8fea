package arch

import (
	"fmt"

	"github.com/temper-ml/temper/compute/dtype"
)

// v4 lists a DeepSeek-V4 model. Names carry no "model." prefix.
func (b *builder) v4() {
	c := b.c
	b.add(Embed, "embed.weight", b.plain(), Embedding, c.VocabSize, c.HiddenSize)
	for l := range c.NumLayers {
		b.prefix, b.layer = fmt.Sprintf("layers.%d.", l), l
		b.v4Block()
	}
	b.prefix, b.layer = "", -1
	b.v4Head()
	b.add(Head, "head.weight", b.plain(), OutputHead, c.VocabSize, c.HiddenSize)
	for i := range c.NumMTP {
		b.prefix, b.layer = fmt.Sprintf("mtp.%d.", i), c.NumLayers+i
		b.norm(ENorm, "enorm.weight", c.HiddenSize)
		b.norm(HNorm, "hnorm.weight", c.HiddenSize)
		b.linear(EProj, "e_proj.weight", c.HiddenSize, c.HiddenSize)
		b.linear(HProj, "h_proj.weight", c.HiddenSize, c.HiddenSize)
		b.v4Block()
		b.v4Head()
	}
}

// v4Head lists what stands before the output head: the mHC reduction and a norm.
func (b *builder) v4Head() {
	s, d := b.c.HCMult, b.c.HiddenSize
	b.add(HeadFn, "hc_head_fn", dtype.F32, Matrix, s, s*d)
	b.add(HeadBase, "hc_head_base", dtype.F32, Vector, s)
	b.add(HeadScale, "hc_head_scale", dtype.F32, Vector, 1)
	b.norm(Norm, "norm.weight", d)
}

// v4Block lists one block: mHC, norm and attention, then mHC, norm and experts.
func (b *builder) v4Block() {
	b.v4Streams("hc_attn_", AttnFn, AttnBase, AttnScale)
	b.norm(AttnNorm, "attn_norm.weight", b.c.HiddenSize)
	b.v4Attention()
	b.v4Streams("hc_ffn_", FFNFn, FFNBase, FFNScale)
	b.norm(FFNNorm, "ffn_norm.weight", b.c.HiddenSize)
	b.v4Experts()
}

// v4Streams lists the mHC maps of one sublayer: S pre, S post, S*S mixing terms.
func (b *builder) v4Streams(name string, fn, base, scale Role) {
	s := b.c.HCMult
	b.add(fn, name+"fn", dtype.F32, Matrix, (2+s)*s, s*b.c.HiddenSize)
	b.add(base, name+"base", dtype.F32, Vector, (2+s)*s)
	b.add(scale, name+"scale", dtype.F32, Vector, 3)
}

func (b *builder) v4Attention() {
	c := b.c
	d, heads := c.HiddenSize, c.NumHeads*c.HeadDim
	b.linear(WQA, "attn.wq_a.weight", c.QLoraRank, d)
	b.norm(QNorm, "attn.q_norm.weight", c.QLoraRank)
	b.linear(WQB, "attn.wq_b.weight", heads, c.QLoraRank)
	b.linear(WKV, "attn.wkv.weight", c.HeadDim, d)
	b.norm(KVNorm, "attn.kv_norm.weight", c.HeadDim)
	b.add(Sink, "attn.attn_sink", dtype.F32, Vector, c.NumHeads)
	ratio := c.Ratio(b.layer)
	if ratio != 0 {
		b.compressor("attn.compressor.", ratio, c.HeadDim, CompAPE, CompKV, CompGate, CompNorm)
	}
	if c.Kind(b.layer) == CSA {
		b.linear(IndexQB, "attn.indexer.wq_b.weight", c.IndexHeads*c.IndexHeadDim, c.QLoraRank)
		b.matrix(IndexWeights, "attn.indexer.weights_proj.weight", c.IndexHeads, d)
		b.compressor("attn.indexer.compressor.", ratio, c.IndexHeadDim, IndexCompAPE, IndexCompKV, IndexCompGate, IndexCompNorm)
	}
	b.linear(WOA, "attn.wo_a.weight", c.OGroups*c.OLoraRank, heads/c.OGroups).Blocks = c.OGroups
	b.linear(WOB, "attn.wo_b.weight", d, c.OGroups*c.OLoraRank)
}

// compressor lists one token compressor that makes keys of width dim. Ratio 4
// overlaps two blocks and has a set of channels for each.
func (b *builder) compressor(name string, ratio, dim int, ape, kv, gate, norm Role) {
	width := dim * overlap(ratio)
	b.add(ape, name+"ape", dtype.F32, Vector, ratio, width)
	b.matrix(kv, name+"wkv.weight", width, b.c.HiddenSize)
	b.matrix(gate, name+"wgate.weight", width, b.c.HiddenSize)
	b.norm(norm, name+"norm.weight", dim)
}

// overlap returns how many blocks one compressed key looks at.
func overlap(ratio int) int {
	if ratio == 4 {
		return 2
	}
	return 1
}

func (b *builder) v4Experts() {
	c := b.c
	d, f := c.HiddenSize, c.MoEIntermediate
	b.matrix(Gate, "ffn.gate.weight", c.Experts, d)
	if c.IsHash(b.layer) {
		b.add(GateHash, "ffn.gate.tid2eid", dtype.I64, Untrained, c.VocabSize, c.TopK)
	} else {
		b.add(GateBias, "ffn.gate.bias", dtype.F32, Untrained, c.Experts)
	}
	for e := range b.experts() {
		b.expert = e
		name := fmt.Sprintf("ffn.experts.%d.", e)
		b.routed(ExpertW1, name+"w1.weight", f, d)
		b.routed(ExpertW2, name+"w2.weight", d, f)
		b.routed(ExpertW3, name+"w3.weight", f, d)
	}
	b.expert = -1
	shared := c.SharedIntermediate()
	b.linear(SharedW1, "ffn.shared_experts.w1.weight", shared, d)
	b.linear(SharedW2, "ffn.shared_experts.w2.weight", d, shared)
	b.linear(SharedW3, "ffn.shared_experts.w3.weight", shared, d)
}

// routed appends a matrix of a routed expert, two FP4 values per byte if so stored.
func (b *builder) routed(role Role, name string, rows, cols int) {
	t := b.linear(role, name, rows, cols)
	if b.c.Quantization != nil && b.c.ExpertDType == "fp4" {
		t.DType = dtype.I8
	}
}
