package arch

import "slices"

// field is one key of config.json: where it lives in Config, in which families
// it is legal, and which values it may take. The same table drives parsing and
// writing, so the two cannot disagree. Two families may call one field of Config
// by different keys.
type field struct {
	key       string
	families  []Family
	ptr       func(*Config) any // *int, *float64, *bool, *string, *[]int, *[]string, **RopeScaling, **Quantization
	optional  any               // value when absent; nil = the key is required
	null      any               // *int only: value that JSON null stands for; nil = as absent
	unwritten bool              // other keys determine it; it is not written
	min, max  float64           // for numbers, both inclusive; max 0 = no upper bound
	oneOf     []string          // for strings, and for the type of rope_scaling
}

// Sets of families that share keys.
var (
	both     = []Family{V4, V3}
	onlyV4   = []Family{V4}
	latents  = []Family{V3, V2}
	routed   = []Family{V4, V3, V2}
	onlyV2   = []Family{V2}
	qwens    = []Family{Qwen2, Qwen3, Qwen3MoE}
	grouped  = []Family{Llama, Mistral, Qwen2, Qwen3, Qwen3MoE, Mixtral, GPTOSS}
	rotary   = append(append([]Family(nil), routed...), grouped...) // all but GPT
	onlyGPT  = []Family{GPT2}
	others   = append(append([]Family(nil), grouped...), GPT2) // all but DeepSeek
	onlyOSS  = []Family{GPTOSS}
	onlyMoE  = []Family{Qwen3MoE}
	stacked  = []Family{Mixtral, GPTOSS} // intermediate_size is an expert's
	windowed = []Family{Mistral, Qwen2, Qwen3, Qwen3MoE, Mixtral, GPTOSS}
)

const (
	maxDim = 1 << 24 // no dimension of a published model comes near
	tiny   = 1e-30   // smallest legal positive real
)

// HarmlessKeys are keys of config.json that other programs read and that change
// neither the parameters nor the forward pass. They are kept as they are.
var HarmlessKeys = []string{
	"_name_or_path", "architectures", "auto_map", "aux_loss_alpha", "ep_size", "initial_context_length", "max_window_layers",
	"moe_layer_freq", "n_ctx", "output_attentions", "output_hidden_states", "output_router_logits",
	"pad_token_id", "pretraining_tp", "return_dict", "router_aux_loss_coef", "seq_aux",
	"summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj",
	"task_specific_params", "transformers_version", "use_cache",
}

func num(key string, fam []Family, lo, hi float64, ptr func(*Config) any) field {
	return field{key: key, families: fam, min: lo, max: hi, ptr: ptr}
}

func opt(f field, value any) field { f.optional = value; return f }

func word(key string, fam []Family, ptr func(*Config) any, legal ...string) field {
	return field{key: key, families: fam, ptr: ptr, oneOf: legal}
}

// null makes JSON null a value of its own.
func null(f field, value int) field { f.null = value; return f }

// fields is the table, in the order in which keys are checked.
var fields = slices.Concat(shapeFields, expertFields, positionFields, otherFields)

