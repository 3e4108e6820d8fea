package arch

// Family names a line of architectures, spelled as model_type in config.json.
type Family string

// The families that temper can describe.
const (
	V4 Family = "deepseek_v4"
	V3 Family = "deepseek_v3"
)

// Config is an architecture, complete: two equal Configs have the same
// parameters and the same forward pass. Zero means "not part of this family".
// The comment on each field is its key in config.json.
type Config struct {
	Family     Family // model_type
	VocabSize  int    // vocab_size
	HiddenSize int    // hidden_size
	NumLayers  int    // num_hidden_layers
	NumMTP     int    // num_nextn_predict_layers: extra blocks that predict the token after next

	NumHeads   int // num_attention_heads
	NumKVHeads int // num_key_value_heads
	HeadDim    int // head_dim (V4): width of a query head and of the shared key = value
	RopeDim    int // qk_rope_head_dim: last dimensions of a head that rotate
	NopeDim    int // qk_nope_head_dim (V3): dimensions of a head that do not rotate
	ValueDim   int // v_head_dim (V3)
	QLoraRank  int // q_lora_rank
	KVLoraRank int // kv_lora_rank (V3)
	OGroups    int // o_groups (V4): independent groups of the first output projection
	OLoraRank  int // o_lora_rank (V4): output width of one group

	SlidingWindow  int   // sliding_window (V4): newest tokens a query attends, itself included
	CompressRatios []int // compress_ratios (V4): one per layer, then one per MTP block; see [Config.Kind]
	IndexHeads     int   // index_n_heads (V4)
	IndexHeadDim   int   // index_head_dim (V4)
	IndexTopK      int   // index_topk (V4): compressed keys a CSA query attends

	IntermediateSize int     // intermediate_size (V3): width of a dense feed-forward block
	DenseLayers      int     // first_k_dense_replace (V3): leading layers without experts
	Experts          int     // n_routed_experts
	SharedExperts    int     // n_shared_experts
	TopK             int     // num_experts_per_tok
	ExpertGroups     int     // n_group (V3)
	TopKGroups       int     // topk_group (V3)
	MoEIntermediate  int     // moe_intermediate_size
	ScoringFunc      string  // scoring_func: sqrtsoftplus (V4), sigmoid (V3)
	TopKMethod       string  // topk_method: noaux_tc
	NormTopK         bool    // norm_topk_prob
	RoutedScale      float64 // routed_scaling_factor
	HashLayers       int     // num_hash_layers (V4): leading layers routed by token id
	SwiGLULimit      float64 // swiglu_limit (V4)

	HCMult          int     // hc_mult (V4): residual streams
	HCSinkhornIters int     // hc_sinkhorn_iters (V4)
	HCEps           float64 // hc_eps (V4)

	RopeTheta         float64      // rope_theta
	CompressRopeTheta float64      // compress_rope_theta (V4): for layers that compress
	RopeScaling       *RopeScaling // rope_scaling; nil = none
	MaxPositions      int          // max_position_embeddings
	RMSNormEps        float64      // rms_norm_eps

	HiddenAct        string  // hidden_act: silu
	AttentionBias    bool    // attention_bias: false
	AttentionDropout float64 // attention_dropout: 0
	TieEmbeddings    bool    // tie_word_embeddings: false
	InitializerRange float64 // initializer_range
	BOS              int     // bos_token_id
	EOS              int     // eos_token_id

	TorchDType   string        // torch_dtype: what unquantised weights are stored in
	ExpertDType  string        // expert_dtype (V4): fp4 or fp8 when quantised
	Quantization *Quantization // quantization_config; nil = not quantised

	// Extra holds the keys listed in [HarmlessKeys] that were present, as the
	// JSON text they had, so that writing a config loses nothing.
	Extra map[string]string
}

// RopeScaling is the YaRN extension of the rotary embedding.
type RopeScaling struct {
	Type                 string  // type: yarn
	Factor               float64 // factor
	OriginalMaxPositions int     // original_max_position_embeddings
	BetaFast             float64 // beta_fast
	BetaSlow             float64 // beta_slow
	MScale               float64 // mscale (V3); 0 = absent
	MScaleAllDim         float64 // mscale_all_dim (V3); 0 = absent
}

// Quantization says how the published weights are stored.
type Quantization struct {
	Method           string // quant_method: fp8
	Format           string // fmt: e4m3
	ScaleFormat      string // scale_fmt: ue8m0, or empty for float32 scales
	ActivationScheme string // activation_scheme: dynamic
	ExpertDType      string // expert_dtype: a copy of the outer one that transformers writes, or empty
	BlockSize        []int  // weight_block_size: [rows, columns] under one scale
}

// Kind is how a layer attends.
type Kind int

// The kinds of attention.
const (
	Window Kind = iota // V4: the sliding window only (compress ratio 0)
	CSA                // V4: window and the top-k compressed keys that an indexer picks (ratio 4)
	HCA                // V4: window and every compressed key (any other ratio)
	MLA                // V3: latent attention over every earlier token
)

// String returns the short name of the kind.
func (k Kind) String() string { return [...]string{"window", "csa", "hca", "mla"}[k] }

// Blocks returns the number of transformer blocks, MTP blocks included. Layer
// indexes run over [0, Blocks()): first the trunk, then the MTP blocks.
func (c *Config) Blocks() int { return c.NumLayers + c.NumMTP }

// IsMTP reports whether the layer index names an MTP block.
func (c *Config) IsMTP(layer int) bool { return layer >= c.NumLayers }

// Ratio returns how many tokens one compressed key of the layer stands for, 0
// when the layer does not compress.
func (c *Config) Ratio(layer int) int {
	if c.Family != V4 {
		return 0
	}
	return c.CompressRatios[layer]
}

// Kind returns how the layer attends. For V4 it follows from the ratio alone: 0
// is [Window], 4 is [CSA], everything else is [HCA].
func (c *Config) Kind(layer int) Kind {
	if c.Family != V4 {
		return MLA
	}
	switch c.CompressRatios[layer] {
	case 0:
		return Window
	case 4:
		return CSA
	}
	return HCA
}

// IsMoE reports whether the layer's feed-forward block is made of experts.
func (c *Config) IsMoE(layer int) bool { return layer >= c.DenseLayers }

// IsHash reports whether the layer routes by token id instead of by scores.
func (c *Config) IsHash(layer int) bool { return layer < c.HashLayers && !c.IsMTP(layer) }

// QueryDim returns the width of one query head.
func (c *Config) QueryDim() int {
	if c.Family == V3 {
		return c.NopeDim + c.RopeDim
	}
	return c.HeadDim
}

// SharedIntermediate returns the hidden width of the shared expert.
func (c *Config) SharedIntermediate() int { return c.SharedExperts * c.MoEIntermediate }
