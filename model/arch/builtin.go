package arch

import (
	"fmt"
	"slices"
	"strings"
)

// builtins are the architectures known by name.
var builtins = map[string]func() *Config{
	"deepseek-v4-pro":   pro,
	"deepseek-v4-flash": flash,
	"deepseek-v3":       v3,
	"deepseek-v2":       v2,
	"deepseek-v2-lite":  v2Lite,
	"kimi-k2":           kimiK2,
	"tiny-v4":           func() *Config { return TinyV4(512) },
	"bench-v4":          bench,

	"llama2-7b":     func() *Config { return llama2(32, 4096, 32, 32, 11008) },
	"llama2-13b":    func() *Config { return llama2(40, 5120, 40, 40, 13824) },
	"llama2-70b":    func() *Config { return llama2(80, 8192, 64, 8, 28672) },
	"llama3-8b":     func() *Config { return llama3(32, 4096, 32, 14336) },
	"llama3-70b":    func() *Config { return llama3(80, 8192, 64, 28672) },
	"llama3-405b":   func() *Config { return llama3(126, 16384, 128, 53248) },
	"mistral-7b":    mistral7b,
	"mixtral-8x7b":  func() *Config { return mixtral(32, 4096, 32, 14336, 32000, 32768) },
	"mixtral-8x22b": func() *Config { return mixtral(56, 6144, 48, 16384, 32768, 65536) },
	"gpt-oss-20b":   func() *Config { return gptOSS(24, 32) },
	"gpt-oss-120b":  func() *Config { return gptOSS(36, 128) },

	"qwen2.5-7b":      func() *Config { return qwen2(28, 3584, 28, 4, 18944, 152064) },
	"qwen2.5-72b":     func() *Config { return qwen2(80, 8192, 64, 8, 29568, 152064) },
	"qwen3-8b":        func() *Config { return qwen3(36, 4096, 32, 8, 12288) },
	"qwen3-14b":       func() *Config { return qwen3(40, 5120, 40, 8, 17408) },
	"qwen3-32b":       func() *Config { return qwen3(64, 5120, 64, 8, 25600) },
	"qwen3-30b-a3b":   func() *Config { return qwen3moe(48, 2048, 32, 6144, 768) },
	"qwen3-235b-a22b": func() *Config { return qwen3moe(94, 4096, 64, 12288, 1536) },

	"gpt-1.7b":   func() *Config { return gpt(24, 2304, 24) },
	"gpt-3.6b":   func() *Config { return gpt(30, 3072, 32) },
	"gpt-7.5b":   func() *Config { return gpt(36, 4096, 32) },
	"gpt-18.4b":  func() *Config { return gpt(40, 6144, 48) },
	"gpt-22b":    func() *Config { return gpt(48, 6144, 64) },
	"gpt-39.1b":  func() *Config { return gpt(48, 8192, 64) },
	"gpt-76.1b":  func() *Config { return gpt(60, 10240, 80) },
	"gpt-145.6b": func() *Config { return gpt(80, 12288, 96) },
	"gpt-310b":   func() *Config { return gpt(96, 16384, 128) },
	"gpt-530b":   func() *Config { return gpt(105, 20480, 128) },
	"gpt-1t":     func() *Config { return gpt(128, 25600, 160) },
	"gpt3-175b":  func() *Config { return gpt(96, 12288, 96) },
}

// renamed are models with the shapes of another, under the name people look for.
var renamed = map[string]string{
	"llama3.1-8b": "llama3-8b", "llama3.1-70b": "llama3-70b", "llama3.1-405b": "llama3-405b",
	"gpt-175b": "gpt3-175b",
}

