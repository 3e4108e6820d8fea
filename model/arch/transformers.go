package arch

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
)

// The transformers library writes the same facts under other keys. translate
// brings them into the published form, so that one strict table is enough:
//
//	layer_types, compress_rates    compress_ratios, and 0 for each MTP block
//	mlp_layer_types                num_hash_layers
//	rope_parameters                rope_theta, compress_rope_theta, rope_scaling
//	partial_rotary_factor          qk_rope_head_dim
//	head_dim, qk_head_dim (V3)     follow from the other dimensions
//	dtype                          torch_dtype
//
// A file may say both; then they must agree. Switches that must be off
// (mlp_bias, router_jitter_noise) are checked and dropped.
func (c *Config) translate(raw map[string]json.RawMessage) error {
	d := &dialect{raw: raw, family: c.Family}
	d.rename("dtype", "torch_dtype")
	if c.Family != Llama {
		d.require("mlp_bias", false)
	}
	d.require("router_jitter_noise", 0.0)
	d.ropeParameters()
	switch c.layout() {
	case layoutV4:
		d.ratios()
		d.hashLayers()
		d.rotaryDim()
	case layoutMLA:
		d.require("rope_interleave", true)
		d.follows("head_dim", d.integer("qk_rope_head_dim"))
		d.follows("qk_head_dim", d.integer("qk_rope_head_dim")+d.integer("qk_nope_head_dim"))
		d.must("moe_layer_freq", 1)
	case layoutGQA:
		c.MoreEOS = d.listOfEOS()
		d.grouped()
	case layoutGPT:
		c.MoreEOS = d.listOfEOS()
		d.gpt()
	}
	return d.err
}

// dialect rewrites keys until the first error.
type dialect struct {
	raw    map[string]json.RawMessage
	family Family
	err    error
}

func (d *dialect) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("arch: "+format, args...)
	}
}

// take decodes and removes a key; it reports whether the key was there.
func (d *dialect) take(key string, v any) bool {
	text, ok := d.raw[key]
	if !ok || d.err != nil {
		return false
	}
	delete(d.raw, key)
	if string(text) == "null" {
		return false
	}
	if err := json.Unmarshal(text, v); err != nil {
		d.fail("%s is %s: %v", key, clip(text), err)
		return false
	}
	return true
}

// integer reads a key without removing it, 0 if it is absent or something else:
// the strict table will say so.
func (d *dialect) integer(key string) int {
	var n int
	_ = json.Unmarshal(d.raw[key], &n)
	return n
}

// put sets a key, or checks that it already has this value.
func (d *dialect) put(key string, value any, from string) {
	text, err := json.Marshal(value)
	if err != nil {
		d.fail("%s: %v", from, err)
		return
	}
	if old, ok := d.raw[key]; ok {
		var a, b any
		if json.Unmarshal(old, &a) != nil || json.Unmarshal(text, &b) != nil || !reflect.DeepEqual(a, b) {
			d.fail("%s is %s, but %s says %s: they must agree, or one of them go", key, clip(old), from, clip(text))
		}
		return
	}
	d.raw[key] = text
}

func (d *dialect) rename(from, to string) {
	v, ok := d.raw[from]
	if !ok {
		return
	}
	if _, dup := d.raw[to]; dup {
		d.fail("config has both %q and %q, want one of them", from, to)
	}
	d.raw[to] = v
	delete(d.raw, from)
}

// require drops a key that may have one value only.
func (d *dialect) require(key string, value any) {
	var v any
	if d.take(key, &v) && v != value {
		d.fail("%s is %v, want %v: %s has nothing else", key, v, value, d.family)
	}
}

// follows drops a key that other keys determine.
func (d *dialect) follows(key string, value int) {
	var n int
	if d.take(key, &n) && n != value {
		d.fail("%s is %d, want %d, which follows from the other dimensions", key, n, value)
	}
}

// Names that transformers gives to the kinds of layers.
var (
	layerTypes = map[Kind]string{Window: "sliding_attention", CSA: "compressed_sparse_attention", HCA: "heavily_compressed_attention"}
	mlpTypes   = []string{"hash_moe", "moe"}
)

