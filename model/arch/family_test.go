package arch

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The files as their authors published them, whose keys every family must read,
// say the same as the built-in models, and nothing of them is lost in writing.
func TestPublishedConfigsEqualBuiltins(t *testing.T) {
	files, err := filepath.Glob("testdata/published/*.json")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	families := map[Family]bool{V4: true}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ParseConfig(text)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		families[c.Family] = true
		want := gpt2Small()
		if name := strings.TrimSuffix(filepath.Base(path), ".json"); name != "gpt2" {
			want = must(t, name)
		}
		if d := cmp.Diff(want, c, cmpopts.IgnoreFields(Config{}, "Extra")); d != "" {
			t.Errorf("%s (-built in +published):\n%s", path, d)
		}
		back, err := ParseConfig(c.MarshalHF())
		if err != nil {
			t.Errorf("%s, written and read again: %v", path, err)
		} else if d := cmp.Diff(c, back); d != "" {
			t.Errorf("%s, written and read again:\n%s", path, d)
		}
	}
	for _, f := range Families() {
		if !families[f] {
			t.Errorf("no published config.json of family %s is tested", f)
		}
	}
}

func gpt2Small() *Config {
	c := gpt(12, 768, 12)
	c.VocabSize, c.MaxPositions, c.TorchDType = 50257, 1024, "bfloat16"
	return c
}

// Parameters as the model cards and the headers of the published files give them;
// the number of tensors is that of the published index.
func TestCountsOfDescribedModels(t *testing.T) {
	for _, tc := range []struct {
		name    string
		total   int64
		active  float64 // billions, as published, input embedding included where the card does so
		embed   bool
		tensors int
	}{
		{"llama2-7b", 6_738_415_616, 6.7, true, 291},
		{"llama2-13b", 13_015_864_320, 13.0, true, 363},
		{"llama2-70b", 68_976_648_192, 69, true, 723},
		{"llama3-8b", 8_030_261_248, 8.03, true, 291},
		{"llama3-70b", 70_553_706_496, 70.6, true, 723},
		{"llama3-405b", 405_853_388_800, 406, true, 1137},
		{"mistral-7b", 7_241_732_096, 7.24, true, 291},
		{"mixtral-8x7b", 46_702_792_704, 12.9, true, 995},
		{"mixtral-8x22b", 140_630_071_296, 39, true, 1739},
		{"qwen2.5-7b", 7_615_616_512, 7.6, true, 339},
		{"qwen2.5-72b", 72_706_203_648, 72.7, true, 963},
		{"qwen3-8b", 8_190_735_360, 8.2, true, 399},
		{"qwen3-14b", 14_768_307_200, 14.8, true, 443},
		{"qwen3-32b", 32_762_123_264, 32.8, true, 707},
		{"qwen3-30b-a3b", 30_532_122_624, 3.3, true, 18867},
		{"qwen3-235b-a22b", 235_093_634_560, 22, true, 36945},
		{"deepseek-v2", 235_741_434_880, 21, true, 0},
		{"deepseek-v2-lite", 15_706_484_224, 2.4, false, 5291},
		{"kimi-k2", 1_026_408_232_448, 32, false, 0},
		{"gpt-oss-20b", 20_914_757_184, 3.61, false, 0},
		{"gpt-oss-120b", 116_829_156_672, 5.13, false, 0},
	} {
		c := must(t, tc.name)
		total, mtp, active := c.Count()
		if total != tc.total || mtp != 0 {
			t.Errorf("%s: %d parameters and %d of MTP, want %d and 0", tc.name, total, mtp, tc.total)
		}
		if tc.embed && !c.TieEmbeddings {
			active += int64(c.VocabSize * c.HiddenSize)
		}
		if got := float64(active) / 1e9; math.Abs(got-tc.active) > 0.025*tc.active {
			t.Errorf("%s: %.3f billion active, want %g", tc.name, got, tc.active)
		}
		if n := len(c.Tensors()); tc.tensors != 0 && n != tc.tensors {
			t.Errorf("%s: %d tensors, want %d", tc.name, n, tc.tensors)
		}
	}
	if total, _, _ := gpt2Small().Count(); total != 124_439_808 {
		t.Errorf("gpt2: %d parameters, want 124439808", total)
	}
}

