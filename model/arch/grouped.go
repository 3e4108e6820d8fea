package arch

import "encoding/json"

// grouped brings the keys of the families with grouped queries into one form:
// what is left out and follows from other keys is put in, switches that temper
// knows one value of are checked and dropped.
func (d *dialect) grouped() {
	heads := d.integer("num_attention_heads")
	if d.raw["num_key_value_heads"] == nil || d.isNull("num_key_value_heads") {
		d.replace("num_key_value_heads", heads)
	}
	if d.raw["head_dim"] == nil || d.isNull("head_dim") {
		hidden := d.integer("hidden_size")
		if heads > 0 && hidden%heads != 0 {
			d.fail("hidden_size is %d, want a multiple of num_attention_heads = %d when there is no head_dim: nearest legal value %d", hidden, heads, nearestMultiple(hidden, heads))
		}
		d.replace("head_dim", hidden/max(1, heads))
	}
	switch d.family {
	case Qwen2, Qwen3, Qwen3MoE:
		d.qwenWindows()
		if d.family == Qwen3MoE {
			d.alias("num_local_experts", "num_experts")
			d.require("decoder_sparse_step", 1.0)
			d.requireEmpty("mlp_only_layers", "temper describes models whose layers all have experts")
		}
	case Mixtral:
		d.alias("num_experts", "num_local_experts")
	case GPTOSS:
		d.alias("num_experts", "num_local_experts")
		d.alias("experts_per_token", "num_experts_per_tok")
		d.require("swiglu_alpha", 1.702)
		d.storedAsMXFP4()
		if d.raw["layer_types"] == nil || d.isNull("layer_types") {
			delete(d.raw, "layer_types")
			d.put("layer_types", alternating(d.integer("num_hidden_layers")), "the family")
		}
	}
}

// alternating is the pattern of GPT-OSS: sliding first.
func alternating(layers int) []string {
	types := make([]string, max(0, min(layers, 4096)))
	for l := range types {
		types[l] = []string{slidingLayer, fullLayer}[l%2]
	}
	return types
}

// qwenWindows drops a window that is switched off, and turns max_window_layers
// into layer_types when it is on.
func (d *dialect) qwenWindows() {
	on := false
	d.take("use_sliding_window", &on)
	if !on {
		delete(d.raw, "sliding_window")
		return
	}
	first, layers := d.integer("max_window_layers"), d.integer("num_hidden_layers")
	if d.family == Qwen3MoE || d.raw["layer_types"] != nil || layers < 1 || layers > 4096 {
		return
	}
	types := make([]string, layers)
	for l := range types {
		types[l] = slidingLayer
		if l < first {
			types[l] = fullLayer
		}
	}
	d.put("layer_types", types, "max_window_layers")
}

// storedAsMXFP4 keeps the one quantisation that GPT-OSS is published in as a note:
// it says how files hold the experts and changes no shape.
func (d *dialect) storedAsMXFP4() {
	text, ok := d.raw["quantization_config"]
	if !ok || d.isNull("quantization_config") {
		return
	}
	var q struct {
		Method string `json:"quant_method"`
	}
	if err := json.Unmarshal(text, &q); err != nil || q.Method != "mxfp4" {
		d.fail("quantization_config is %s, want quant_method %q for %s", clip(text), "mxfp4", d.family)
	}
}

// gpt puts in what a GPT-2 config leaves to be known.
func (d *dialect) gpt() {
	width, heads := d.integer("n_embd"), d.integer("n_head")
	if d.raw["n_inner"] == nil || d.isNull("n_inner") {
		d.replace("n_inner", 4*min(width, maxDim))
	}
	d.put("num_key_value_heads", heads, "n_head")
	if heads > 0 && width%heads != 0 {
		d.fail("n_embd is %d, want a multiple of n_head = %d: nearest legal value %d", width, heads, nearestMultiple(width, heads))
	}
	d.put("head_dim", width/max(1, heads), "n_embd / n_head")
	d.require("scale_attn_weights", true)
	d.require("scale_attn_by_inverse_layer_idx", false)
	d.require("reorder_and_upcast_attn", false)
	d.require("add_cross_attention", false)
}

// listOfEOS reduces a list of end tokens to its first and returns the others.
func (d *dialect) listOfEOS() []int {
	var all []int
	if json.Unmarshal(d.raw["eos_token_id"], &all) != nil || len(all) == 0 {
		return nil
	}
	for _, id := range all {
		if vocab := d.integer("vocab_size"); id < 0 || id >= vocab {
			d.fail("eos_token_id has %d, want 0 to vocab_size - 1 = %d", id, vocab-1)
		}
	}
	d.replace("eos_token_id", all[0])
	if len(all) == 1 {
		return nil
	}
	return all[1:]
}

// alias reads a second name of a key; where both are given they must agree.
func (d *dialect) alias(name, key string) {
	var v any
	if d.take(name, &v) {
		d.put(key, v, name)
	}
}

func (d *dialect) isNull(key string) bool { return string(d.raw[key]) == "null" }

// replace sets a key whatever it was.
func (d *dialect) replace(key string, value any) {
	d.raw[key], _ = json.Marshal(value) // numbers and words only
}

// must checks a key that may have one value only, and keeps it.
func (d *dialect) must(key string, value int) {
	if text, ok := d.raw[key]; ok && !d.isNull(key) && d.integer(key) != value {
		d.fail("%s is %s, want %d: %s models that temper describes have nothing else", key, clip(text), value, d.family)
	}
}

// requireEmpty drops a list that must hold nothing.
func (d *dialect) requireEmpty(key, why string) {
	var list []any
	if d.take(key, &list) && len(list) > 0 {
		d.fail("%s has %d entries, want none: %s", key, len(list), why)
	}
}