var shapeFields = []field{
	word("model_type", familyOrder, func(c *Config) any { return (*string)(&c.Family) }),
	num("vocab_size", familyOrder, 1, maxDim, func(c *Config) any { return &c.VocabSize }),
	num("hidden_size", rotary, 1, maxDim, func(c *Config) any { return &c.HiddenSize }),
	num("n_embd", onlyGPT, 1, maxDim, func(c *Config) any { return &c.HiddenSize }),
	num("num_hidden_layers", rotary, 1, 4096, func(c *Config) any { return &c.NumLayers }),
	num("n_layer", onlyGPT, 1, 4096, func(c *Config) any { return &c.NumLayers }),
	opt(num("num_nextn_predict_layers", both, 0, 64, func(c *Config) any { return &c.NumMTP }), 0),
	num("num_attention_heads", rotary, 1, maxDim, func(c *Config) any { return &c.NumHeads }),
	num("n_head", onlyGPT, 1, maxDim, func(c *Config) any { return &c.NumHeads }),
	num("num_key_value_heads", rotary, 1, maxDim, func(c *Config) any { return &c.NumKVHeads }),
	unwritten(num("num_key_value_heads", onlyGPT, 1, maxDim, func(c *Config) any { return &c.NumKVHeads })),
	num("head_dim", append([]Family{V4}, grouped...), 2, maxDim, func(c *Config) any { return &c.HeadDim }),
	unwritten(num("head_dim", onlyGPT, 1, maxDim, func(c *Config) any { return &c.HeadDim })),
	num("qk_rope_head_dim", routed, 2, maxDim, func(c *Config) any { return &c.RopeDim }),
	num("qk_nope_head_dim", latents, 1, maxDim, func(c *Config) any { return &c.NopeDim }),
	num("v_head_dim", latents, 1, maxDim, func(c *Config) any { return &c.ValueDim }),
	num("q_lora_rank", both, 1, maxDim, func(c *Config) any { return &c.QLoraRank }),
	null(num("q_lora_rank", onlyV2, 0, maxDim, func(c *Config) any { return &c.QLoraRank }), 0),
	num("kv_lora_rank", latents, 1, maxDim, func(c *Config) any { return &c.KVLoraRank }),
	num("o_groups", onlyV4, 1, maxDim, func(c *Config) any { return &c.OGroups }),
	num("o_lora_rank", onlyV4, 1, maxDim, func(c *Config) any { return &c.OLoraRank }),
	num("sliding_window", onlyV4, 1, maxDim, func(c *Config) any { return &c.SlidingWindow }),
	opt(null(num("sliding_window", windowed, 0, maxDim, func(c *Config) any { return &c.SlidingWindow }), 0), 0),
	opt(field{key: "layer_types", families: []Family{Qwen2, Qwen3, GPTOSS}, ptr: func(c *Config) any { return &c.LayerTypes }, oneOf: []string{slidingLayer, fullLayer}}, []string(nil)),
	num("index_n_heads", onlyV4, 1, maxDim, func(c *Config) any { return &c.IndexHeads }),
	num("index_head_dim", onlyV4, 2, maxDim, func(c *Config) any { return &c.IndexHeadDim }),
	num("index_topk", onlyV4, 1, maxDim, func(c *Config) any { return &c.IndexTopK }),
}

var expertFields = []field{
	num("intermediate_size", []Family{V3, V2, Llama, Mistral, Qwen2, Qwen3, Qwen3MoE}, 1, maxDim, func(c *Config) any { return &c.IntermediateSize }),
	num("n_inner", onlyGPT, 1, maxDim, func(c *Config) any { return &c.IntermediateSize }),
	num("first_k_dense_replace", latents, 0, 4096, func(c *Config) any { return &c.DenseLayers }),
	num("n_routed_experts", routed, 1, 65536, func(c *Config) any { return &c.Experts }),
	num("num_experts", onlyMoE, 1, 65536, func(c *Config) any { return &c.Experts }),
	num("num_local_experts", stacked, 1, 65536, func(c *Config) any { return &c.Experts }),
	num("n_shared_experts", routed, 0, 64, func(c *Config) any { return &c.SharedExperts }),
	num("num_experts_per_tok", []Family{V4, V3, V2, Qwen3MoE, Mixtral, GPTOSS}, 1, 65536, func(c *Config) any { return &c.TopK }),
	num("n_group", latents, 1, 65536, func(c *Config) any { return &c.ExpertGroups }),
	num("topk_group", latents, 1, 65536, func(c *Config) any { return &c.TopKGroups }),
	num("moe_intermediate_size", []Family{V4, V3, V2, Qwen3MoE}, 1, maxDim, func(c *Config) any { return &c.MoEIntermediate }),
	num("intermediate_size", stacked, 1, maxDim, func(c *Config) any { return &c.MoEIntermediate }),
	word("scoring_func", both, func(c *Config) any { return &c.ScoringFunc }, "sqrtsoftplus", "sigmoid"),
	opt(word("scoring_func", onlyV2, func(c *Config) any { return &c.ScoringFunc }, "softmax"), "softmax"),
	opt(word("topk_method", both, func(c *Config) any { return &c.TopKMethod }, "noaux_tc"), "noaux_tc"),
	opt(word("topk_method", onlyV2, func(c *Config) any { return &c.TopKMethod }, "greedy", "group_limited_greedy"), "greedy"),
	{key: "norm_topk_prob", families: []Family{V4, V3, V2, Qwen3MoE}, ptr: func(c *Config) any { return &c.NormTopK }},
	num("routed_scaling_factor", routed, tiny, 1e6, func(c *Config) any { return &c.RoutedScale }),
	num("num_hash_layers", onlyV4, 0, 4096, func(c *Config) any { return &c.HashLayers }),
	num("swiglu_limit", onlyV4, tiny, 1e6, func(c *Config) any { return &c.SwiGLULimit }),
	opt(num("swiglu_limit", onlyOSS, tiny, 1e6, func(c *Config) any { return &c.SwiGLULimit }), 7.0),
	num("hc_mult", onlyV4, 1, 64, func(c *Config) any { return &c.HCMult }),
	num("hc_sinkhorn_iters", onlyV4, 1, 1000, func(c *Config) any { return &c.HCSinkhornIters }),
	num("hc_eps", onlyV4, tiny, 1, func(c *Config) any { return &c.HCEps }),
}

