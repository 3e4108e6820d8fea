package arch

import "github.com/temper-ml/temper/compute/dtype"

// Role says what a tensor does in its block. It is the block-relative name of
// the tensor in the DeepSeek-V4 files without ".weight" and without the expert's
// number, so it reads like the name; V3 tensors that do the same job share it.
type Role string

// The roles. Those of one block first, then those of the trunk and of MTP.
const (
	AttnNorm  Role = "attn_norm"
	FFNNorm   Role = "ffn_norm"
	AttnFn    Role = "hc_attn_fn" // mHC of the attention sublayer
	AttnBase  Role = "hc_attn_base"
	AttnScale Role = "hc_attn_scale"
	FFNFn     Role = "hc_ffn_fn" // mHC of the feed-forward sublayer
	FFNBase   Role = "hc_ffn_base"
	FFNScale  Role = "hc_ffn_scale"

	WQA    Role = "attn.wq_a"
	QNorm  Role = "attn.q_norm"
	WQB    Role = "attn.wq_b"
	WKV    Role = "attn.wkv" // V4
	KVNorm Role = "attn.kv_norm"
	Sink   Role = "attn.attn_sink"
	WOA    Role = "attn.wo_a"  // V4: Blocks independent output groups
	WOB    Role = "attn.wo_b"  // V4
	WKVA   Role = "attn.wkv_a" // V3, V2: latent and rotating key
	WKVB   Role = "attn.wkv_b" // V3, V2: keys and values of every head
	WO     Role = "attn.wo"    // all but V4
	WQ     Role = "attn.wq"    // GQA, and V2 without q_lora_rank
	WK     Role = "attn.wk"    // GQA
	WV     Role = "attn.wv"    // GQA
	KNorm  Role = "attn.k_norm"
	WQKV   Role = "attn.wqkv" // GPT: query, key and value in one

	QBias   Role = "attn.wq.bias"
	KBias   Role = "attn.wk.bias"
	VBias   Role = "attn.wv.bias"
	QKVBias Role = "attn.wqkv.bias"
	OBias   Role = "attn.wo.bias"

	CompAPE  Role = "attn.compressor.ape"
	CompKV   Role = "attn.compressor.wkv"
	CompGate Role = "attn.compressor.wgate"
	CompNorm Role = "attn.compressor.norm"

	IndexQB       Role = "attn.indexer.wq_b"
	IndexWeights  Role = "attn.indexer.weights_proj"
	IndexCompAPE  Role = "attn.indexer.compressor.ape"
	IndexCompKV   Role = "attn.indexer.compressor.wkv"
	IndexCompGate Role = "attn.indexer.compressor.wgate"
	IndexCompNorm Role = "attn.indexer.compressor.norm"

	Gate     Role = "ffn.gate"
	GateBias Role = "ffn.gate.bias"
	GateHash Role = "ffn.gate.tid2eid"
	ExpertW1 Role = "ffn.experts.w1" // gate
	ExpertW2 Role = "ffn.experts.w2" // down
	ExpertW3 Role = "ffn.experts.w3" // up
	SharedW1 Role = "ffn.shared_experts.w1"
	SharedW2 Role = "ffn.shared_experts.w2"
	SharedW3 Role = "ffn.shared_experts.w3"
	DenseW1  Role = "ffn.w1" // layers without experts: gate, or the first of GPT's two
	DenseW2  Role = "ffn.w2"
	DenseW3  Role = "ffn.w3"

	ExpertW13    Role = "ffn.experts.w13" // GPTOSS: gate and up, columns interleaved
	ExpertB13    Role = "ffn.experts.w13.bias"
	ExpertB2     Role = "ffn.experts.w2.bias"
	RouterBias   Role = "ffn.router.bias" // GPTOSS: trained, unlike ffn.gate.bias
	DenseB1      Role = "ffn.w1.bias"
	DenseB2      Role = "ffn.w2.bias"
	DenseB3      Role = "ffn.w3.bias"
	AttnNormBias Role = "attn_norm.bias" // GPT: LayerNorm
	FFNNormBias  Role = "ffn_norm.bias"

	Embed     Role = "embed"
	Head      Role = "head"
	Norm      Role = "norm"      // before the head, of the trunk or of an MTP block
	NormBias  Role = "norm.bias" // GPT
	Position  Role = "position"  // GPT: learned positions
	HeadFn    Role = "hc_head_fn"
	HeadBase  Role = "hc_head_base"
	HeadScale Role = "hc_head_scale"
	ENorm     Role = "enorm"   // MTP
	HNorm     Role = "hnorm"   // MTP
	EProj     Role = "e_proj"  // MTP, V4
	HProj     Role = "h_proj"  // MTP, V4
	EHProj    Role = "eh_proj" // MTP, V3: both in one, embedding columns first
)

// OptimClass says which kind of optimizer a tensor belongs to.
type OptimClass int

// The classes. Muon trains [Matrix], AdamW everything that is not [Untrained].
const (
	Untrained  OptimClass = iota // no gradient: tid2eid, gate.bias
	Matrix                       // hidden matrices, mHC fn, router gate, indexer and compressor matrices
	Vector                       // norms, biases, mHC base and scale, sink, ape
	Embedding                    // embed, learned positions
	OutputHead                   // head
)

// String returns the lower-case name of the class.
func (o OptimClass) String() string {
	return [...]string{"untrained", "matrix", "vector", "embedding", "head"}[o]
}

// Tensor is one parameter of the model: one row of the table.
type Tensor struct {
	Name   string      // in the published checkpoint
	Shape  []int       // of the values, not of a packed form
	Layer  int         // block it belongs to: [0, NumLayers) trunk, then MTP; -1 = outside all blocks
	Role   Role        // what it does there
	Expert int         // routed expert, -1 = none
	DType  dtype.DType // in the published checkpoint; F8E4M3 and packed FP4 (I8) have a scale beside them
	Frozen bool        // no gradient ever reaches it
	Optim  OptimClass  // which optimizer trains it
	Blocks int         // independent matrices stacked along the rows, for Muon; 1 for all but wo_a
}

