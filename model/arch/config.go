package arch

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
	HeadDim    int // head_dim: width of a query head and of its key and value; not for latent attention
	RopeDim    int // qk_rope_head_dim (V4, V3, V2): last dimensions of a head that rotate
	NopeDim    int // qk_nope_head_dim (V3, V2): dimensions of a head that do not rotate
	ValueDim   int // v_head_dim (V3, V2)
	QLoraRank  int // q_lora_rank (V4, V3, V2); 0 = queries in one product (V2)
	KVLoraRank int // kv_lora_rank (V3, V2)
	OGroups    int // o_groups (V4): independent groups of the first output projection
	OLoraRank  int // o_lora_rank (V4): output width of one group

	SlidingWindow  int      // sliding_window: newest tokens a query attends, itself included; 0 = all
	LayerTypes     []string // layer_types: for each layer sliding_attention or full_attention; nil = all alike
	CompressRatios []int    // compress_ratios (V4): one per layer, then one per MTP block; see [Config.Kind]
	IndexHeads     int      // index_n_heads (V4)
	IndexHeadDim   int      // index_head_dim (V4)
	IndexTopK      int      // index_topk (V4): compressed keys a CSA query attends

	IntermediateSize int     // intermediate_size, n_inner (GPT2): width of a dense feed-forward block
	DenseLayers      int     // first_k_dense_replace (V3, V2): leading layers without experts
	Experts          int     // n_routed_experts, num_experts (Qwen3MoE), num_local_experts (Mixtral, GPTOSS)
	SharedExperts    int     // n_shared_experts (V4, V3, V2)
	TopK             int     // num_experts_per_tok
	ExpertGroups     int     // n_group (V3, V2)
	TopKGroups       int     // topk_group (V3, V2)
	MoEIntermediate  int     // moe_intermediate_size, intermediate_size (Mixtral, GPTOSS)
	ScoringFunc      string  // scoring_func: sqrtsoftplus (V4), sigmoid (V3), softmax (V2); see [Config.Scoring]
	TopKMethod       string  // topk_method: noaux_tc (V4, V3), greedy or group_limited_greedy (V2)
	NormTopK         bool    // norm_topk_prob (V4, V3, V2, Qwen3MoE)
	RoutedScale      float64 // routed_scaling_factor (V4, V3, V2)
	HashLayers       int     // num_hash_layers (V4): leading layers routed by token id
	SwiGLULimit      float64 // swiglu_limit (V4, GPTOSS)

	HCMult          int     // hc_mult (V4): residual streams
	HCSinkhornIters int     // hc_sinkhorn_iters (V4)
	HCEps           float64 // hc_eps (V4)

	RopeTheta         float64      // rope_theta
	CompressRopeTheta float64      // compress_rope_theta (V4): for layers that compress
	RopeScaling       *RopeScaling // rope_scaling; nil = none
	MaxPositions      int          // max_position_embeddings
	RMSNormEps        float64      // rms_norm_eps, layer_norm_epsilon (GPT2)

	HiddenAct        string  // hidden_act: silu; activation_function (GPT2): a GELU
	AttentionBias    bool    // attention_bias; V4, V3 and V2 have none
	MLPBias          bool    // mlp_bias (Llama)
	AttentionDropout float64 // attention_dropout, attn_pdrop (GPT2)
	EmbedDropout     float64 // embd_pdrop (GPT2)
	ResidualDropout  float64 // resid_pdrop (GPT2)
	TieEmbeddings    bool    // tie_word_embeddings: the output head is the input embedding; V4 and V3 have both
	InitializerRange float64 // initializer_range
	BOS              int     // bos_token_id; -1 = none
	EOS              int     // eos_token_id; -1 = none
	MoreEOS          []int   // eos_token_id where it is a list: those after the first

	TorchDType   string        // torch_dtype: what unquantised weights are stored in
	ExpertDType  string        // expert_dtype (V4): fp4 or fp8 when quantised
	Quantization *Quantization // quantization_config; nil = not quantised

	// Extra holds the keys listed in [HarmlessKeys] that were present, as the
	// JSON text they had, so that writing a config loses nothing.
	Extra map[string]string
}

// RopeScaling extends the rotary embedding to longer texts.
type RopeScaling struct {
	Type                 string  // type: yarn; beside V4, V3 and V2 also llama3, linear or dynamic
	Factor               float64 // factor
	OriginalMaxPositions int     // original_max_position_embeddings (not linear)
	BetaFast             float64 // beta_fast (yarn)
	BetaSlow             float64 // beta_slow (yarn)
	MScale               float64 // mscale (yarn); 0 = absent
	MScaleAllDim         float64 // mscale_all_dim (yarn); 0 = absent
	Exact                bool    // truncate is false (yarn of GPTOSS): the ramp's bounds are not rounded to whole dimensions
	LowFreqFactor        float64 // low_freq_factor (llama3)
	HighFreqFactor       float64 // high_freq_factor (llama3)
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
