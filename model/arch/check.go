package arch

import "fmt"

// Check reports the first rule that the architecture breaks: sizes that must
// divide, counts that must not exceed one another, and the few values that
// temper's kernels fix. Ranges of single values are checked here too, so that a
// Config built in code is held to the same rules as one that was parsed.
func (c *Config) Check() error {
	if c.Family != V4 && c.Family != V3 {
		return fmt.Errorf("arch: model_type %q is not one that temper trains, want %q or %q", c.Family, V4, V3)
	}
	for i := range fields {
		if err := fields[i].check(c); err != nil {
			return err
		}
	}
	rules := c.commonRules()
	if c.Family == V4 {
		rules = append(rules, c.v4Rules()...)
	} else {
		rules = append(rules, c.v3Rules()...)
	}
	for _, r := range rules {
		if r.broken {
			return fmt.Errorf("arch: %s", r.text)
		}
	}
	if err := c.checkRatios(); err != nil {
		return err
	}
	return c.checkQuantization()
}

// check holds one value to its range; fields of other families must be zero.
func (f *field) check(c *Config) error {
	legal := f.legalIn(c.Family)
	switch p := f.ptr(c).(type) {
	case *int:
		return f.checkNumber(c, legal, float64(*p))
	case *float64:
		return f.checkNumber(c, legal, *p)
	case *string:
		if !legal && *p != "" {
			return fmt.Errorf("arch: %s is %q, want it empty for %s", f.key, *p, c.Family)
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

// nearestMultiple returns the multiple of m nearest to n, at least m.
func nearestMultiple(n, m int) int { return max(m, (n+m/2)/m*m) }

func (c *Config) commonRules() []rule {
	return []rule{
		need(c.RopeDim%2 == 0, "qk_rope_head_dim is %d, want an even number (dimensions rotate in pairs): nearest legal value %d", c.RopeDim, c.RopeDim+1),
		need(c.TopK <= c.Experts, "num_experts_per_tok is %d, want at most n_routed_experts = %d", c.TopK, c.Experts),
		need(c.HashLayers <= c.NumLayers, "num_hash_layers is %d, want at most num_hidden_layers = %d", c.HashLayers, c.NumLayers),
		need(c.BOS < c.VocabSize, "bos_token_id is %d, want less than vocab_size = %d", c.BOS, c.VocabSize),
		need(c.EOS < c.VocabSize, "eos_token_id is %d, want less than vocab_size = %d", c.EOS, c.VocabSize),
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

func (c *Config) v3Rules() []rule {
	perGroup := c.Experts / max(1, c.ExpertGroups)
	return []rule{
		need(c.NumKVHeads == c.NumHeads, "num_key_value_heads is %d, want num_attention_heads = %d: latent attention expands keys for every head", c.NumKVHeads, c.NumHeads),
		need(c.DenseLayers <= c.NumLayers, "first_k_dense_replace is %d, want at most num_hidden_layers = %d", c.DenseLayers, c.NumLayers),
		need(c.Experts%c.ExpertGroups == 0, "n_routed_experts is %d, want a multiple of n_group = %d: nearest legal value %d", c.Experts, c.ExpertGroups, nearestMultiple(c.Experts, c.ExpertGroups)),
		need(c.TopKGroups <= c.ExpertGroups, "topk_group is %d, want at most n_group = %d", c.TopKGroups, c.ExpertGroups),
		need(c.ExpertGroups == 1 || perGroup >= 2, "n_routed_experts / n_group is %d, want at least 2: a group is scored by its two best experts", perGroup),
		need(c.TopK <= c.TopKGroups*perGroup, "num_experts_per_tok is %d, want at most the %d experts of the %d groups that stay", c.TopK, c.TopKGroups*perGroup, c.TopKGroups),
		need(c.ScoringFunc == "sigmoid", "scoring_func is %q, want %q for %s", c.ScoringFunc, "sigmoid", c.Family),
	}
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
