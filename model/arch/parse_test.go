package arch

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// edit returns the config of a built-in model with one key changed; nil deletes.
func edit(t *testing.T, name, key string, value any) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(must(t, name).MarshalHF(), &m); err != nil {
		t.Fatal(err)
	}
	if key == "compress_ratios" {
		delete(m, "layer_types")
		delete(m, "compress_rates")
	}
	if value == nil {
		delete(m, key)
	} else {
		m[key] = value
	}
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Every refusal names the key, the value and what to write instead.
func TestParseConfigRefuses(t *testing.T) {
	for _, tc := range []struct {
		model, key string
		value      any
		want       []string
	}{
		{"tiny-v4", "hiden_size", 3, []string{`unknown key "hiden_size"`, `did you mean "hidden_size"`}},
		{"tiny-v4", "hidden_size", nil, []string{`key "hidden_size" is missing`}},
		{"tiny-v4", "hidden_size", 0, []string{"hidden_size is 0", "nearest legal value is 1"}},
		{"tiny-v4", "hidden_size", 1.5, []string{`hidden_size is "1.5"`, "want an integer"}},
		{"tiny-v4", "hidden_size", "64", []string{"want an integer"}},
		{"tiny-v4", "hc_mult", 3, []string{"hc_mult is 3, want 4"}},
		{"tiny-v4", "num_experts_per_tok", 9, []string{"num_experts_per_tok is 9", "n_routed_experts = 8"}},
		{"tiny-v4", "o_groups", 3, []string{"num_attention_heads is 4", "multiple of o_groups = 3", "nearest legal value 3"}},
		{"tiny-v4", "head_dim", 33, []string{"head_dim is 33", "even", "34"}},
		{"tiny-v4", "qk_rope_head_dim", 64, []string{"qk_rope_head_dim is 64", "at most head_dim = 32"}},
		{"tiny-v4", "index_head_dim", 24, []string{"index_head_dim is 24", "power of two"}},
		{"tiny-v4", "compress_ratios", []int{0, 4}, []string{"compress_ratios has 2 entries", "4 + 1 = 5"}},
		{"tiny-v4", "compress_ratios", []int{0, 4, 1, 4, 0}, []string{"compress_ratios[2] is 1", "nearest legal value 2"}},
		{"tiny-v4", "compress_ratios", []any{0, "x"}, []string{"compress_ratios[1]", "want an integer"}},
		{"tiny-v4", "scoring_func", "softmax", []string{`scoring_func is "softmax"`, `"sqrtsoftplus"`}},
		{"tiny-v4", "scoring_func", "sigmoid", []string{`want "sqrtsoftplus" for deepseek_v4`}},
		{"tiny-v4", "kv_lora_rank", 64, []string{`"kv_lora_rank" does not belong to deepseek_v4`}},
		{"tiny-v4", "model_type", "lama", []string{`model_type "lama"`, "deepseek_v4", `did you mean "llama"`}},
		{"tiny-v4", "model_type", 3, []string{"model_type is", "want a string"}},
		{"tiny-v4", "attention_bias", true, []string{"attention_bias is true, want false"}},
		{"tiny-v4", "norm_topk_prob", false, []string{"norm_topk_prob is false"}},
		{"tiny-v4", "eos_token_id", 512, []string{"eos_token_id is 512", "vocab_size = 512"}},
		{"tiny-v4", "rms_norm_eps", -1, []string{"rms_norm_eps is -1", "nearest legal value is 1e-30"}},
		{"tiny-v4", "rope_scaling", map[string]any{"type": "linear", "factor": 2, "original_max_position_embeddings": 4}, []string{`rope_scaling.type is "linear"`, `"yarn"`}},
		{"tiny-v4", "rope_scaling", map[string]any{"type": "yarn", "factor": 2}, []string{`rope_scaling has no "original_max_position_embeddings"`}},
		{"tiny-v4", "rope_scaling", map[string]any{"type": "yarn", "factor": 2, "original_max_position_embeddings": 4, "x": 1}, []string{`unknown key "x" in rope_scaling`}},
		{"tiny-v4", "dtype", "bfloat16", []string{`both "dtype" and "torch_dtype"`}},
		{"deepseek-v4-flash", "quantization_config", map[string]any{"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": []int{128}}, []string{"weight_block_size is [128]"}},
		{"deepseek-v4-flash", "moe_intermediate_size", 2050, []string{"multiples of 32"}},
		{"deepseek-v3", "n_group", 7, []string{"n_routed_experts is 256", "n_group = 7"}},
		{"deepseek-v3", "topk_group", 9, []string{"topk_group is 9", "n_group = 8"}},
		{"deepseek-v3", "num_key_value_heads", 8, []string{"num_key_value_heads is 8"}},
		{"deepseek-v3", "hc_mult", 4, []string{`"hc_mult" does not belong to deepseek_v3`}},
	} {
		_, err := ParseConfig(edit(t, tc.model, tc.key, tc.value))
		if err == nil {
			t.Errorf("%s = %v was accepted", tc.key, tc.value)
			continue
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s = %v: error %q does not say %q", tc.key, tc.value, err, want)
			}
		}
	}
}

