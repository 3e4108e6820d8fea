package arch

import (
	"strings"
	"testing"
)

// Every family's own rules, each refusal with key, value, rule and what to write.
func TestDescribedFamiliesRefuse(t *testing.T) {
	type object = map[string]any
	for _, tc := range []struct {
		model, key string
		value      any
		want       []string
	}{
		{"llama3-8b", "num_key_value_heads", 5, []string{"num_attention_heads is 32", "multiple of num_key_value_heads = 5", "nearest legal value 30"}},
		{"llama3-8b", "head_dim", 127, []string{"head_dim is 127, want an even number", "128"}},
		{"llama3-8b", "sliding_window", 4096, []string{`"sliding_window" does not belong to llama`}},
		{"mixtral-8x7b", "num_experts", 16, []string{"num_local_experts is", "but num_experts says"}},
		{"llama3-8b", "num_experts", 8, []string{`"num_experts" does not belong to llama`, `"qwen3_moe"`}},
		{"llama3-8b", "num_nextn_predict_layers", 1, []string{`"num_nextn_predict_layers" does not belong to llama`}},
		{"llama3-8b", "intermediat_size", 8, []string{`unknown key "intermediat_size"`, `did you mean "intermediate_size"`}},
		{"llama3-8b", "intermediate_size", nil, []string{`key "intermediate_size" is missing, and llama needs it`}},
		{"llama3-8b", "hidden_act", "gelu", []string{`hidden_act is "gelu"`, `want "silu"`}},
		{"llama3-8b", "quantization_config", object{"quant_method": "awq"}, []string{`"quantization_config" does not belong to llama`}},
		{"llama3-8b", "rope_scaling", object{"type": "lama3", "factor": 8}, []string{`rope_scaling.type is "lama3"`, `did you mean "llama3"`}},
		{"llama3-8b", "rope_scaling", object{"type": "llama3", "factor": 8, "original_max_position_embeddings": 8192}, []string{`rope_scaling has no "high_freq_factor"`}},
		{"llama3-8b", "rope_scaling", object{"type": "llama3", "factor": 8, "original_max_position_embeddings": 8192, "low_freq_factor": 4, "high_freq_factor": 4}, []string{"low_freq_factor is 4, want less than high_freq_factor = 4"}},
		{"llama3-8b", "rope_scaling", object{"type": "linear", "factor": 8, "beta_fast": 32}, []string{`unknown key "beta_fast" in rope_scaling`}},
		{"llama3-8b", "eos_token_id", []int{128001, 200000}, []string{"eos_token_id has 200000, want 0 to vocab_size - 1 = 128255"}},
		{"llama3-8b", "vocab_size", 1 << 24, nil},
		{"kimi-k2", "hidden_size", 1 << 24, []string{"the model has", "parameters, want at most 1e+15"}},
		{"qwen3-8b", "layer_types", []string{"full_attention"}, []string{"layer_types has 1 entries, want num_hidden_layers = 36"}},
		{"qwen3-8b", "layer_types", []string{"full_atention"}, []string{`layer_types[0] is "full_atention"`, `did you mean "full_attention"`}},
		{"qwen3-8b", "layer_types", 3, []string{`layer_types is "3", want a list of words`}},
		{"qwen3-30b-a3b", "decoder_sparse_step", 2, []string{"decoder_sparse_step is 2, want 1"}},
		{"qwen3-30b-a3b", "mlp_only_layers", []int{0}, []string{"mlp_only_layers has 1 entries, want none"}},
		{"qwen3-30b-a3b", "num_experts_per_tok", 129, []string{"num_experts_per_tok is 129, want at most num_experts = 128"}},
		{"qwen3-30b-a3b", "num_experts", 65536, []string{"num_experts is 65536 in 48 blocks, 3145728 experts in all, want at most 262144: the nearest legal value is 5461"}},
		{"qwen3-30b-a3b", "n_shared_experts", 1, []string{`"n_shared_experts" does not belong to qwen3_moe`}},
		{"mixtral-8x7b", "num_experts_per_tok", 9, []string{"want at most num_local_experts = 8"}},
		{"mixtral-8x7b", "moe_intermediate_size", 8, []string{`"moe_intermediate_size" does not belong to mixtral`}},
		{"gpt-oss-20b", "swiglu_alpha", 1.5, []string{"swiglu_alpha is 1.5, want 1.702"}},
		{"gpt-oss-20b", "experts_per_token", 5, []string{"num_experts_per_tok is", "but experts_per_token says", "they must agree"}},
		{"gpt-oss-20b", "sliding_window", 0, []string{"sliding_window is 0, want at least 1: layer_types has layers of sliding_attention"}},
		{"gpt-oss-20b", "quantization_config", object{"quant_method": "awq"}, []string{`want quant_method "mxfp4"`}},
		{"gpt3-175b", "n_head", 97, []string{"n_embd is 12288, want a multiple of n_head = 97", "nearest legal value 12319"}},
		{"gpt3-175b", "hidden_size", 12288, []string{`"hidden_size" does not belong to gpt2`}},
		{"gpt3-175b", "activation_function", "silu", []string{`activation_function is "silu"`, `"gelu_new"`}},
		{"gpt3-175b", "scale_attn_by_inverse_layer_idx", true, []string{"scale_attn_by_inverse_layer_idx is true, want false"}},
		{"gpt3-175b", "add_cross_attention", true, []string{"add_cross_attention is true"}},
		{"deepseek-v2", "topk_method", "noaux_tc", []string{`topk_method is "noaux_tc"`, `"group_limited_greedy"`}},
		{"deepseek-v2", "topk_method", "greedy", []string{"topk_group is 3, want n_group = 8", `topk_method is "greedy"`}},
		{"deepseek-v2", "scoring_func", "sigmoid", []string{`want "softmax"`}},
		{"deepseek-v2", "moe_layer_freq", 2, []string{"moe_layer_freq is", "want 1"}},
		{"deepseek-v3", "moe_layer_freq", 2, []string{"moe_layer_freq is", "want 1"}},
		{"deepseek-v3", "q_lora_rank", nil, []string{`key "q_lora_rank" is missing`}},
		{"mistral-7b", "attention_bias", true, []string{`"attention_bias" does not belong to mistral`}},
		{"mistral-7b", "rope_parameters", object{"rope_theta": 1e4, "rope_type": "default", "partial_rotary_factor": 0.5}, []string{"partial_rotary_factor is", "want 1 for mistral"}},
	} {
		_, err := ParseConfig(edit(t, tc.model, tc.key, tc.value))
		if err == nil {
			if tc.want != nil {
				t.Errorf("%s: %s = %v was accepted", tc.model, tc.key, tc.value)
			}
			continue
		}
		if tc.want == nil {
			t.Errorf("%s: %s = %v: %v", tc.model, tc.key, tc.value, err)
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %s = %v: error %q does not say %q", tc.model, tc.key, tc.value, err, want)
			}
		}
	}
}