// Builtins returns the names that [Builtin] knows, sorted, without the second names
// of one architecture.
func Builtins() []string {
	names := make([]string, 0, len(builtins))
	for name := range builtins {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Builtin returns a fresh copy of the architecture with the given name. Llama 3.1
// and 3 are one architecture, under either name.
func Builtin(name string) (*Config, error) {
	key := name
	if same, ok := renamed[name]; ok {
		key = same
	}
	f, ok := builtins[key]
	if !ok {
		hint := ""
		if near := Nearest(name, Builtins()); near != "" {
			hint = fmt.Sprintf(": did you mean %q?", near)
		}
		return nil, fmt.Errorf("arch: no built-in model %q, want one of %s%s", name, strings.Join(Builtins(), ", "), hint)
	}
	return f(), nil
}

// v4Base holds what every V4 model of any size has in common.
func v4Base() *Config {
	return &Config{
		Family: V4, NumKVHeads: 1, NumMTP: 1, SharedExperts: 1,
		ScoringFunc: "sqrtsoftplus", TopKMethod: "noaux_tc", NormTopK: true,
		SwiGLULimit: 10, HCMult: 4, HCSinkhornIters: 20, HCEps: 1e-6,
		RopeTheta: 10000, CompressRopeTheta: 160000, RMSNormEps: 1e-6,
		HiddenAct: "silu", InitializerRange: 0.02, BOS: 0, EOS: 1,
		TorchDType: "bfloat16",
	}
}

// published adds what the two published V4 models share.
func published(c *Config) *Config {
	c.VocabSize, c.HeadDim, c.RopeDim = 129280, 512, 64
	c.OLoraRank, c.SlidingWindow = 1024, 128
	c.IndexHeads, c.IndexHeadDim = 64, 128
	c.TopK, c.HashLayers, c.MaxPositions = 6, 3, 1<<20
	c.RopeScaling = &RopeScaling{Type: "yarn", Factor: 16, OriginalMaxPositions: 65536, BetaFast: 32, BetaSlow: 1}
	c.ExpertDType = "fp4"
	c.Quantization = &Quantization{Method: "fp8", Format: "e4m3", ScaleFormat: "ue8m0", ActivationScheme: "dynamic", BlockSize: []int{128, 128}}
	c.Extra = map[string]string{"transformers_version": `"4.57.1"`, "use_cache": "true"}
	return c
}

func pro() *Config {
	c := published(v4Base())
	c.HiddenSize, c.NumLayers, c.NumHeads = 7168, 61, 128
	c.QLoraRank, c.OGroups, c.IndexTopK = 1536, 16, 1024
	c.Experts, c.MoEIntermediate, c.RoutedScale = 384, 3072, 2.5
	c.CompressRatios = alternate(128, 128, 29)
	return c
}

func flash() *Config {
	c := published(v4Base())
	c.HiddenSize, c.NumLayers, c.NumHeads = 4096, 43, 64
	c.QLoraRank, c.OGroups, c.IndexTopK = 1024, 8, 512
	c.Experts, c.MoEIntermediate, c.RoutedScale = 256, 2048, 1.5
	c.CompressRatios = alternate(0, 0, 20)
	return c
}

// alternate returns two leading ratios, n pairs of 4 and 128, a last 4, and the
// window-only MTP block.
func alternate(first, second, n int) []int {
	r := []int{first, second}
	for range n {
		r = append(r, 4, 128)
	}
	return append(r, 4, 0)
}

func v3() *Config {
	return &Config{
		Family: V3, VocabSize: 129280, HiddenSize: 7168, NumLayers: 61, NumMTP: 1,
		NumHeads: 128, NumKVHeads: 128, RopeDim: 64, NopeDim: 128, ValueDim: 128,
		QLoraRank: 1536, KVLoraRank: 512, IntermediateSize: 18432, DenseLayers: 3,
		Experts: 256, SharedExperts: 1, TopK: 8, ExpertGroups: 8, TopKGroups: 4, MoEIntermediate: 2048,
		ScoringFunc: "sigmoid", TopKMethod: "noaux_tc", NormTopK: true, RoutedScale: 2.5,
		RopeTheta: 10000, MaxPositions: 163840, RMSNormEps: 1e-6,
		RopeScaling: &RopeScaling{Type: "yarn", Factor: 40, OriginalMaxPositions: 4096, BetaFast: 32, BetaSlow: 1, MScale: 1, MScaleAllDim: 1},
		HiddenAct:   "silu", InitializerRange: 0.02, BOS: 0, EOS: 1, TorchDType: "bfloat16",
		Quantization: &Quantization{Method: "fp8", Format: "e4m3", ActivationScheme: "dynamic", BlockSize: []int{128, 128}},
	}
}

// TinyV4 returns a V4 of under three million parameters (at a vocabulary of 512)
// that has everything the large ones have: a hash-routed layer, window, CSA and
// HCA layers, and an MTP block. It learns in minutes on two cores.
func TinyV4(vocab int) *Config {
	c := v4Base()
	c.VocabSize, c.HiddenSize, c.NumLayers = vocab, 128, 4
	c.NumHeads, c.HeadDim, c.RopeDim, c.QLoraRank = 4, 32, 16, 64
	c.OGroups, c.OLoraRank, c.SlidingWindow = 2, 64, 32
	c.CompressRatios = []int{0, 4, 16, 4, 0}
	c.IndexHeads, c.IndexHeadDim, c.IndexTopK = 4, 32, 8
	c.Experts, c.TopK, c.MoEIntermediate = 8, 2, 128
	c.HashLayers, c.RoutedScale, c.MaxPositions = 1, 1.5, 4096
	return c
}

// bench is the model of the step benchmark: all kinds of layers, sized for one CPU.
func bench() *Config {
	c := v4Base()
	c.VocabSize, c.HiddenSize, c.NumLayers = 8192, 512, 8
	c.NumHeads, c.HeadDim, c.RopeDim, c.QLoraRank = 8, 64, 32, 256
	c.OGroups, c.OLoraRank, c.SlidingWindow = 2, 256, 128
	c.CompressRatios = []int{0, 4, 32, 4, 32, 4, 32, 4, 0}
	c.IndexHeads, c.IndexHeadDim, c.IndexTopK = 8, 64, 64
	c.Experts, c.TopK, c.MoEIntermediate = 16, 4, 512
	c.HashLayers, c.RoutedScale, c.MaxPositions = 1, 1.5, 8192
	return c
}
