package arch

import (
	"fmt"
	"maps"
	"slices"
)

// Kind is how a layer attends.
type Kind int

// The kinds of attention.
const (
	Window Kind = iota // V4: the sliding window only (compress ratio 0)
	CSA                // V4: window and the top-k compressed keys that an indexer picks (ratio 4)
	HCA                // V4: window and every compressed key (any other ratio)
	MLA                // V3, V2: latent attention over every earlier token
	GQA                // all other families: heads in NumKVHeads groups, each with one key and value; see [Config.LayerWindow]
)

// String returns the short name of the kind.
func (k Kind) String() string { return [...]string{"window", "csa", "hca", "mla", "gqa"}[k] }

// Blocks returns the number of transformer blocks, MTP blocks included. Layer
// indexes run over [0, Blocks()): first the trunk, then the MTP blocks.
func (c *Config) Blocks() int { return c.NumLayers + c.NumMTP }

// IsMTP reports whether the layer index names an MTP block.
func (c *Config) IsMTP(layer int) bool { return layer >= c.NumLayers }

// Ratio returns how many tokens one compressed key of the layer stands for, 0
// when the layer does not compress.
func (c *Config) Ratio(layer int) int {
	if c.Family != V4 {
		return 0
	}
	return c.CompressRatios[layer]
}

// Kind returns how the layer attends. For V4 it follows from the ratio alone: 0
// is [Window], 4 is [CSA], everything else is [HCA].
func (c *Config) Kind(layer int) Kind {
	switch c.layout() {
	case layoutMLA:
		return MLA
	case layoutGQA, layoutGPT:
		return GQA
	}
	switch c.CompressRatios[layer] {
	case 0:
		return Window
	case 4:
		return CSA
	}
	return HCA
}

// slidingLayer and fullLayer are the legal entries of LayerTypes.
const (
	slidingLayer = "sliding_attention"
	fullLayer    = "full_attention"
)

// LayerWindow returns how many of the newest tokens a query of the layer attends
// directly, itself included; 0 = all earlier ones.
func (c *Config) LayerWindow(layer int) int {
	if layer < len(c.LayerTypes) && c.LayerTypes[layer] == fullLayer {
		return 0
	}
	return c.SlidingWindow
}

// dropUniformTypes removes layer types that say nothing: all layers are alike.
func (c *Config) dropUniformTypes() {
	switch {
	case !slices.Contains(c.LayerTypes, slidingLayer):
		if len(c.LayerTypes) > 0 {
			c.SlidingWindow = 0
		}
		c.LayerTypes = nil
	case !slices.Contains(c.LayerTypes, fullLayer):
		c.LayerTypes = nil
	}
}

// uniformTypes is the opposite, for a family whose layers alternate unless told not to.
func (c *Config) uniformTypes() []string {
	kind := fullLayer
	if c.SlidingWindow > 0 {
		kind = slidingLayer
	}
	types := make([]string, c.NumLayers)
	for l := range types {
		types[l] = kind
	}
	return types
}

// IsMoE reports whether the layer's feed-forward block is made of experts.
func (c *Config) IsMoE(layer int) bool { return c.Experts > 0 && layer >= c.DenseLayers }

// IsHash reports whether the layer routes by token id instead of by scores.
func (c *Config) IsHash(layer int) bool { return layer < c.HashLayers && !c.IsMTP(layer) }

// QueryDim returns the width of one query head.
func (c *Config) QueryDim() int {
	if c.layout() == layoutMLA {
		return c.NopeDim + c.RopeDim
	}
	return c.HeadDim
}

// ValueWidth returns the width of what one head adds up: v_head_dim for latent
// attention, head_dim for all others.
func (c *Config) ValueWidth() int {
	if c.layout() == layoutMLA {
		return c.ValueDim
	}
	return c.HeadDim
}

// SharedIntermediate returns the hidden width of the shared expert.
func (c *Config) SharedIntermediate() int { return c.SharedExperts * c.MoEIntermediate }

// WithLayers returns a copy of the model cut down to its first n layers. What
// leads the trunk stays in front (dense layers, hash-routed layers, the pattern of
// windows and compression), and the MTP blocks follow it as before.
func (c *Config) WithLayers(n int) (*Config, error) {
	if n < 1 || n > c.NumLayers {
		return nil, fmt.Errorf("arch: a cut to %d layers, want 1 to num_hidden_layers = %d: the nearest legal value is %d", n, c.NumLayers, min(max(n, 1), c.NumLayers))
	}
	cut := *c
	cut.NumLayers = n
	cut.DenseLayers, cut.HashLayers = min(c.DenseLayers, n), min(c.HashLayers, n)
	if len(c.CompressRatios) > 0 {
		cut.CompressRatios = slices.Concat(c.CompressRatios[:n], c.CompressRatios[c.NumLayers:])
	}
	cut.LayerTypes = slices.Clone(c.LayerTypes[:min(n, len(c.LayerTypes))])
	cut.dropUniformTypes()
	cut.MoreEOS, cut.Extra = slices.Clone(c.MoreEOS), maps.Clone(c.Extra)
	if c.RopeScaling != nil {
		scaling := *c.RopeScaling
		cut.RopeScaling = &scaling
	}
	if c.Quantization != nil {
		q := *c.Quantization
		q.BlockSize = slices.Clone(q.BlockSize)
		cut.Quantization = &q
	}
	return &cut, cut.Check()
}