func TestParseConfigRefusesBrokenText(t *testing.T) {
	good := string(must(t, "tiny-v4").MarshalHF())
	for _, bad := range []string{
		"", "[]", "null", "{", `{"a"`, good + "x", good[:len(good)/2],
		strings.Replace(good, `"hc_mult": 4`, `"hc_mult": 4, "hc_mult": 4`, 1),
	} {
		if _, err := ParseConfig([]byte(bad)); err == nil {
			t.Errorf("accepted %.40q", bad)
		}
	}
}

// Spellings that other libraries write are read, and harmless keys survive.
func TestParseConfigKeepsHarmlessKeys(t *testing.T) {
	text := edit(t, "tiny-v4", "auto_map", map[string]any{"AutoConfig": "x.Y"})
	text = []byte(strings.Replace(string(text), "torch_dtype", "dtype", 1))
	c, err := ParseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	if c.Extra["auto_map"] != `{"AutoConfig":"x.Y"}` {
		t.Errorf("Extra = %v", c.Extra)
	}
	back, err := ParseConfig(c.MarshalHF())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(c, back); d != "" {
		t.Error(d)
	}
}

// A Config built in code is held to the same rules as one that was parsed.
func TestCheckRefusesForeignFields(t *testing.T) {
	c := must(t, "tiny-v4")
	c.KVLoraRank = 5
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "kv_lora_rank is 5, want 0 for deepseek_v4") {
		t.Errorf("got %v", err)
	}
	c = must(t, "deepseek-v3")
	c.CompressRatios = []int{1}
	if err := c.Check(); err == nil {
		t.Error("compress_ratios accepted for V3")
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, name := range Builtins() {
		c, _ := Builtin(name)
		f.Add(c.MarshalHF())
		f.Add(dialectOf(f, c, nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig(data)
		if err != nil {
			return
		}
		back, err := ParseConfig(c.MarshalHF())
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if d := cmp.Diff(c, back); d != "" {
			t.Fatal(d)
		}
		checkCounts(t, c)
	})
}

func TestBuiltinNamesTheNearest(t *testing.T) {
	_, err := Builtin("deepseek-v4-flsh")
	if err == nil || !strings.Contains(err.Error(), `did you mean "deepseek-v4-flash"`) {
		t.Errorf("got %v", err)
	}
}

// dialect rewrites a config as the transformers library (5.23) saves it.
func dialectOf(t testing.TB, c *Config, change func(m map[string]any)) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(c.MarshalHF(), &m); err != nil {
		t.Fatal(err)
	}
	m["dtype"] = m["torch_dtype"]
	if c.Family != Llama {
		m["mlp_bias"] = false
	}
	m["router_jitter_noise"], m["router_aux_loss_coef"], m["output_router_logits"] = 0.0, 0.001, false
	switch {
	case c.Family == GPT2:
		delete(m, "n_inner") // 4 n_embd is what it means
	case c.Family == V4:
		types := make([]any, c.NumLayers)
		mlps := make([]any, c.NumLayers)
		for l := range types {
			types[l], mlps[l] = layerTypes[c.Kind(l)], "moe"
			if c.IsHash(l) {
				mlps[l] = "hash_moe"
			}
		}
		m["layer_types"], m["mlp_layer_types"] = types, mlps
		if m["compress_rates"] == nil {
			m["compress_rates"] = map[string]any{"compressed_sparse_attention": 4, "heavily_compressed_attention": 128}
		}
		m["partial_rotary_factor"] = float64(c.RopeDim) / float64(c.HeadDim)
		scaling := map[string]any{"rope_type": "default"}
		if s, ok := m["rope_scaling"].(map[string]any); ok {
			scaling = s
			scaling["rope_type"], scaling["attention_factor"], scaling["partial_rotary_factor"] = "yarn", 1.0, 0.125
		}
		scaling["rope_theta"] = c.CompressRopeTheta
		m["rope_parameters"] = map[string]any{"compress": scaling, "main": map[string]any{"rope_theta": c.RopeTheta, "rope_type": "default"}}
		delete(m, "compress_rope_theta")
	default:
		if c.Kind(0) == MLA {
			m["head_dim"], m["qk_head_dim"], m["rope_interleave"] = c.RopeDim, c.RopeDim+c.NopeDim, true
		}
		scaling := map[string]any{"rope_type": "default"}
		if c.RopeScaling != nil {
			scaling = m["rope_scaling"].(map[string]any)
			scaling["rope_type"] = scaling["type"]
			delete(scaling, "type")
		}
		scaling["rope_theta"] = c.RopeTheta
		m["rope_parameters"] = scaling
	}
	for _, key := range []string{"torch_dtype", "compress_ratios", "num_hash_layers", "rope_scaling", "rope_theta"} {
		delete(m, key)
	}
	if change != nil {
		change(m)
	}
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// What transformers saves means the same as what was published.
func TestParseConfigReadsTransformersDialect(t *testing.T) {
	for _, name := range Builtins() {
		want := must(t, name)
		got, err := ParseConfig(dialectOf(t, want, nil))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		delete(got.Extra, "output_router_logits")
		delete(got.Extra, "router_aux_loss_coef")
		if len(got.Extra) == 0 {
			got.Extra = nil
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-published +transformers):\n%s", name, d)
		}
	}
}