// Megatron's models against the closed form of their paper (arXiv 2104.04473):
// P = 12 l h^2 (1 + 13/(12 h) + (V + s)/(12 l h)), and the last norm beside it; and
// against the sizes in its tables.
func TestCountsOfMegatronGPT(t *testing.T) {
	for name, billions := range map[string]float64{
		"gpt-1.7b": 1.7, "gpt-3.6b": 3.6, "gpt-7.5b": 7.5, "gpt-18.4b": 18.4, "gpt-22b": 22, "gpt-39.1b": 39.1, "gpt-76.1b": 76.1,
		"gpt-145.6b": 145.6, "gpt-310b": 310.1, "gpt-530b": 529.6, "gpt-1t": 1008, "gpt3-175b": 174.6,
	} {
		c := must(t, name)
		l, h := int64(c.NumLayers), int64(c.HiddenSize)
		want := 12*l*h*h + 13*l*h + int64(c.VocabSize+c.MaxPositions)*h + 2*h
		total, _, active := c.Count()
		if total != want {
			t.Errorf("%s: %d parameters, closed form %d", name, total, want)
		}
		if got := float64(total) / 1e9; math.Abs(got-billions) > 0.06+0.001*billions {
			t.Errorf("%s: %.2f billion parameters, want %g", name, got, billions)
		}
		if want -= int64(c.MaxPositions) * h; active != want {
			t.Errorf("%s: %d active, want %d: all but the positions, because the embedding is the head", name, active, want)
		}
	}
}

// With experts, the table for counting and the full one must agree.
func TestCountEqualsFullTable(t *testing.T) {
	for _, name := range Builtins() {
		c := must(t, name)
		var total, mtp, active int64
		for _, x := range c.Tensors() {
			switch n := int64(x.Len()); {
			case x.Role == GateHash:
			case c.IsMTP(x.Layer):
				mtp += n
			default:
				total += n
				if (x.Optim != Embedding || c.isHead(&x)) && (x.Expert < 0 || x.Expert < c.TopK) {
					active += n
				}
			}
		}
		if a, b, d := c.Count(); a != total || b != mtp || d != active {
			t.Errorf("%s: Count() = %d, %d, %d, the table gives %d, %d, %d", name, a, b, d, total, mtp, active)
		}
	}
}

// Every name is there once, and the parts of a block in the order of the forward pass.
func TestTensorsOfDescribedFamilies(t *testing.T) {
	for _, name := range Builtins() {
		c := must(t, name)
		seen := make(map[string]bool)
		last := -1
		for _, x := range c.Tensors() {
			if seen[x.Name] {
				t.Fatalf("%s lists %s twice", name, x.Name)
			}
			seen[x.Name] = true
			if x.Layer >= 0 && x.Layer < last {
				t.Fatalf("%s: %s of layer %d after layer %d", name, x.Name, x.Layer, last)
			}
			last = max(last, x.Layer)
			if (len(x.Shape) == 1) != (x.Optim == Vector || x.Optim == Untrained) && x.Role != GateHash && x.Role != CompAPE && x.Role != IndexCompAPE {
				t.Errorf("%s: %s of shape %v is a %s", name, x.Name, x.Shape, x.Optim)
			}
		}
	}
	for name, want := range map[string][]string{
		"llama3-8b":        {"model.layers.31.self_attn.k_proj.weight", "model.layers.0.mlp.down_proj.weight", "lm_head.weight", "model.norm.weight"},
		"qwen2.5-7b":       {"model.layers.3.self_attn.q_proj.bias"},
		"qwen3-8b":         {"model.layers.3.self_attn.k_norm.weight"},
		"qwen3-30b-a3b":    {"model.layers.47.mlp.experts.127.up_proj.weight", "model.layers.0.mlp.gate.weight"},
		"mixtral-8x7b":     {"model.layers.0.block_sparse_moe.experts.7.w2.weight"},
		"deepseek-v2-lite": {"model.layers.1.self_attn.q_proj.weight", "model.layers.1.mlp.shared_experts.up_proj.weight", "model.layers.0.mlp.up_proj.weight"},
		"gpt-oss-20b":      {"model.layers.0.self_attn.sinks", "model.layers.0.mlp.router.bias"},
		"gpt3-175b":        {"transformer.wpe.weight", "transformer.h.95.attn.c_attn.bias", "transformer.ln_f.bias"},
	} {
		var names []string
		for _, x := range must(t, name).Tensors() {
			names = append(names, x.Name)
		}
		for _, n := range want {
			if !slices.Contains(names, n) {
				t.Errorf("%s has no tensor %s", name, n)
			}
		}
	}
}