// What other programs write for the same model is read as the same model.
func TestParseConfigOtherSpellings(t *testing.T) {
	for _, tc := range []struct {
		model, key string
		value      any
		check      func(c *Config) bool
	}{
		{"llama3-8b", "eos_token_id", []int{128001, 128008, 128009}, func(c *Config) bool { return c.EOS == 128001 && len(c.MoreEOS) == 2 }},
		{"llama3-8b", "bos_token_id", nil, func(c *Config) bool { return c.BOS == -1 }},
		{"llama3-8b", "num_key_value_heads", nil, func(c *Config) bool { return c.NumKVHeads == 32 }},
		{"llama3-8b", "head_dim", nil, func(c *Config) bool { return c.HeadDim == 128 }},
		{"llama3-8b", "tie_word_embeddings", true, func(c *Config) bool { return c.TieEmbeddings }},
		{"llama3-8b", "rope_scaling", map[string]any{"rope_type": "dynamic", "factor": 2}, func(c *Config) bool { return c.RopeScaling.Type == "dynamic" }},
		{"qwen3-8b", "sliding_window", 4096, func(c *Config) bool { return c.SlidingWindow == 0 }}, // use_sliding_window is off
		{"mistral-7b", "sliding_window", nil, func(c *Config) bool { return c.SlidingWindow == 0 }},
		{"mixtral-8x7b", "sliding_window", 4096, func(c *Config) bool { return c.LayerWindow(31) == 4096 }},
		{"gpt-oss-20b", "layer_types", nil, func(c *Config) bool { return c.LayerWindow(0) == 128 && c.LayerWindow(23) == 0 }},
		{"gpt-oss-20b", "experts_per_token", 4, func(c *Config) bool { return c.TopK == 4 }},
		{"gpt-oss-20b", "num_experts", 32, func(c *Config) bool { return c.Experts == 32 }},
		{"qwen3-30b-a3b", "num_local_experts", 128, func(c *Config) bool { return c.Experts == 128 }},
		{"gpt3-175b", "n_inner", nil, func(c *Config) bool { return c.IntermediateSize == 4*12288 }},
		{"gpt3-175b", "tie_word_embeddings", false, func(c *Config) bool { return !c.TieEmbeddings }},
	} {
		c, err := ParseConfig(edit(t, tc.model, tc.key, tc.value))
		if err != nil {
			t.Errorf("%s: %s = %v: %v", tc.model, tc.key, tc.value, err)
			continue
		}
		if !tc.check(c) {
			t.Errorf("%s: %s = %v was not understood: %+v", tc.model, tc.key, tc.value, c)
		}
		back, err := ParseConfig(c.MarshalHF())
		if err != nil {
			t.Errorf("%s: %s = %v, written: %v", tc.model, tc.key, tc.value, err)
		} else if !tc.check(back) {
			t.Errorf("%s: %s = %v was lost in writing", tc.model, tc.key, tc.value)
		}
	}
}