// ratios turns layer_types and compress_rates into compress_ratios.
func (d *dialect) ratios() {
	var types []string
	rates := map[string]int{layerTypes[CSA]: 4, layerTypes[HCA]: 128}
	known := d.take("compress_rates", &rates)
	if !d.take("layer_types", &types) {
		if known && d.raw["compress_ratios"] == nil {
			d.fail("compress_rates without layer_types or compress_ratios")
		}
		return
	}
	rates[layerTypes[Window]] = 0
	ratios := make([]int, len(types))
	for i, t := range types {
		r, ok := rates[t]
		if !ok {
			d.fail("layer_types[%d] is %q, want %q, %q or %q", i, t, layerTypes[Window], layerTypes[CSA], layerTypes[HCA])
			return
		}
		if (t == layerTypes[CSA]) != (r == 4) {
			d.fail("compress_rates gives %q the ratio %d, want 4 for it and for nothing else", t, r)
			return
		}
		ratios[i] = r
	}
	var given []int
	if json.Unmarshal(d.raw["compress_ratios"], &given) == nil && len(given) >= len(ratios) {
		ratios = append(ratios, given[len(ratios):]...) // the MTP blocks, which layer_types leaves out
	} else {
		ratios = append(ratios, make([]int, min(64, max(0, d.integer("num_nextn_predict_layers"))))...)
	}
	d.put("compress_ratios", ratios, "layer_types")
}

// hashLayers turns mlp_layer_types into num_hash_layers.
func (d *dialect) hashLayers() {
	var types []string
	if !d.take("mlp_layer_types", &types) {
		return
	}
	n := 0
	for i, t := range types {
		switch {
		case !slices.Contains(mlpTypes, t):
			d.fail("mlp_layer_types[%d] is %q, want %s", i, t, quoted(mlpTypes))
		case t == mlpTypes[0] && n < i:
			d.fail("mlp_layer_types[%d] is %q after a %q, want all hash layers first", i, t, mlpTypes[1])
		case t == mlpTypes[0]:
			n++
		}
	}
	d.put("num_hash_layers", n, "mlp_layer_types")
}

// rotaryDim turns partial_rotary_factor into qk_rope_head_dim.
func (d *dialect) rotaryDim() {
	var f float64
	if d.take("partial_rotary_factor", &f) {
		d.put("qk_rope_head_dim", int(math.Round(f*float64(d.integer("head_dim")))), "partial_rotary_factor")
	}
}

// ropeParameters turns rope_parameters, flat or one per kind of layer, into the
// published keys.
func (d *dialect) ropeParameters() {
	var all map[string]json.RawMessage
	if !d.take("rope_parameters", &all) {
		return
	}
	if d.raw["rope_scaling"] != nil {
		d.fail("config has both %q and %q, want one of them", "rope_scaling", "rope_parameters")
		return
	}
	scaled := all
	if d.family == V4 {
		var main map[string]json.RawMessage
		scaled = nil
		if json.Unmarshal(all["main"], &main) != nil || json.Unmarshal(all["compress"], &scaled) != nil {
			d.fail("rope_parameters has no objects %q and %q", "main", "compress")
			return
		}
		d.putRaw("rope_theta", main["rope_theta"])
		d.putRaw("compress_rope_theta", scaled["rope_theta"])
	} else {
		d.putRaw("rope_theta", scaled["rope_theta"])
	}
	if f := scaled["partial_rotary_factor"]; f != nil && d.family != V4 && string(f) != "1" && string(f) != "1.0" {
		d.fail("rope_parameters.partial_rotary_factor is %s, want 1 for %s: all dimensions rotate", clip(f), d.family)
	}
	var kind string
	if json.Unmarshal(scaled["rope_type"], &kind) == nil && kind == "default" {
		return
	}
	if f := scaled["attention_factor"]; f != nil && string(f) != "1" && string(f) != "1.0" {
		d.fail("rope_parameters.attention_factor is %s, want 1", clip(f))
	}
	for _, key := range []string{"rope_theta", "partial_rotary_factor", "attention_factor"} {
		delete(scaled, key)
	}
	if scaled["type"] != nil {
		delete(scaled, "rope_type")
	}
	d.put("rope_scaling", scaled, "rope_parameters")
}

func (d *dialect) putRaw(key string, text json.RawMessage) {
	if text != nil {
		d.put(key, text, "rope_parameters")
	}
}

// transformersKeys returns what transformers needs to see beside compress_ratios
// when these hold ratios that it does not know: kinds and one ratio per kind.
func (c *Config) transformersKeys() map[string]string {
	if c.Family != V4 {
		return nil
	}
	types, hca, foreign := make([]string, c.NumLayers), 128, false
	for l := range c.NumLayers {
		types[l] = layerTypes[c.Kind(l)]
		if c.Kind(l) != HCA {
			continue
		}
		if r := c.Ratio(l); r != hca {
			if foreign {
				return nil // two ratios of one kind: it cannot say that
			}
			hca, foreign = r, true
		}
	}
	if !foreign || slices.Contains(c.CompressRatios[:c.NumLayers], 128) {
		return nil
	}
	list, _ := json.Marshal(types)
	return map[string]string{
		"layer_types":    string(list),
		"compress_rates": fmt.Sprintf("{%q: 4, %q: %d}", layerTypes[CSA], layerTypes[HCA], hca),
	}
}