func TestWhatFamiliesHave(t *testing.T) {
	type has struct {
		Gated, QKNorm, QKVBias, OutputBias, Sinks, Positions bool
		Scoring                                              string
		Kind                                                 string
	}
	for name, want := range map[string]has{
		"llama3-8b":     {Gated: true, Kind: "gqa"},
		"qwen2.5-7b":    {Gated: true, QKVBias: true, Kind: "gqa"},
		"qwen3-8b":      {Gated: true, QKNorm: true, Kind: "gqa"},
		"qwen3-30b-a3b": {Gated: true, QKNorm: true, Scoring: "softmax", Kind: "gqa"},
		"mixtral-8x7b":  {Gated: true, Scoring: "softmax", Kind: "gqa"},
		"gpt-oss-20b":   {Gated: true, QKVBias: true, OutputBias: true, Sinks: true, Scoring: "softmax", Kind: "gqa"},
		"gpt3-175b":     {QKVBias: true, OutputBias: true, Positions: true, Kind: "gqa"},
		"deepseek-v2":   {Gated: true, Scoring: "softmax", Kind: "mla"},
		"deepseek-v3":   {Gated: true, Scoring: "sigmoid", Kind: "mla"},
		"tiny-v4":       {Gated: true, Sinks: true, Scoring: "sqrtsoftplus", Kind: "window"},
	} {
		c := must(t, name)
		got := has{c.IsGated(), c.HasQKNorm(), c.HasQKVBias(), c.HasOutputBias(), c.HasSinks(), c.HasLearnedPositions(), c.Scoring(), c.Kind(0).String()}
		if got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	for name, shared := range map[string]int{"deepseek-v2": 3072, "deepseek-v3": 2048, "qwen3-235b-a22b": 0, "mixtral-8x7b": 0} {
		if got := must(t, name).SharedIntermediate(); got != shared {
			t.Errorf("%s: shared experts are %d wide, want %d", name, got, shared)
		}
	}
	c := must(t, "gpt-oss-20b")
	if a, b := c.LayerWindow(0), c.LayerWindow(1); a != 128 || b != 0 {
		t.Errorf("gpt-oss windows %d and %d, want 128 and 0", a, b)
	}
	if must(t, "deepseek-v2").IsMoE(0) || !must(t, "deepseek-v2").IsMoE(1) || must(t, "llama3-8b").IsMoE(31) {
		t.Error("experts in the wrong layers")
	}
}

func TestOnlyDeepSeekIsTrained(t *testing.T) {
	for _, name := range Builtins() {
		c := must(t, name)
		err := c.CheckTrainable()
		if trained := c.Family == V4 || c.Family == V3; trained != c.Family.Trainable() || trained != (err == nil) {
			t.Errorf("%s: Trainable() = %t, CheckTrainable() = %v", name, c.Family.Trainable(), err)
		}
	}
	want := `arch: model_type is "llama", want "deepseek_v4" or "deepseek_v3": temper describes and counts "llama" models`
	if err := must(t, "llama3-8b").CheckTrainable(); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v", err)
	}
}

// A cut-down model is the whole one without the layers that were cut.
func TestWithLayers(t *testing.T) {
	for _, name := range Builtins() {
		c := must(t, name)
		for _, n := range []int{1, 2, c.NumLayers / 2, c.NumLayers} {
			cut, err := c.WithLayers(n)
			if err != nil {
				t.Fatalf("%s at %d layers: %v", name, n, err)
			}
			var want []string // kinds of the blocks that stay
			for l := range c.Blocks() {
				if l < n || c.IsMTP(l) {
					want = append(want, block(c, l))
				}
			}
			var got []string
			for l := range cut.Blocks() {
				got = append(got, block(cut, l))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s at %d layers: %v, want %v", name, n, got, want)
			}
		}
		if d := cmp.Diff(must(t, name), c); d != "" {
			t.Errorf("%s was changed by cutting it:\n%s", name, d)
		}
	}
	c := must(t, "deepseek-v3")
	for _, n := range []int{-1, 0, 62} {
		if _, err := c.WithLayers(n); err == nil || !strings.Contains(err.Error(), "want 1 to num_hidden_layers = 61") {
			t.Errorf("WithLayers(%d): %v", n, err)
		}
	}
}

func block(c *Config, l int) string {
	s := c.Kind(l).String()
	if c.IsMoE(l) {
		s += " moe"
	}
	if c.IsHash(l) {
		s += " hash"
	}
	if c.LayerWindow(l) > 0 {
		s += " windowed"
	}
	return s
}
