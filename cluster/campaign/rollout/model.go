package rollout

import (
	"math"

	"github.com/temper-ml/temper/model/arch"
)

// counts are the sizes of a model as generation sees them.
type counts struct {
	total         float64 // parameters, MTP left out
	dense         float64 // that every token uses
	expert        float64 // of one expert, over all layers
	moe           float64 // layers with experts
	layers        float64
	experts, topK float64
	hidden        float64
}

func count(c *arch.Config) counts {
	total, _, active := c.Count()
	k := counts{total: float64(total), layers: float64(c.NumLayers), experts: float64(c.Experts), topK: float64(c.TopK), hidden: float64(c.HiddenSize)}
	for l := range c.NumLayers {
		if c.IsMoE(l) {
			k.moe++
		}
	}
	k.expert = 3 * k.hidden * float64(c.MoEIntermediate) * k.moe
	k.dense = float64(active) - float64(k.topK*k.expert)
	return k
}

// distinct is how many experts of a layer at least one of b tokens goes to.
func (k *counts) distinct(b float64) float64 {
	if k.experts == 0 {
		return 0
	}
	return k.experts * (1 - math.Pow(1-k.topK/k.experts, b))
}

// needed is how many parameters a step of b tokens reads.
func (k *counts) needed(b float64) float64 {
	return k.dense + float64(k.distinct(b)*k.expert)
}

// cache is what attention keeps of a sequence, in values, and what it reads and
// computes to add one token.
type cache struct {
	kept, read float64 // values, over all layers
	flops      float64
}

// cacheAt adds the layers up for a sequence of n tokens.
func cacheAt(c *arch.Config, n float64) cache {
	var out cache
	heads := float64(c.NumHeads)
	for l := range c.NumLayers {
		switch c.Kind(l) {
		case arch.MLA:
			// The cached latent serves as key and as value of every head.
			width := float64(c.KVLoraRank + c.RopeDim)
			out.add(n*width, n*width, heads*n*2*(width+float64(c.KVLoraRank)))
		case arch.GQA:
			seen := n
			if w := c.LayerWindow(l); w > 0 {
				seen = min(n, float64(w))
			}
			width := 2 * float64(c.NumKVHeads*c.HeadDim)
			out.add(seen*width, seen*width, heads*seen*4*float64(c.HeadDim))
		default:
			out.compressed(c, l, n)
		}
	}
	return out
}

// prefillFLOPs is what attention computes for one of many tokens that are read
// together and see n tokens each. Latent attention then expands keys and values
// instead of multiplying queries into the latent space.
func prefillFLOPs(c *arch.Config, n float64) float64 {
	flops := cacheAt(c, n).flops
	for l := range c.NumLayers {
		if c.Kind(l) == arch.MLA {
			absorbed := float64(2*c.KVLoraRank + c.RopeDim)
			flops -= float64(float64(c.NumHeads) * n * 2 * (absorbed - float64(c.QueryDim()+c.ValueDim)))
		}
	}
	return flops
}

func (c *cache) add(kept, read, flops float64) {
	c.kept += kept
	c.read += read
	c.flops += flops
}

// compressed adds a layer of V4: one vector, key and value at once, for each
// token of the window and for every ratio tokens before it.
func (c *cache) compressed(a *arch.Config, layer int, n float64) {
	width, heads := float64(a.HeadDim), float64(a.NumHeads)
	window := min(n, float64(a.SlidingWindow))
	kept, seen := window, window
	var index, indexFLOPs float64
	if r := a.Ratio(layer); r > 0 {
		entries := n / float64(r)
		kept += entries
		if a.Kind(layer) == arch.CSA {
			index = entries * float64(a.IndexHeadDim)
			indexFLOPs = 2 * index * float64(a.IndexHeads)
			entries = min(entries, float64(a.IndexTopK))
		}
		seen += entries
	}
	c.add(float64(kept*width)+index, float64(seen*width)+index, float64(heads*seen*4*width)+indexFLOPs)
}
