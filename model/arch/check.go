package arch

import (
	"fmt"
	"slices"
)

// Check reports the first rule that the architecture breaks: sizes that must
// divide, counts that must not exceed one another, and the few values that
// temper's kernels fix. Ranges of single values are checked here too, so that a
// Config built in code is held to the same rules as one that was parsed.
func (c *Config) Check() error {
	if err := checkFamily(c.Family); err != nil {
		return err
	}
	own := make(map[any]bool)
	for i := range fields {
		if fields[i].legalIn(c.Family) {
			own[fields[i].ptr(c)] = true
		}
	}
	for i := range fields {
		f := &fields[i]
		legal := f.legalIn(c.Family)
		if !legal && own[f.ptr(c)] {
			continue // the family has it under another key
		}
		if err := f.check(c, legal); err != nil {
			return err
		}
	}
	for _, r := range c.rules() {
		if r.broken {
			return fmt.Errorf("arch: %s", r.text)
		}
	}
	if err := c.checkRatios(); err != nil {
		return err
	}
	if err := c.checkQuantization(); err != nil {
		return err
	}
	return c.checkSize()
}

// Limits within which all counts stay exact and every table fits a small computer.
const (
	maxParameters = 1e15
	maxExperts    = 1 << 18 // in all layers together
)

// checkSize refuses models whose counts would overflow.
func (c *Config) checkSize() error {
	if all := c.Experts * c.Blocks(); all > maxExperts {
		return fmt.Errorf("arch: %s is %d in %d blocks, %d experts in all, want at most %d: the nearest legal value is %d",
			c.keyOf(&c.Experts), c.Experts, c.Blocks(), all, maxExperts, maxExperts/c.Blocks())
	}
	total := 0.0
	c.distinct(func(t *Tensor, times int) {
		n := float64(times)
		for _, d := range t.Shape {
			n *= float64(d)
		}
		total += n
	})
	if total > maxParameters {
		return fmt.Errorf("arch: the model has %.3g parameters, want at most %g", total, float64(maxParameters))
	}
	return nil
}

// rules lists the relations that the family's fields must satisfy.
func (c *Config) rules() []rule {
	rules := c.commonRules()
	switch c.layout() {
	case layoutV4:
		return slices.Concat(rules, c.deepseekRules(), c.v4Rules())
	case layoutMLA:
		if c.Family == V2 {
			return slices.Concat(rules, c.latentRules(), c.v2Rules())
		}
		return slices.Concat(rules, c.deepseekRules(), c.latentRules(), c.v3Rules())
	}
	return append(rules, c.groupedRules()...)
}

// check holds one value to its range; fields of other families must be zero.
func (f *field) check(c *Config, legal bool) error {
	switch p := f.ptr(c).(type) {
	case *int:
		return f.checkNumber(c, legal, float64(*p))
	case *float64:
		return f.checkNumber(c, legal, *p)
	case *string:
		if !legal && *p != "" {
			return fmt.Errorf("arch: %s is %q, want it empty for %s", f.key, *p, c.Family)
		}
		if *p != "" {
			return f.checkWord(*p)
		}
	case *bool:
		if !legal && *p {
			return fmt.Errorf("arch: %s is true, want false for %s: the key does not belong to it", f.key, c.Family)
		}
	case *[]string:
		if !legal && len(*p) > 0 {
			return fmt.Errorf("arch: %s has %d entries, want none for %s", f.key, len(*p), c.Family)
		}
	case **RopeScaling:
		if !legal && *p != nil {
			return fmt.Errorf("arch: %s is present, want none for %s", f.key, c.Family)
		}
		if *p != nil {
			kind := field{key: f.key + ".type", oneOf: f.oneOf}
			return kind.checkWord((*p).Type)
		}
	case **Quantization:
		if !legal && *p != nil {
			return fmt.Errorf("arch: %s is present, want none for %s: temper does not know how its files are quantised", f.key, c.Family)
		}
	}
	return nil
}

func (f *field) checkNumber(c *Config, legal bool, x float64) error {
	if !legal {
		if x != 0 {
			return fmt.Errorf("arch: %s is %g, want 0 for %s: the key does not belong to it", f.key, x, c.Family)
		}
		return nil
	}
	if near := f.nearest(x); near != x {
		return fmt.Errorf("arch: %s is %g, want %s: the nearest legal value is %g", f.key, x, f.bounds(), near)
	}
	return nil
}

// rule is one relation between fields and the sentence for when it is broken.
type rule struct {
	broken bool
	text   string
}

func need(holds bool, format string, args ...any) rule {
	if holds {
		return rule{}
	}
	return rule{true, fmt.Sprintf(format, args...)}
}