// Len returns the number of values.
func (t *Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Rows returns the first dimension, and Cols the product of the others.
func (t *Tensor) Rows() int { return t.Shape[0] }

// Cols returns the number of values in one row: 1 for a vector.
func (t *Tensor) Cols() int { return t.Len() / t.Shape[0] }

// Tensors returns every parameter once, in canonical order: embedding, the
// layers in order, the trunk's final norm and mHC head, the output head, then
// the MTP blocks. Within a block the order is that of the forward pass. Scales of
// quantised weights and duplicates of shared tensors are not parameters and are
// not listed; see [Config.Published].
func (c *Config) Tensors() []Tensor {
	b := &builder{c: c, layer: -1, expert: -1}
	b.list()
	return b.out
}

// distinct calls f for the tensors of the table, of the experts of a layer only
// for the first, and says how many there are of the same shape. It is the table for
// counting: [Config.Tensors] names a hundred thousand tensors of a large model.
func (c *Config) distinct(f func(t *Tensor, times int)) {
	b := &builder{c: c, layer: -1, expert: -1, oneExpert: true}
	b.list()
	for i := range b.out {
		times := 1
		if b.out[i].Expert >= 0 {
			times = c.Experts
		}
		f(&b.out[i], times)
	}
}

// builder collects tensors under a name prefix.
type builder struct {
	c         *Config
	prefix    string
	layer     int
	expert    int
	oneExpert bool // list the first expert of a layer only
	out       []Tensor
}

// list appends the whole model.
func (b *builder) list() {
	switch b.c.layout() {
	case layoutV4:
		b.v4()
	case layoutMLA:
		b.v3()
	case layoutGQA:
		b.gqa()
	case layoutGPT:
		b.gpt()
	}
}

// experts returns how many routed experts of a layer to list.
func (b *builder) experts() int {
	if b.oneExpert {
		return 1
	}
	return b.c.Experts
}

// add appends one tensor and returns it for adjustment.
func (b *builder) add(role Role, name string, dt dtype.DType, class OptimClass, shape ...int) *Tensor {
	b.out = append(b.out, Tensor{
		Name: b.prefix + name, Shape: shape, Layer: b.layer, Role: role, Expert: b.expert,
		DType: dt, Frozen: class == Untrained, Optim: class, Blocks: 1,
	})
	return &b.out[len(b.out)-1]
}

// linear appends a hidden matrix that quantised checkpoints store in FP8.
func (b *builder) linear(role Role, name string, rows, cols int) *Tensor {
	dt := b.plain()
	if b.c.Quantization != nil {
		dt = dtype.F8E4M3
	}
	return b.add(role, name, dt, Matrix, rows, cols)
}

// matrix appends a hidden matrix that is never quantised.
func (b *builder) matrix(role Role, name string, rows, cols int) {
	b.add(role, name, b.plain(), Matrix, rows, cols)
}

// norm appends the weight of an RMSNorm.
func (b *builder) norm(role Role, name string, dim int) {
	b.add(role, name, b.plain(), Vector, dim)
}

// plain is the dtype of weights that are not quantised.
func (b *builder) plain() dtype.DType {
	switch b.c.TorchDType {
	case "float32":
		return dtype.F32
	case "float16":
		return dtype.F16
	}
	return dtype.BF16
}

// Count returns the number of trained parameters of the trunk (total), of the
// MTP blocks (mtp, not part of total), and how many of the trunk take part in one
// token (active): of the routed experts TopK, and no embedding of tokens or
// positions, because looking a row up multiplies nothing, unless it is the output
// head as well. Routing biases count, hash tables do not.
func (c *Config) Count() (total, mtp, active int64) {
	c.distinct(func(t *Tensor, times int) {
		n := int64(t.Len())
		switch {
		case t.Role == GateHash:
			return
		case t.Layer >= c.NumLayers:
			mtp += n * int64(times)
			return
		}
		total += n * int64(times)
		if t.Optim != Embedding || c.isHead(t) {
			active += n * int64(c.activeOf(t))
		}
	})
	return total, mtp, active
}

// isHead reports whether the tensor multiplies the last hidden state: the output
// head, or the embedding that serves as one.
func (c *Config) isHead(t *Tensor) bool {
	return t.Role == Head || t.Role == Embed && c.TieEmbeddings
}

// activeOf returns how many tensors like this one of [Config.distinct] take part in
// one token: of routed experts TopK.
func (c *Config) activeOf(t *Tensor) int {
	if t.Expert >= 0 {
		return c.TopK
	}
	return 1
}

// State is the memory that training holds for the parameters, in bytes.
type State struct {
	Weights   int64 // float32 master weights, hash tables included
	Gradients int64 // float32
	Optimizer int64 // float32 moments: two per value for AdamW, one for Muon
}

// Total returns the sum of the parts.
func (s State) Total() int64 { return s.Weights + s.Gradients + s.Optimizer }

// StateBytes returns the memory for weights, gradients and optimizer state, MTP
// included, with Muon on the matrices or with AdamW on everything.
func (c *Config) StateBytes(muon bool) State {
	var s State
	c.distinct(func(t *Tensor, times int) {
		n := 4 * int64(t.Len()) * int64(times)
		s.Weights += n
		switch {
		case t.Frozen:
		case t.Optim == Matrix && muon:
			s.Gradients += n
			s.Optimizer += n
		default:
			s.Gradients += n
			s.Optimizer += 2 * n
		}
	})
	return s
}
