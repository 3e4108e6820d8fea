package arch

import (
	"math"
	"strings"
	"testing"
)

func perToken(t *testing.T, c *Config, by Convention, seq int) float64 {
	t.Helper()
	f, err := c.FLOPsPerToken(by, seq)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Of a dense model the conventions are 6 N and a known attention: PaLM's 12 L H Q T
// for the whole square, half of it when causal.
func TestConventionsOfDenseModels(t *testing.T) {
	for _, name := range []string{"llama2-7b", "llama3-8b", "llama3-70b", "llama3-405b", "qwen2.5-7b", "qwen3-32b", "gpt3-175b", "gpt-530b"} {
		c := must(t, name)
		l, d, heads, kv, w := c.NumLayers, c.HiddenSize, c.NumHeads*c.HeadDim, c.NumKVHeads*c.HeadDim, c.IntermediateSize
		ffn := 3 * d * w
		if !c.IsGated() {
			ffn = 2 * d * w
		}
		matrices := float64(l*(2*d*heads+2*d*kv+ffn) + c.VocabSize*d)
		for _, seq := range []int{1024, 2048, 8192} {
			square := 12 * float64(l*heads) * float64(seq)
			for by, want := range map[Convention]float64{
				Torchtitan: 6*matrices + square,
				Megatron:   6*matrices + square/2,
				Verl:       6*(matrices+float64(c.VocabSize*d)) + square/2,
				ByLedger:   6*matrices + square/2*float64(seq+1)/float64(seq),
			} {
				if got := perToken(t, c, by, seq); math.Abs(got-want) > 1e-9*want {
					t.Errorf("%s by %s at %d: %g, want %g", name, by, seq, got, want)
				}
			}
		}
	}
}

// Model operations as in the appendix of arXiv 2205.05198:
// 72 B s l h^2 (1 + s/(6 h) + V/(12 l h)) for a batch, the whole square of attention.
func TestConventionOfMegatronPaper(t *testing.T) {
	for _, name := range []string{"gpt-22b", "gpt3-175b", "gpt-530b", "gpt-1t"} {
		c := must(t, name)
		l, h, s, v := float64(c.NumLayers), float64(c.HiddenSize), 2048.0, float64(c.VocabSize)
		want := 72 * l * h * h * (1 + s/(6*h) + v/(12*l*h))
		if got := perToken(t, c, Torchtitan, 2048); math.Abs(got-want) > 1e-9*want {
			t.Errorf("%s: %g, want %g", name, got, want)
		}
	}
}

// Attention grows as the layers really attend: linear in the window where there is
// one, linear in the sequence where there is none.
func TestConventionsOfSlidingWindows(t *testing.T) {
	c := must(t, "gpt-oss-20b")
	width := 12 * float64(c.NumHeads*c.HeadDim)
	full, windowed := float64(c.NumLayers/2), float64(c.NumLayers/2)
	got := perToken(t, c, Torchtitan, 8192) - perToken(t, c, Torchtitan, 4096)
	if want := width * full * 4096; math.Abs(got-want) > 1e-9*want {
		t.Errorf("4096 more keys cost %g, want %g: only layers without a window see them", got, want)
	}
	got = perToken(t, c, Torchtitan, 128) - perToken(t, c, Torchtitan, 64)
	if want := width * (full + windowed) * 64; math.Abs(got-want) > 1e-6*want {
		t.Errorf("64 more keys within the window cost %g, want %g", got, want)
	}
	whole := *c
	whole.SlidingWindow, whole.LayerTypes = 0, nil
	if a, b := perToken(t, c, Megatron, 4096), perToken(t, &whole, Megatron, 4096); a >= b {
		t.Errorf("windows do not save operations: %g, without %g", a, b)
	}
	m := must(t, "mistral-7b")
	if a, b := perToken(t, m, ByLedger, 4096), perToken(t, m, Megatron, 4096); math.Abs(a-b) > 1e-3*b {
		t.Errorf("a window as long as the sequence: ledger %g, megatron %g", a, b)
	}
}

// Megatron-LM's own log counts the prediction block of DeepSeek-V3 and no routers,
// 260.0 GFLOP a token at 4096 tokens.
func TestLedgerOfV3AsMegatronLogs(t *testing.T) {
	l := must(t, "deepseek-v3").FLOPs(Work{Lengths: []int{4096}, MTP: true})
	got := l.PerToken()
	for _, it := range l.ByName() {
		if it.Name == "router" {
			got -= (it.Forward + it.Backward) / float64(l.Tokens)
		}
	}
	if math.Abs(got-260.0e9) > 0.0002*260e9 {
		t.Errorf("%.2f GFLOP a token, want 260.0", got/1e9)
	}
}

// Sums over blocks and over components equal the whole, for every model.
func TestLedgerAddsUp(t *testing.T) {
	for _, name := range Builtins() {
		c := must(t, name)
		l := c.FLOPs(Work{Lengths: []int{300, 1, 129}, MTP: true})
		var blocks, components float64
		for layer := -1; layer < c.Blocks(); layer++ {
			f, b := l.Block(layer)
			blocks += f + b
		}
		for _, it := range l.ByName() {
			components += it.Forward + it.Backward
			if it.Backward != 2*it.Forward && it.Name != "indexer" {
				t.Errorf("%s: %s is %g forward and %g backward, want twice", name, it.Name, it.Forward, it.Backward)
			}
		}
		if total := l.Total(); math.Abs(blocks-total) > 1e-9*total || math.Abs(components-total) > 1e-9*total {
			t.Errorf("%s: %g, blocks %g, components %g", name, total, blocks, components)
		}
	}
}

// The ledger of a dense model is linear in its layers.
func TestLedgerIsLinearInLayers(t *testing.T) {
	for _, name := range []string{"llama3-70b", "gpt3-175b", "qwen3-235b-a22b", "deepseek-v2"} {
		c := must(t, name)
		at := func(n int) float64 {
			cut, err := c.WithLayers(n)
			if err != nil {
				t.Fatal(err)
			}
			return perToken(t, cut, ByLedger, 4096)
		}
		if one, two := at(12)-at(8), at(16)-at(12); math.Abs(one-two) > 1e-9*one {
			t.Errorf("%s: four layers cost %g, the next four %g", name, one, two)
		}
	}
}

func TestConventionRefuses(t *testing.T) {
	c := must(t, "llama3-8b")
	for _, tc := range []struct {
		by   Convention
		seq  int
		want string
	}{
		{"mine", 1, `no FLOP convention "mine"`},
		{Megatron, 0, "a sequence of 0 tokens, want 1 to"},
		{Megatron, 1 << 40, "want 1 to 2147483647"},
	} {
		if _, err := c.FLOPsPerToken(tc.by, tc.seq); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s at %d: %v, want %q", tc.by, tc.seq, err, tc.want)
		}
	}
}
