package arch

import (
	"fmt"
	"strings"
)

// Family names a line of architectures, spelled as model_type in config.json.
type Family string

// The families that temper can describe and count. It trains [V4] and [V3].
const (
	V4       Family = "deepseek_v4"
	V3       Family = "deepseek_v3" // Kimi K2 (model_type kimi_k2) has the same architecture and reads as V3
	V2       Family = "deepseek_v2"
	Llama    Family = "llama"
	Mistral  Family = "mistral"
	Qwen2    Family = "qwen2"
	Qwen3    Family = "qwen3"
	Qwen3MoE Family = "qwen3_moe"
	Mixtral  Family = "mixtral"
	GPTOSS   Family = "gpt_oss"
	GPT2     Family = "gpt2" // learned positions, LayerNorm and biases: GPT-2, GPT-3 and Megatron's GPT
)

// layout is how a family's blocks are put together: which tensors a block has and
// which products it needs.
type layout int

const (
	layoutV4  layout = iota // residual streams, one shared key = value, compressed keys
	layoutMLA               // latent attention, dense layers before layers of experts
	layoutGQA               // grouped queries, rotary positions, RMSNorm; dense or experts
	layoutGPT               // learned positions, LayerNorm, one product for query, key and value, biases
)

// traits is what a family has without a key in config.json that says so.
type traits struct {
	class   string // under which other programs load it
	layout  layout
	trained bool // temper has kernels for it
	ungated bool // feed-forward of two matrices instead of SwiGLU's three
	qkNorm  bool // RMSNorm over each head's query and key
	qkvBias bool // biases on query, key and value, whatever attention_bias says
	sinks   bool // one learned logit a head that takes part in the softmax and carries no value
	scoring string
}

// families is the table, in the order in which messages list them.
var (
	families = map[Family]traits{
		V4:       {class: "DeepseekV4ForCausalLM", layout: layoutV4, trained: true, sinks: true},
		V3:       {class: "DeepseekV3ForCausalLM", layout: layoutMLA, trained: true},
		V2:       {class: "DeepseekV2ForCausalLM", layout: layoutMLA},
		Llama:    {class: "LlamaForCausalLM", layout: layoutGQA},
		Mistral:  {class: "MistralForCausalLM", layout: layoutGQA},
		Qwen2:    {class: "Qwen2ForCausalLM", layout: layoutGQA, qkvBias: true},
		Qwen3:    {class: "Qwen3ForCausalLM", layout: layoutGQA, qkNorm: true},
		Qwen3MoE: {class: "Qwen3MoeForCausalLM", layout: layoutGQA, qkNorm: true, scoring: "softmax"},
		Mixtral:  {class: "MixtralForCausalLM", layout: layoutGQA, scoring: "softmax"},
		GPTOSS:   {class: "GptOssForCausalLM", layout: layoutGQA, sinks: true, scoring: "softmax"},
		GPT2:     {class: "GPT2LMHeadModel", layout: layoutGPT, ungated: true, qkvBias: true},
	}
	familyOrder = []Family{V4, V3, V2, Llama, Mistral, Qwen2, Qwen3, Qwen3MoE, Mixtral, GPTOSS, GPT2}
)

// Families returns the families that can be described, those that temper trains
// first.
func Families() []Family { return append([]Family(nil), familyOrder...) }

// Known reports whether temper can describe the family.
func (f Family) Known() bool { _, ok := families[f]; return ok }

// Trainable reports whether temper has the kernels to train the family. The others
// are described and counted, for planning and for comparison.
func (f Family) Trainable() bool { return families[f].trained }

// CheckTrainable reports an error that names the family when temper can describe
// the model and cannot train it.
func (c *Config) CheckTrainable() error {
	if c.Family.Trainable() {
		return nil
	}
	var trained []Family
	for _, f := range familyOrder {
		if f.Trainable() {
			trained = append(trained, f)
		}
	}
	return fmt.Errorf("arch: model_type is %q, want %s: temper describes and counts %q models (model inspect, plan) and has no kernels to train or run them",
		c.Family, familyList(trained), c.Family)
}

// checkFamily reports a family that is not in the table.
func checkFamily(f Family) error {
	if f.Known() {
		return nil
	}
	hint := ""
	var names []string
	for _, g := range familyOrder {
		names = append(names, string(g))
	}
	if near := Nearest(string(f), names); near != "" {
		hint = fmt.Sprintf(": did you mean %q?", near)
	}
	return fmt.Errorf("arch: model_type %q is not one that temper describes, want %s%s", f, familyList(familyOrder), hint)
}

func familyList(all []Family) string {
	var b strings.Builder
	for i, f := range all {
		switch {
		case i > 0 && i == len(all)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", f)
	}
	return b.String()
}

func (c *Config) traits() traits { return families[c.Family] }
func (c *Config) layout() layout { return families[c.Family].layout }

// IsGated reports whether feed-forward blocks are SwiGLU: three matrices, one of
// which gates another. The alternative is two matrices with GELU between them.
func (c *Config) IsGated() bool { return !c.traits().ungated }

// HasQKNorm reports whether each head's query and key are normalised before they
// meet, by weights of the head's width.
func (c *Config) HasQKNorm() bool { return c.traits().qkNorm }

// HasQKVBias reports whether the query, key and value products add a bias.
func (c *Config) HasQKVBias() bool { return c.traits().qkvBias || c.AttentionBias }

// HasOutputBias reports whether the attention's output product adds a bias.
func (c *Config) HasOutputBias() bool { return c.layout() == layoutGPT || c.AttentionBias }

// HasSinks reports whether each head has a learned attention sink.
func (c *Config) HasSinks() bool { return c.traits().sinks }

// HasLearnedPositions reports whether positions are a table that is added to the
// input embedding, instead of a rotation of queries and keys.
func (c *Config) HasLearnedPositions() bool { return c.layout() == layoutGPT }

// Scoring names the function that turns router products into the scores of the
// experts: sqrtsoftplus, sigmoid or softmax; empty without experts.
func (c *Config) Scoring() string {
	if c.ScoringFunc != "" {
		return c.ScoringFunc
	}
	return c.traits().scoring
}