func TestTransformersDialectMustAgree(t *testing.T) {
	for want, change := range map[string]func(m map[string]any){
		`compress_ratios is "[4,4,4,4,0]", but layer_types says`:             func(m map[string]any) { m["compress_ratios"] = []int{4, 4, 4, 4, 0} },
		`layer_types[0] is "full_attention"`:                                 func(m map[string]any) { m["layer_types"] = []string{"full_attention"} },
		"want all hash layers first":                                         func(m map[string]any) { m["mlp_layer_types"] = []string{"moe", "hash_moe"} },
		`mlp_layer_types[0] is "dense"`:                                      func(m map[string]any) { m["mlp_layer_types"] = []string{"dense"} },
		"mlp_bias is true, want false":                                       func(m map[string]any) { m["mlp_bias"] = true },
		"router_jitter_noise is 0.1, want 0":                                 func(m map[string]any) { m["router_jitter_noise"] = 0.1 },
		`qk_rope_head_dim is "16", but partial_rotary_factor says "8"`:       func(m map[string]any) { m["partial_rotary_factor"] = 0.25 },
		`both "rope_scaling" and "rope_parameters"`:                          func(m map[string]any) { m["rope_scaling"] = map[string]any{"type": "yarn"} },
		`no objects "main" and "compress"`:                                   func(m map[string]any) { m["rope_parameters"] = map[string]any{} },
		`"compressed_sparse_attention" the ratio 8`:                          func(m map[string]any) { m["compress_rates"] = map[string]any{"compressed_sparse_attention": 8} },
		"compress_rates without layer_types":                                 func(m map[string]any) { delete(m, "layer_types") },
		`layer_types is "3"`:                                                 func(m map[string]any) { m["layer_types"] = 3 },
		`both "dtype" and "torch_dtype"`:                                     func(m map[string]any) { m["torch_dtype"] = "bfloat16" },
		`rope_theta is "5", but rope_parameters says "10000": they must agr`: func(m map[string]any) { m["rope_theta"] = 5 },
	} {
		if _, err := ParseConfig(dialectOf(t, must(t, "tiny-v4"), change)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