// keyOf returns the name that the family's config.json has for a field.
func (c *Config) keyOf(ptr any) string {
	for i := range fields {
		if fields[i].legalIn(c.Family) && fields[i].ptr(c) == ptr {
			return fields[i].key
		}
	}
	return "a field of another family"
}

// nearestMultiple returns the multiple of m nearest to n, at least m.
func nearestMultiple(n, m int) int { return max(m, (n+m/2)/m*m) }

func (c *Config) commonRules() []rule {
	return []rule{
		need(c.RopeDim%2 == 0, "qk_rope_head_dim is %d, want an even number (dimensions rotate in pairs): nearest legal value %d", c.RopeDim, c.RopeDim+1),
		need(c.TopK <= c.Experts, "num_experts_per_tok is %d, want at most %s = %d", c.TopK, c.keyOf(&c.Experts), c.Experts),
		need(c.HashLayers <= c.NumLayers, "num_hash_layers is %d, want at most num_hidden_layers = %d", c.HashLayers, c.NumLayers),
		need(c.BOS < c.VocabSize, "bos_token_id is %d, want less than vocab_size = %d", c.BOS, c.VocabSize),
		need(c.EOS < c.VocabSize, "eos_token_id is %d, want less than vocab_size = %d", c.EOS, c.VocabSize),
	}
}

// deepseekRules are what temper's own kernels for V4 and V3 fix.
func (c *Config) deepseekRules() []rule {
	return []rule{
		need(c.NormTopK, "norm_topk_prob is false, want true: temper always normalises the weights of the chosen experts"),
		need(!c.AttentionBias, "attention_bias is true, want false: the family has no such parameters"),
		need(!c.TieEmbeddings, "tie_word_embeddings is true, want false: embedding and head are separate parameters"),
		need(c.AttentionDropout == 0, "attention_dropout is %g, want 0: the family is trained without dropout", c.AttentionDropout),
	}
}

func (c *Config) v4Rules() []rule {
	idx := c.IndexHeadDim
	return []rule{
		need(c.NumKVHeads == 1, "num_key_value_heads is %d, want 1: all heads share one key = value", c.NumKVHeads),
		need(c.HeadDim%2 == 0, "head_dim is %d, want an even number: nearest legal value %d", c.HeadDim, c.HeadDim+1),
		need(c.RopeDim <= c.HeadDim, "qk_rope_head_dim is %d, want at most head_dim = %d", c.RopeDim, c.HeadDim),
		need(c.NumHeads%c.OGroups == 0, "num_attention_heads is %d, want a multiple of o_groups = %d: nearest legal value %d", c.NumHeads, c.OGroups, nearestMultiple(c.NumHeads, c.OGroups)),
		need(c.RopeDim <= idx, "qk_rope_head_dim is %d, want at most index_head_dim = %d", c.RopeDim, idx),
		need(idx&(idx-1) == 0, "index_head_dim is %d, want a power of two (a Hadamard rotation runs over it): nearest legal value %d", idx, nearestPower(idx)),
		need(c.ScoringFunc == "sqrtsoftplus", "scoring_func is %q, want %q for %s", c.ScoringFunc, "sqrtsoftplus", c.Family),
		need(c.HCMult == 4, "hc_mult is %d, want 4: the mHC kernels hold exactly four residual streams", c.HCMult),
		need(c.SharedExperts > 0, "n_shared_experts is %d, want at least 1 for %s", c.SharedExperts, c.Family),
	}
}

// latentRules hold for V3 and V2.
func (c *Config) latentRules() []rule {
	perGroup := c.Experts / max(1, c.ExpertGroups)
	return []rule{
		need(c.NumKVHeads == c.NumHeads, "num_key_value_heads is %d, want num_attention_heads = %d: latent attention expands keys for every head", c.NumKVHeads, c.NumHeads),
		need(c.DenseLayers <= c.NumLayers, "first_k_dense_replace is %d, want at most num_hidden_layers = %d", c.DenseLayers, c.NumLayers),
		need(c.Experts%max(1, c.ExpertGroups) == 0, "n_routed_experts is %d, want a multiple of n_group = %d: nearest legal value %d", c.Experts, c.ExpertGroups, nearestMultiple(c.Experts, max(1, c.ExpertGroups))),
		need(c.TopKGroups <= c.ExpertGroups, "topk_group is %d, want at most n_group = %d", c.TopKGroups, c.ExpertGroups),
		need(c.TopK <= c.TopKGroups*perGroup, "num_experts_per_tok is %d, want at most the %d experts of the %d groups that stay", c.TopK, c.TopKGroups*perGroup, c.TopKGroups),
	}
}

