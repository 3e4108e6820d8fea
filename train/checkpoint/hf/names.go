package hf

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/temper-ml/temper/model/arch"
)

// Style is a way of naming tensors.
type Style string

// The styles. For V3 they differ in the experts alone, which transformers fuses.
const (
	DeepSeek     Style = "deepseek"     // the published files
	Transformers Style = "transformers" // state dictionaries of the transformers library
)

// ParseStyle returns the style with the given name.
func ParseStyle(name string) (Style, error) {
	switch s := Style(name); s {
	case DeepSeek, Transformers:
		return s, nil
	}
	return "", fmt.Errorf("hf: no naming style %q, want %q or %q", name, DeepSeek, Transformers)
}

// trunkNames are the transformers names of tensors outside the blocks.
var trunkNames = map[arch.Role]string{
	arch.Embed: "model.embed_tokens.weight", arch.Head: "lm_head.weight", arch.Norm: "model.norm.weight",
	arch.HeadFn: "model.hc_head.hc_fn", arch.HeadBase: "model.hc_head.hc_base", arch.HeadScale: "model.hc_head.hc_scale",
}

// blockNames are the transformers names of tensors inside a block.
var blockNames = map[arch.Role]string{
	arch.AttnNorm: "input_layernorm.weight", arch.FFNNorm: "post_attention_layernorm.weight",
	arch.AttnFn: "attn_hc.fn", arch.AttnBase: "attn_hc.base", arch.AttnScale: "attn_hc.scale",
	arch.FFNFn: "ffn_hc.fn", arch.FFNBase: "ffn_hc.base", arch.FFNScale: "ffn_hc.scale",

	arch.WQA: "self_attn.q_a_proj.weight", arch.QNorm: "self_attn.q_a_norm.weight", arch.WQB: "self_attn.q_b_proj.weight",
	arch.WKV: "self_attn.kv_proj.weight", arch.KVNorm: "self_attn.kv_norm.weight", arch.Sink: "self_attn.sinks",
	arch.WOA: "self_attn.o_a_proj.weight", arch.WOB: "self_attn.o_b_proj.weight",

	arch.CompAPE: "self_attn.compressor.position_bias", arch.CompKV: "self_attn.compressor.kv_proj.weight",
	arch.CompGate: "self_attn.compressor.gate_proj.weight", arch.CompNorm: "self_attn.compressor.kv_norm.weight",
	arch.IndexQB:      "self_attn.compressor.indexer.q_b_proj.weight",
	arch.IndexWeights: "self_attn.compressor.indexer.scorer.weights_proj.weight",
	arch.IndexCompAPE: "self_attn.compressor.indexer.position_bias", arch.IndexCompKV: "self_attn.compressor.indexer.kv_proj.weight",
	arch.IndexCompGate: "self_attn.compressor.indexer.gate_proj.weight", arch.IndexCompNorm: "self_attn.compressor.indexer.kv_norm.weight",

	arch.Gate: "mlp.gate.weight", arch.GateBias: "mlp.gate.e_score_correction_bias", arch.GateHash: "mlp.gate.tid2eid",
	arch.ExpertW1: "mlp.experts.gate_up_proj", arch.ExpertW3: "mlp.experts.gate_up_proj", arch.ExpertW2: "mlp.experts.down_proj",
	arch.SharedW1: "mlp.shared_experts.gate_proj.weight", arch.SharedW2: "mlp.shared_experts.down_proj.weight", arch.SharedW3: "mlp.shared_experts.up_proj.weight",
}

// group is one tensor of a file: one parameter, or several stacked by rows.
type group struct {
	name  string
	shape []int
	parts []*arch.Tensor
}

// groups lists the tensors of a file set in the style, in canonical order. Families
// that temper does not train have one style, that of their published files.
func groups(c *arch.Config, style Style) []group {
	tensors := c.Tensors()
	var out []group
	at := make(map[string]int)
	for i := range tensors {
		t := &tensors[i]
		name, fused := t.Name, false
		if style == Transformers && !c.IsMTP(t.Layer) && c.Family.Trainable() {
			fused = t.Expert >= 0
			if fused || c.Family == arch.V4 {
				name = transformersName(t)
			}
		}
		if !fused {
			out = append(out, group{name, t.Shape, []*arch.Tensor{t}})
			continue
		}
		j, ok := at[name]
		if !ok {
			j = len(out)
			at[name] = j
			out = append(out, group{name: name, shape: []int{c.Experts, 0, t.Shape[1]}})
		}
		g := &out[j]
		if t.Expert == 0 {
			g.shape[1] += t.Shape[0]
		}
		g.parts = append(g.parts, t)
	}
	return out
}

// transformersName returns the name of a trunk tensor, or of the fused tensor
// that it is part of. The table lists w1 before w3, as the fused rows are.
func transformersName(t *arch.Tensor) string {
	if t.Layer < 0 {
		return trunkNames[t.Role]
	}
	return fmt.Sprintf("model.layers.%d.%s", t.Layer, blockNames[t.Role])
}

// variants returns the spellings under which a tensor may appear in a file. Of
// the published V4 names there is a second set, which save_pretrained of
// transformers 5 writes: with "model." in front, kv_norm called norm, embedding
// and mHC head under transformers' names. Of transformers' names, those without
// "model." (the bare model), and the indexer as earlier releases had it.
func variants(c *arch.Config, g *group) []string {
	out := []string{g.name}
	if older := strings.Replace(g.name, ".indexer.scorer.", ".indexer.", 1); older != g.name {
		out = append(out, older)
	}
	for _, v := range out {
		for _, prefix := range []string{"model.", "transformer."} {
			if bare, ok := strings.CutPrefix(v, prefix); ok {
				out = append(out, bare)
			}
		}
	}
	if t := g.parts[0]; c.Family == arch.V4 && g.name == t.Name && !c.IsMTP(t.Layer) {
		out = append(out, "model."+strings.Replace(t.Name, ".attn.kv_norm.", ".attn.norm.", 1))
		if t.Layer < 0 && t.Role != arch.Head {
			out = append(out, trunkNames[t.Role])
		}
	}
	return out
}

// repeats are tensors that repeat others or follow from the configuration.
var repeats = []*regexp.Regexp{
	regexp.MustCompile(`^mtp\..*emb`),
	regexp.MustCompile(`^mtp\..*head\.(weight|scale)$`),
	regexp.MustCompile(`(^|\.)rotary_emb\.`),
	regexp.MustCompile(`(^|\.)inv_freq$`),
	regexp.MustCompile(`(^|\.)h\.\d+\.attn\.(masked_)?bias$`), // GPT-2: the causal mask
}

// ignorable reports whether a tensor that no parameter claims may be left alone.
func ignorable(c *arch.Config, name string) bool {
	for _, r := range repeats {
		if r.MatchString(name) {
			return true
		}
	}
	if c.TieEmbeddings && name == "lm_head.weight" {
		return true
	}
	if c.Family == arch.V3 {
		for i := range c.NumMTP {
			prefix := fmt.Sprintf("model.layers.%d.", c.NumLayers+i)
			if name == prefix+"embed_tokens.weight" || name == prefix+"shared_head.head.weight" {
				return true
			}
		}
	}
	return false
}
