package deepseektest

import (
	"math"
	"strings"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/arch"
)

// SmallV4 is a V4 model in which everything happens: a window layer, CSA with fewer selected entries than visible ones, HCA,
// a hash-routed layer, learned routers, clamps that bite, YaRN, four streams and an MTP block.
func SmallV4() *arch.Config {
	return &arch.Config{
		Family: arch.V4, VocabSize: 19, HiddenSize: 16, NumLayers: 4, NumMTP: 1,
		NumHeads: 4, NumKVHeads: 1, HeadDim: 12, RopeDim: 8, QLoraRank: 10, OGroups: 2, OLoraRank: 6,
		SlidingWindow: 5, CompressRatios: []int{0, 4, 8, 4, 0}, IndexHeads: 3, IndexHeadDim: 16, IndexTopK: 2,
		Experts: 6, SharedExperts: 1, TopK: 2, MoEIntermediate: 9, ScoringFunc: "sqrtsoftplus", TopKMethod: "noaux_tc",
		NormTopK: true, RoutedScale: 1.5, HashLayers: 2, SwiGLULimit: 1.2,
		HCMult: 4, HCSinkhornIters: 20, HCEps: 1e-6, RopeTheta: 100, CompressRopeTheta: 400,
		RopeScaling:  &arch.RopeScaling{Type: "yarn", Factor: 4, OriginalMaxPositions: 64, BetaFast: 8, BetaSlow: 1},
		MaxPositions: 256, RMSNormEps: 1e-6, HiddenAct: "silu", InitializerRange: 0.02, BOS: 0, EOS: 1, TorchDType: "float32",
	}
}

// SmallV3 is a V3 model with a dense layer, two expert layers with group-limited routing, YaRN with its softmax factor, and
// an MTP block.
func SmallV3() *arch.Config {
	return &arch.Config{
		Family: arch.V3, VocabSize: 19, HiddenSize: 16, NumLayers: 3, NumMTP: 1,
		NumHeads: 4, NumKVHeads: 4, RopeDim: 4, NopeDim: 6, ValueDim: 5, QLoraRank: 10, KVLoraRank: 7,
		IntermediateSize: 20, DenseLayers: 1, Experts: 8, SharedExperts: 1, TopK: 3, ExpertGroups: 4, TopKGroups: 2,
		MoEIntermediate: 9, ScoringFunc: "sigmoid", TopKMethod: "noaux_tc", NormTopK: true, RoutedScale: 2.5,
		RopeTheta:    100,
		RopeScaling:  &arch.RopeScaling{Type: "yarn", Factor: 4, OriginalMaxPositions: 64, BetaFast: 8, BetaSlow: 1, MScale: 1, MScaleAllDim: 1},
		MaxPositions: 256, RMSNormEps: 1e-6, HiddenAct: "silu", InitializerRange: 0.02, BOS: 0, EOS: 1, TorchDType: "float32",
	}
}

// SmallBatch is a row of two segments whose lengths leave incomplete blocks, with unsupervised positions, for a vocabulary of
// at least 19.
func SmallBatch() Batch {
	b := Batch{Segments: [][2]int{{0, 18}, {18, 24}}}
	for i := range 24 {
		b.Tokens = append(b.Tokens, int32((i*i*3+7*i+1)%19))
	}
	for _, seg := range b.Segments {
		for i := seg[0]; i < seg[1]; i++ {
			label, mtp := int32(-1), int32(-1)
			if i+1 < seg[1] && i%5 != 3 {
				label = b.Tokens[i+1]
			}
			if i+2 < seg[1] && i%5 != 2 {
				mtp = b.Tokens[i+2]
			}
			b.Labels, b.MTPLabels = append(b.Labels, label), append(b.MTPLabels, mtp)
		}
	}
	return b
}

// RandomParams draws parameters that exercise every term of the model: norm weights away from 1, selection biases, sinks and
// position biases away from 0, matrices at a scale that keeps activations near 1, expert tables with K distinct experts per
// token. Values are rounded to float32, so that an engine can hold exactly the same ones.
func RandomParams(c *arch.Config, seed uint64) map[string][]float64 {
	params := map[string][]float64{}
	for _, t := range c.Tensors() {
		s := detrand.Key(seed, "deepseektest:"+t.Name)
		data := make([]float64, t.Len())
		if t.Role == arch.GateHash {
			for row := range t.Rows() {
				for j, e := range detrand.Key(seed, t.Name, uint64(row)).Permutation(c.Experts)[:c.TopK] {
					data[row*c.TopK+j] = float64(e)
				}
			}
			params[t.Name] = data
			continue
		}
		mean, std := spread(t)
		for i := range data {
			data[i] = float64(float32(mean + float64(std*s.NormalAt(uint64(i)))))
		}
		params[t.Name] = data
	}
	return params
}

func spread(t arch.Tensor) (mean, std float64) {
	switch {
	case strings.HasSuffix(string(t.Role), "norm"):
		return 1, 0.2
	case t.Role == arch.GateBias:
		return 0, 0.1
	case strings.HasSuffix(string(t.Role), "_scale"):
		return 0.5, 0.1
	case len(t.Shape) == 1 || strings.HasSuffix(string(t.Role), "ape"):
		return 0, 0.5
	case t.Role == arch.Embed:
		return 0, 1
	}
	return 0, 1 / math.Sqrt(float64(t.Cols()))
}
