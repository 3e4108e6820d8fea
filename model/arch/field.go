package arch

// field is one key of config.json: where it lives in Config, in which families
// it is legal, and which values it may take. The same table drives parsing and
// writing, so the two cannot disagree.
type field struct {
	key      string
	families []Family
	ptr      func(*Config) any // *int, *float64, *bool, *string, *[]int, **RopeScaling, **Quantization
	optional any               // value when absent; nil = the key is required
	min, max float64           // for numbers, both inclusive; max 0 = no upper bound
	oneOf    []string          // for strings
}

var (
	both   = []Family{V4, V3}
	onlyV4 = []Family{V4}
	onlyV3 = []Family{V3}
)

const (
	maxDim = 1 << 24 // no dimension of a published model comes near
	tiny   = 1e-30   // smallest legal positive real
)

// HarmlessKeys are keys of config.json that other programs read and that change
// neither the parameters nor the forward pass. They are kept as they are.
var HarmlessKeys = []string{
	"_name_or_path", "architectures", "auto_map", "aux_loss_alpha", "ep_size",
	"moe_layer_freq", "output_attentions", "output_hidden_states", "output_router_logits",
	"pad_token_id", "pretraining_tp", "return_dict", "router_aux_loss_coef", "seq_aux", "transformers_version", "use_cache",
}

func num(key string, fam []Family, lo, hi float64, ptr func(*Config) any) field {
	return field{key: key, families: fam, min: lo, max: hi, ptr: ptr}
}

func opt(f field, value any) field { f.optional = value; return f }

func word(key string, fam []Family, ptr func(*Config) any, legal ...string) field {
	return field{key: key, families: fam, ptr: ptr, oneOf: legal}
}