var positionFields = []field{
	num("rope_theta", routed, 1, 1e12, func(c *Config) any { return &c.RopeTheta }),
	opt(num("rope_theta", grouped, 1, 1e12, func(c *Config) any { return &c.RopeTheta }), 10000.0),
	num("compress_rope_theta", onlyV4, 1, 1e12, func(c *Config) any { return &c.CompressRopeTheta }),
	opt(word("rope_scaling", routed, func(c *Config) any { return &c.RopeScaling }, "yarn"), (*RopeScaling)(nil)),
	opt(word("rope_scaling", grouped, func(c *Config) any { return &c.RopeScaling }, "yarn", "llama3", "linear", "dynamic"), (*RopeScaling)(nil)),
	num("max_position_embeddings", rotary, 1, 1<<31-1, func(c *Config) any { return &c.MaxPositions }),
	num("n_positions", onlyGPT, 1, maxDim, func(c *Config) any { return &c.MaxPositions }),
}

var otherFields = []field{
	num("rms_norm_eps", rotary, tiny, 1, func(c *Config) any { return &c.RMSNormEps }),
	opt(num("layer_norm_epsilon", onlyGPT, tiny, 1, func(c *Config) any { return &c.RMSNormEps }), 1e-5),
	opt(word("hidden_act", rotary, func(c *Config) any { return &c.HiddenAct }, "silu"), "silu"),
	opt(word("activation_function", onlyGPT, func(c *Config) any { return &c.HiddenAct }, "gelu_new", "gelu", "gelu_pytorch_tanh", "gelu_fast"), "gelu_new"),
	opt(field{key: "attention_bias", families: []Family{V4, V3, V2, Llama, Qwen3, Qwen3MoE}, ptr: func(c *Config) any { return &c.AttentionBias }}, false),
	opt(field{key: "attention_bias", families: onlyOSS, ptr: func(c *Config) any { return &c.AttentionBias }}, true),
	opt(field{key: "mlp_bias", families: []Family{Llama}, ptr: func(c *Config) any { return &c.MLPBias }}, false),
	opt(num("attention_dropout", rotary, 0, 1, func(c *Config) any { return &c.AttentionDropout }), 0.0),
	opt(num("attn_pdrop", onlyGPT, 0, 1, func(c *Config) any { return &c.AttentionDropout }), 0.1),
	opt(num("embd_pdrop", onlyGPT, 0, 1, func(c *Config) any { return &c.EmbedDropout }), 0.1),
	opt(num("resid_pdrop", onlyGPT, 0, 1, func(c *Config) any { return &c.ResidualDropout }), 0.1),
	opt(field{key: "tie_word_embeddings", families: rotary, ptr: func(c *Config) any { return &c.TieEmbeddings }}, false),
	opt(field{key: "tie_word_embeddings", families: onlyGPT, ptr: func(c *Config) any { return &c.TieEmbeddings }}, true),
	opt(num("initializer_range", familyOrder, tiny, 10, func(c *Config) any { return &c.InitializerRange }), 0.02),
	num("bos_token_id", routed, 0, maxDim, func(c *Config) any { return &c.BOS }),
	num("eos_token_id", routed, 0, maxDim, func(c *Config) any { return &c.EOS }),
	opt(null(num("bos_token_id", others, -1, maxDim, func(c *Config) any { return &c.BOS }), -1), -1),
	opt(null(num("eos_token_id", others, -1, maxDim, func(c *Config) any { return &c.EOS }), -1), -1),
	opt(word("torch_dtype", familyOrder, func(c *Config) any { return &c.TorchDType }, "bfloat16", "float32", "float16"), "bfloat16"),
	opt(word("expert_dtype", onlyV4, func(c *Config) any { return &c.ExpertDType }, "fp4", "fp8", "bf16"), ""),
	opt(field{key: "quantization_config", families: both, ptr: func(c *Config) any { return &c.Quantization }}, (*Quantization)(nil)),
	num("compress_ratios", onlyV4, 0, maxDim, func(c *Config) any { return &c.CompressRatios }),
}

func unwritten(f field) field { f.unwritten = true; return f }

func (f *field) legalIn(family Family) bool { return slices.Contains(f.families, family) }

// legalKey returns the field that a key means in a family, or nil.
func legalKey(family Family, key string) *field {
	for i := range fields {
		if fields[i].key == key && fields[i].legalIn(family) {
			return &fields[i]
		}
	}
	return nil
}