func (c *Config) v3Rules() []rule {
	perGroup := c.Experts / max(1, c.ExpertGroups)
	return []rule{
		need(c.ExpertGroups == 1 || perGroup >= 2, "n_routed_experts / n_group is %d, want at least 2: a group is scored by its two best experts", perGroup),
		need(c.ScoringFunc == "sigmoid", "scoring_func is %q, want %q for %s", c.ScoringFunc, "sigmoid", c.Family),
	}
}

func (c *Config) v2Rules() []rule {
	grouped := c.TopKMethod == "group_limited_greedy"
	return []rule{
		need(!c.AttentionBias, "attention_bias is true, want false: the family has no such parameters"),
		need(grouped || c.TopKGroups == c.ExpertGroups, "topk_group is %d, want n_group = %d when topk_method is %q, which looks at all groups", c.TopKGroups, c.ExpertGroups, c.TopKMethod),
	}
}

// groupedRules hold for the families with grouped queries, GPT included.
func (c *Config) groupedRules() []rule {
	sliding := slices.Contains(c.LayerTypes, slidingLayer)
	rules := []rule{
		need(c.NumHeads%max(1, c.NumKVHeads) == 0, "num_attention_heads is %d, want a multiple of num_key_value_heads = %d: nearest legal value %d", c.NumHeads, c.NumKVHeads, nearestMultiple(c.NumHeads, max(1, c.NumKVHeads))),
		need(len(c.LayerTypes) == 0 || len(c.LayerTypes) == c.NumLayers, "layer_types has %d entries, want num_hidden_layers = %d", len(c.LayerTypes), c.NumLayers),
		need(len(c.LayerTypes) == 0 || sliding && slices.Contains(c.LayerTypes, fullLayer), "layer_types has one kind of layer only, want both %q and %q: nil says that all layers are alike", slidingLayer, fullLayer),
		need(!sliding || c.SlidingWindow > 0, "sliding_window is 0, want at least 1: layer_types has layers of %s", slidingLayer),
	}
	if c.layout() == layoutGPT {
		return append(rules,
			need(c.NumHeads*c.HeadDim == c.HiddenSize, "n_embd is %d, want a multiple of n_head = %d: nearest legal value %d", c.HiddenSize, c.NumHeads, nearestMultiple(c.HiddenSize, max(1, c.NumHeads))),
			need(c.NumKVHeads == c.NumHeads, "num_key_value_heads is %d, want n_head = %d: the family does not share keys", c.NumKVHeads, c.NumHeads))
	}
	if s := c.RopeScaling; s != nil && s.Type == "llama3" {
		rules = append(rules, need(s.LowFreqFactor < s.HighFreqFactor, "rope_scaling.low_freq_factor is %g, want less than high_freq_factor = %g", s.LowFreqFactor, s.HighFreqFactor))
	}
	return append(rules, need(c.HeadDim%2 == 0, "head_dim is %d, want an even number (dimensions rotate in pairs): nearest legal value %d", c.HeadDim, c.HeadDim+1))
}

// nearestPower returns the power of two nearest to n, at least 2.
func nearestPower(n int) int {
	p := 2
	for p*2-n <= n-p {
		p *= 2
	}
	return p
}

// checkRatios holds compress_ratios to one legal entry per block.
func (c *Config) checkRatios() error {
	if c.Family != V4 {
		if len(c.CompressRatios) != 0 {
			return fmt.Errorf("arch: compress_ratios has %d entries, want none for %s", len(c.CompressRatios), c.Family)
		}
		return nil
	}
	if len(c.CompressRatios) != c.Blocks() {
		return fmt.Errorf("arch: compress_ratios has %d entries, want num_hidden_layers + num_nextn_predict_layers = %d + %d = %d",
			len(c.CompressRatios), c.NumLayers, c.NumMTP, c.Blocks())
	}
	for i, r := range c.CompressRatios {
		if r == 1 || r < 0 {
			return fmt.Errorf("arch: compress_ratios[%d] is %d, want 0 (window only), 4 (indexer) or any other ratio of at least 2: nearest legal value %d", i, r, max(0, 2*r))
		}
	}
	return nil
}

// checkQuantization holds the stored format to what the readers understand.
func (c *Config) checkQuantization() error {
	q := c.Quantization
	if q == nil {
		return nil
	}
	if len(q.BlockSize) != 2 || q.BlockSize[0] < 1 || q.BlockSize[1] < 1 {
		return fmt.Errorf("arch: quantization_config.weight_block_size is %v, want two positive sizes such as [128, 128]", q.BlockSize)
	}
	if c.ExpertDType == "fp4" && (c.HiddenSize%32 != 0 || c.MoEIntermediate%32 != 0) {
		return fmt.Errorf("arch: hidden_size %d and moe_intermediate_size %d, want multiples of 32 when expert_dtype is fp4: one scale covers 32 columns", c.HiddenSize, c.MoEIntermediate)
	}
	return nil
}