// Qwen says with two keys from which layer on a window holds.
func TestQwenWindows(t *testing.T) {
	text := string(edit(t, "qwen2.5-7b", "max_window_layers", 21))
	text = strings.Replace(text, `"sliding_window":null`, `"sliding_window":512`, 1)
	text = strings.Replace(text, `"use_sliding_window":false`, `"use_sliding_window":true`, 1)
	c, err := ParseConfig([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for l, want := range map[int]int{0: 0, 20: 0, 21: 512, 27: 512} {
		if got := c.LayerWindow(l); got != want {
			t.Errorf("layer %d has a window of %d, want %d", l, got, want)
		}
	}
	c.LayerTypes = nil
	if all, err := ParseConfig(c.MarshalHF()); err != nil || all.LayerWindow(0) != 512 {
		t.Errorf("windows in all layers, written and read again: %v", err)
	}
	if c, err = ParseConfig([]byte(text)); err != nil {
		t.Fatal(err)
	}
	back, err := ParseConfig(c.MarshalHF())
	if err != nil {
		t.Fatal(err)
	}
	if back.LayerWindow(20) != 0 || back.LayerWindow(21) != 512 {
		t.Errorf("written as\n%s", c.MarshalHF())
	}
}

// A model built in code is held to the same rules as a parsed one: what belongs to
// another family, or is no legal word, is named.
func TestCheckRefusesWhatCodeSets(t *testing.T) {
	for want, tc := range map[string]struct {
		model string
		set   func(c *Config)
	}{
		`attention_bias is true, want false for mistral`:                      {"mistral-7b", func(c *Config) { c.AttentionBias = true }},
		`rope_scaling is present, want none for gpt2`:                         {"gpt3-175b", func(c *Config) { c.RopeScaling = &RopeScaling{Type: "yarn"} }},
		`rope_scaling.type is "llama3", want "yarn"`:                          {"deepseek-v3", func(c *Config) { c.RopeScaling.Type = "llama3" }},
		`layer_types has 1 entries, want none for llama`:                      {"llama3-8b", func(c *Config) { c.LayerTypes = []string{fullLayer} }},
		`layer_types has one kind of layer only`:                              {"qwen3-8b", func(c *Config) { c.LayerTypes = make([]string, c.NumLayers) }},
		`quantization_config is present, want none for llama`:                 {"llama3-8b", func(c *Config) { c.Quantization = &Quantization{} }},
		`scoring_func is "softmax", want it empty for mixtral`:                {"mixtral-8x7b", func(c *Config) { c.ScoringFunc = "softmax" }},
		`hidden_act is "relu", want "silu"`:                                   {"llama3-8b", func(c *Config) { c.HiddenAct = "relu" }},
		`n_routed_experts is 4, want 0 for llama`:                             {"llama3-8b", func(c *Config) { c.Experts = 4 }},
		`n_layer is 0, want 1 to 4096: the nearest legal value is 1`:          {"gpt3-175b", func(c *Config) { c.NumLayers = 0 }},
		`num_key_value_heads is 8, want n_head = 96`:                          {"gpt3-175b", func(c *Config) { c.NumKVHeads = 8 }},
		`model_type "lama" is not one that temper describes`:                  {"llama3-8b", func(c *Config) { c.Family = "lama" }},
		`num_attention_heads is 64, want a multiple of num_key_value_heads =`: {"llama3-70b", func(c *Config) { c.NumKVHeads = 7 }},
	} {
		c := must(t, tc.model)
		tc.set(c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
