package arch

import "fmt"

// Convention names a published way of counting the operations of training, so
// that figures of others can be compared like with like.
type Convention string

// The conventions. All but [ByLedger] are 6 operations per active matrix
// parameter and token, plus attention; they leave MTP out.
const (
	ByLedger   Convention = "ledger"     // every product of [Config.FLOPs], trunk only
	Megatron   Convention = "megatron"   // output head in, input embedding out, causal attention halved
	Verl       Convention = "verl"       // as megatron, and the input embedding as if it were multiplied
	Torchtitan Convention = "torchtitan" // as megatron, attention not halved
)

// maxSeq keeps the squares of sequence lengths within int64.
const maxSeq = 1<<31 - 1

// FLOPsPerToken returns forward plus backward operations per token of a
// sequence of seq tokens, counted by the convention.
func (c *Config) FLOPsPerToken(by Convention, seq int) (float64, error) {
	if seq < 1 || seq > maxSeq {
		return 0, fmt.Errorf("arch: operations per token at a sequence of %d tokens, want 1 to %d", seq, maxSeq)
	}
	var matrices, embed float64
	c.distinct(func(t *Tensor, _ int) {
		if t.Layer >= c.NumLayers {
			return
		}
		if t.Role == Embed {
			embed = float64(t.Len())
		}
		if t.Optim == Matrix || c.isHead(t) {
			matrices += float64(t.Len() * c.activeOf(t))
		}
	})
	switch by {
	case ByLedger:
		return c.FLOPs(Work{Lengths: []int{seq}}).PerToken(), nil
	case Megatron:
		return float64(6*matrices) + c.attention(seq, true), nil
	case Verl:
		return float64(6*(matrices+embed)) + c.attention(seq, true), nil
	case Torchtitan:
		return float64(6*matrices) + c.attention(seq, false), nil
	}
	return 0, fmt.Errorf("arch: no FLOP convention %q, want %q, %q, %q or %q", by, ByLedger, Megatron, Verl, Torchtitan)
}

// attention returns the operations per token of scores and weighted sums in the
// trunk, for both passes. Not halved, every query counts the keys of the last one.
func (c *Config) attention(seq int, causal bool) float64 {
	total := 0.0
	for l := range c.NumLayers {
		own, compressed := c.keysPerQuery(l, int64(seq), causal)
		total += float64(c.perKey() * (own + compressed))
	}
	return total
}

// perKey returns the operations of a query and a key in all heads, both passes.
func (c *Config) perKey() float64 { return float64(6 * c.NumHeads * (c.QueryDim() + c.ValueWidth())) }

// keysPerQuery returns how many keys a query of the layer attends, tokens and
// compressed ones: on average over a sequence of n tokens, or as the last one. Full
// attention is halved exactly, as the conventions have it, not over n + 1.
func (c *Config) keysPerQuery(layer int, n int64, causal bool) (own, compressed float64) {
	w := c.LayerWindow(layer)
	if w == 0 {
		if causal {
			return float64(n) / 2, 0
		}
		return float64(n), 0
	}
	own = float64(min(n, int64(w)))
	if causal {
		own = float64(windowKeys(n, w)) / float64(n)
	}
	if c.Ratio(layer) != 0 {
		compressed = c.compressedPerQuery(layer, n, causal)
	}
	return own, compressed
}

func (c *Config) compressedPerQuery(layer int, n int64, causal bool) float64 {
	ratio, topK := c.Ratio(layer), 0
	if c.Kind(layer) == CSA {
		topK = c.IndexTopK
	}
	if causal {
		return float64(compressedKeys(n, ratio, topK)) / float64(n)
	}
	last := n / int64(ratio)
	if topK > 0 {
		last = min(last, int64(topK))
	}
	return float64(last)
}