// fields is the table, in the order in which config.json is written.
var fields = []field{
	word("model_type", both, func(c *Config) any { return (*string)(&c.Family) }, string(V4), string(V3)),
	num("vocab_size", both, 1, maxDim, func(c *Config) any { return &c.VocabSize }),
	num("hidden_size", both, 1, maxDim, func(c *Config) any { return &c.HiddenSize }),
	num("num_hidden_layers", both, 1, 4096, func(c *Config) any { return &c.NumLayers }),
	opt(num("num_nextn_predict_layers", both, 0, 64, func(c *Config) any { return &c.NumMTP }), 0),
	num("num_attention_heads", both, 1, maxDim, func(c *Config) any { return &c.NumHeads }),
	num("num_key_value_heads", both, 1, maxDim, func(c *Config) any { return &c.NumKVHeads }),
	num("head_dim", onlyV4, 2, maxDim, func(c *Config) any { return &c.HeadDim }),
	num("qk_rope_head_dim", both, 2, maxDim, func(c *Config) any { return &c.RopeDim }),
	num("qk_nope_head_dim", onlyV3, 1, maxDim, func(c *Config) any { return &c.NopeDim }),
	num("v_head_dim", onlyV3, 1, maxDim, func(c *Config) any { return &c.ValueDim }),
	num("q_lora_rank", both, 1, maxDim, func(c *Config) any { return &c.QLoraRank }),
	num("kv_lora_rank", onlyV3, 1, maxDim, func(c *Config) any { return &c.KVLoraRank }),
	num("o_groups", onlyV4, 1, maxDim, func(c *Config) any { return &c.OGroups }),
	num("o_lora_rank", onlyV4, 1, maxDim, func(c *Config) any { return &c.OLoraRank }),
	num("sliding_window", onlyV4, 1, maxDim, func(c *Config) any { return &c.SlidingWindow }),
	num("index_n_heads", onlyV4, 1, maxDim, func(c *Config) any { return &c.IndexHeads }),
	num("index_head_dim", onlyV4, 2, maxDim, func(c *Config) any { return &c.IndexHeadDim }),
	num("index_topk", onlyV4, 1, maxDim, func(c *Config) any { return &c.IndexTopK }),
	num("intermediate_size", onlyV3, 1, maxDim, func(c *Config) any { return &c.IntermediateSize }),
	num("first_k_dense_replace", onlyV3, 0, 4096, func(c *Config) any { return &c.DenseLayers }),
	num("n_routed_experts", both, 1, 65536, func(c *Config) any { return &c.Experts }),
	num("n_shared_experts", both, 0, 64, func(c *Config) any { return &c.SharedExperts }),
	num("num_experts_per_tok", both, 1, 65536, func(c *Config) any { return &c.TopK }),
	num("n_group", onlyV3, 1, 65536, func(c *Config) any { return &c.ExpertGroups }),
	num("topk_group", onlyV3, 1, 65536, func(c *Config) any { return &c.TopKGroups }),
	num("moe_intermediate_size", both, 1, maxDim, func(c *Config) any { return &c.MoEIntermediate }),
	word("scoring_func", both, func(c *Config) any { return &c.ScoringFunc }, "sqrtsoftplus", "sigmoid"),
	opt(word("topk_method", both, func(c *Config) any { return &c.TopKMethod }, "noaux_tc"), "noaux_tc"),
	{key: "norm_topk_prob", families: both, ptr: func(c *Config) any { return &c.NormTopK }},
	num("routed_scaling_factor", both, tiny, 1e6, func(c *Config) any { return &c.RoutedScale }),
	num("num_hash_layers", onlyV4, 0, 4096, func(c *Config) any { return &c.HashLayers }),
	num("swiglu_limit", onlyV4, tiny, 1e6, func(c *Config) any { return &c.SwiGLULimit }),
	num("hc_mult", onlyV4, 1, 64, func(c *Config) any { return &c.HCMult }),
	num("hc_sinkhorn_iters", onlyV4, 1, 1000, func(c *Config) any { return &c.HCSinkhornIters }),
	num("hc_eps", onlyV4, tiny, 1, func(c *Config) any { return &c.HCEps }),
	num("rope_theta", both, 1, 1e12, func(c *Config) any { return &c.RopeTheta }),
	num("compress_rope_theta", onlyV4, 1, 1e12, func(c *Config) any { return &c.CompressRopeTheta }),
	opt(field{key: "rope_scaling", families: both, ptr: func(c *Config) any { return &c.RopeScaling }}, (*RopeScaling)(nil)),
	num("max_position_embeddings", both, 1, 1<<31-1, func(c *Config) any { return &c.MaxPositions }),
	num("rms_norm_eps", both, tiny, 1, func(c *Config) any { return &c.RMSNormEps }),
	opt(word("hidden_act", both, func(c *Config) any { return &c.HiddenAct }, "silu"), "silu"),
	opt(field{key: "attention_bias", families: both, ptr: func(c *Config) any { return &c.AttentionBias }}, false),
	opt(num("attention_dropout", both, 0, 1, func(c *Config) any { return &c.AttentionDropout }), 0.0),
	opt(field{key: "tie_word_embeddings", families: both, ptr: func(c *Config) any { return &c.TieEmbeddings }}, false),
	opt(num("initializer_range", both, tiny, 10, func(c *Config) any { return &c.InitializerRange }), 0.02),
	num("bos_token_id", both, 0, maxDim, func(c *Config) any { return &c.BOS }),
	num("eos_token_id", both, 0, maxDim, func(c *Config) any { return &c.EOS }),
	opt(word("torch_dtype", both, func(c *Config) any { return &c.TorchDType }, "bfloat16", "float32", "float16"), "bfloat16"),
	opt(word("expert_dtype", onlyV4, func(c *Config) any { return &c.ExpertDType }, "fp4", "fp8", "bf16"), ""),
	opt(field{key: "quantization_config", families: both, ptr: func(c *Config) any { return &c.Quantization }}, (*Quantization)(nil)),
	num("compress_ratios", onlyV4, 0, maxDim, func(c *Config) any { return &c.CompressRatios }),
}

func (f *field) legalIn(family Family) bool {
	for _, g := range f.families {
		if g == family {
			return true
		}
	}
	return false
}
