package arch

// grouped fills in what the families with grouped queries have in common.
func groupedBase(f Family, layers, hidden, heads, kv, headDim, ffn, vocab int) *Config {
	return &Config{
		Family: f, VocabSize: vocab, HiddenSize: hidden, NumLayers: layers,
		NumHeads: heads, NumKVHeads: kv, HeadDim: headDim, IntermediateSize: ffn,
		RopeTheta: 10000, RMSNormEps: 1e-5, HiddenAct: "silu", InitializerRange: 0.02, TorchDType: "bfloat16",
	}
}

func llama2(layers, hidden, heads, kv, ffn int) *Config {
	c := groupedBase(Llama, layers, hidden, heads, kv, 128, ffn, 32000)
	c.MaxPositions, c.BOS, c.EOS, c.TorchDType = 4096, 1, 2, "float16"
	return c
}

// llama3 is Llama 3.1, whose shapes are those of Llama 3.
func llama3(layers, hidden, heads, ffn int) *Config {
	c := groupedBase(Llama, layers, hidden, heads, 8, 128, ffn, 128256)
	c.MaxPositions, c.RopeTheta, c.BOS, c.EOS = 131072, 500000, 128000, 128001
	c.RopeScaling = &RopeScaling{Type: "llama3", Factor: 8, OriginalMaxPositions: 8192, LowFreqFactor: 1, HighFreqFactor: 4}
	return c
}

func mistral7b() *Config {
	c := groupedBase(Mistral, 32, 4096, 32, 8, 128, 14336, 32000)
	c.MaxPositions, c.SlidingWindow, c.BOS, c.EOS = 32768, 4096, 1, 2
	return c
}

func qwen2(layers, hidden, heads, kv, ffn, vocab int) *Config {
	c := groupedBase(Qwen2, layers, hidden, heads, kv, 128, ffn, vocab)
	c.MaxPositions, c.RopeTheta, c.RMSNormEps, c.BOS, c.EOS = 32768, 1e6, 1e-6, 151643, 151645
	return c
}

func qwen3(layers, hidden, heads, kv, ffn int) *Config {
	c := groupedBase(Qwen3, layers, hidden, heads, kv, 128, ffn, 151936)
	c.MaxPositions, c.RopeTheta, c.RMSNormEps, c.BOS, c.EOS = 40960, 1e6, 1e-6, 151643, 151645
	return c
}

func qwen3moe(layers, hidden, heads, ffn, expert int) *Config {
	c := qwen3(layers, hidden, heads, 4, ffn)
	c.Family, c.Experts, c.TopK, c.MoEIntermediate, c.NormTopK = Qwen3MoE, 128, 8, expert, true
	return c
}

func mixtral(layers, hidden, heads, ffn, vocab, positions int) *Config {
	c := groupedBase(Mixtral, layers, hidden, heads, 8, 128, 0, vocab)
	c.Experts, c.TopK, c.MoEIntermediate = 8, 2, ffn
	c.MaxPositions, c.RopeTheta, c.BOS, c.EOS = positions, 1e6, 1, 2
	return c
}

func gptOSS(layers, experts int) *Config {
	c := groupedBase(GPTOSS, layers, 2880, 64, 8, 64, 0, 201088)
	c.Experts, c.TopK, c.MoEIntermediate, c.SwiGLULimit = experts, 4, 2880, 7
	c.MaxPositions, c.RopeTheta, c.BOS, c.EOS, c.AttentionBias = 131072, 150000, -1, 200002, true
	c.SlidingWindow, c.LayerTypes = 128, alternating(layers)
	c.RopeScaling = &RopeScaling{Type: "yarn", Factor: 32, OriginalMaxPositions: 4096, BetaFast: 32, BetaSlow: 1, Exact: true}
	return c
}

// gpt is a GPT of Megatron's shapes: feed-forward four times as wide, the
// vocabulary padded to 51200, texts of 2048 tokens, input and output embedding one.
func gpt(layers, hidden, heads int) *Config {
	return &Config{
		Family: GPT2, VocabSize: 51200, HiddenSize: hidden, NumLayers: layers,
		NumHeads: heads, NumKVHeads: heads, HeadDim: hidden / heads, IntermediateSize: 4 * hidden,
		MaxPositions: 2048, RMSNormEps: 1e-5, HiddenAct: "gelu_new", TieEmbeddings: true,
		AttentionDropout: 0.1, EmbedDropout: 0.1, ResidualDropout: 0.1,
		InitializerRange: 0.02, BOS: 50256, EOS: 50256, TorchDType: "float16",
	}
}

func v2() *Config {
	return &Config{
		Family: V2, VocabSize: 102400, HiddenSize: 5120, NumLayers: 60,
		NumHeads: 128, NumKVHeads: 128, RopeDim: 64, NopeDim: 128, ValueDim: 128,
		QLoraRank: 1536, KVLoraRank: 512, IntermediateSize: 12288, DenseLayers: 1,
		Experts: 160, SharedExperts: 2, TopK: 6, ExpertGroups: 8, TopKGroups: 3, MoEIntermediate: 1536,
		ScoringFunc: "softmax", TopKMethod: "group_limited_greedy", RoutedScale: 16,
		RopeTheta: 10000, MaxPositions: 163840, RMSNormEps: 1e-6,
		RopeScaling: &RopeScaling{Type: "yarn", Factor: 40, OriginalMaxPositions: 4096, BetaFast: 32, BetaSlow: 1, MScale: 0.707, MScaleAllDim: 0.707},
		HiddenAct:   "silu", InitializerRange: 0.02, BOS: 100000, EOS: 100001, TorchDType: "bfloat16",
	}
}

func v2Lite() *Config {
	c := v2()
	c.HiddenSize, c.NumLayers, c.NumHeads, c.NumKVHeads = 2048, 27, 16, 16
	c.QLoraRank, c.IntermediateSize, c.MoEIntermediate = 0, 10944, 1408
	c.Experts, c.ExpertGroups, c.TopKGroups, c.TopKMethod, c.RoutedScale = 64, 1, 1, "greedy", 1
	return c
}

func kimiK2() *Config {
	c := v3()
	c.VocabSize, c.NumMTP, c.NumHeads, c.NumKVHeads, c.DenseLayers = 163840, 0, 64, 64, 1
	c.Experts, c.ExpertGroups, c.TopKGroups, c.RoutedScale = 384, 1, 1, 2.827
	c.RopeTheta, c.MaxPositions, c.BOS, c.EOS = 50000, 131072, 163584, 163585
	c.RopeScaling.Factor, c.RopeScaling.BetaFast = 32, 1
	return c
}
