package grpo_test

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/posttrain/grpo"
)

// TestGolden compares whole steps with testdata/golden.py. Both compute in
// float64, in another order: some tens of roundings of numbers up to 50.
func TestGolden(t *testing.T) {
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Config  grpo.Config
		Loss    float64
		Answers []struct {
			Policy, Old, Sampled, Reference []float32
			Advantage                       float64
			Truncated                       bool
			Grad                            []float64
		}
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-12+1e-13*math.Abs(b) }
	clipped, dropped := int64(0), int64(0)
	for i, c := range cases {
		if err := c.Config.Check(); err != nil {
			t.Errorf("case %d: %v", i, err)
			continue
		}
		var answers []grpo.Answer
		var d grpo.Divisors
		for _, a := range c.Answers {
			answers = append(answers, grpo.Answer{Advantage: a.Advantage, Truncated: a.Truncated, Policy: a.Policy, Old: a.Old, Sampled: a.Sampled, Reference: a.Reference})
			if c.Config.Counts(&answers[len(answers)-1]) {
				d.Add(len(a.Policy))
			}
		}
		var sum grpo.Terms
		for j := range answers {
			grad := make([]float64, len(answers[j].Policy))
			terms, err := c.Config.Loss(&answers[j], d, grad)
			if err != nil {
				t.Fatalf("case %d: %v", i, err)
			}
			sum.Add(terms)
			for k, g := range grad {
				if !near(g, c.Answers[j].Grad[k]) {
					t.Errorf("case %d, answer %d, token %d: gradient %v, want %v; %+v", i, j, k, g, c.Answers[j].Grad[k], c.Config)
				}
			}
		}
		clipped += sum.Clipped
		dropped += sum.Dropped
		if !near(sum.Loss, c.Loss) {
			t.Errorf("case %d: loss %v, want %v; %+v", i, sum.Loss, c.Loss, c.Config)
		}
	}
	if len(cases) < 60 || clipped < 30 || dropped < 20 {
		t.Errorf("%d cases with %d clipped and %d dropped tokens: too few to tell", len(cases), clipped, dropped)
	}
}

// TestOnPolicy: equal policies have ratios and weights of exactly 1, gradients
// that are the advantage's share, and a bit of difference is an error.
func TestOnPolicy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"grpo", "dapo", "dr-grpo", "gspo", "cispo"}).Draw(t, "variant")
		c, err := grpo.Variant(name)
		if err != nil {
			t.Fatal(err)
		}
		if c.Aggregate == "constant" {
			c.MaxTokens = 64
		}
		c.OnPolicy = true
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		logp := rapid.SliceOfN(rapid.Float32Range(-30, 0), 1, 20).Draw(t, "logp")
		a := grpo.Answer{Advantage: rapid.Float64Range(-3, 3).Draw(t, "advantage"), Policy: logp, Old: append([]float32(nil), logp...), Sampled: append([]float32(nil), logp...)}
		var d grpo.Divisors
		d.Add(len(logp))
		grad := make([]float64, len(logp))
		terms, err := c.Loss(&a, d, grad)
		if err != nil {
			t.Fatal(err)
		}
		n := float64(len(logp))
		if terms.Ratio != n || terms.Weight != n || terms.Clipped != 0 || terms.Dropped != 0 || terms.MaxMismatch != 0 {
			t.Fatalf("%s: %+v, want ratios and weights of exactly 1", name, terms)
		}
		at := rapid.IntRange(0, len(logp)-1).Draw(t, "at")
		a.Sampled[at] = math.Nextafter32(a.Sampled[at], -100)
		if _, err := c.Loss(&a, d, grad); err == nil || !strings.Contains(err.Error(), "equal in every bit") {
			t.Fatalf("a token whose probability differs in the last bit: %v", err)
		}
	})
}

func TestAdvantages(t *testing.T) {
	group, _ := grpo.Variant("grpo")
	plain, _ := grpo.Variant("dr-grpo")
	for _, c := range []struct {
		config  grpo.Config
		rewards []float64
		want    []float64
	}{
		{group, []float64{1, 0, 0, 1}, []float64{0.5 / (math.Sqrt(1.0/3) + 1e-6), -0.5 / (math.Sqrt(1.0/3) + 1e-6), -0.5 / (math.Sqrt(1.0/3) + 1e-6), 0.5 / (math.Sqrt(1.0/3) + 1e-6)}},
		{plain, []float64{1, 0, 0, 1}, []float64{0.5, -0.5, -0.5, 0.5}},
		{group, []float64{0.1, 0.1, 0.1}, []float64{0, 0, 0}},
		{group, []float64{0.7}, []float64{0.7}},
		{group, nil, []float64{}},
	} {
		got, err := c.config.Advantages(c.rewards)
		if err != nil || len(got) != len(c.want) {
			t.Fatalf("%v: %v, %v", c.rewards, got, err)
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%v: %v, want %v", c.rewards, got, c.want)
			}
		}
	}
	if _, err := group.Advantages([]float64{1, math.NaN()}); err == nil || !strings.Contains(err.Error(), "reward 1 of 2 is NaN") {
		t.Errorf("a reward of NaN: %v", err)
	}
	if grpo.Flat([]float64{1}) || !grpo.Flat([]float64{1, 1}) || grpo.Flat([]float64{1, 2}) || grpo.Flat(nil) {
		t.Error("flat groups are those of several equal rewards")
	}
}

// TestExtremes: log-probabilities far apart keep everything finite.
func TestExtremes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, _ := grpo.Variant(rapid.SampledFrom([]string{"grpo", "gspo", "cispo"}).Draw(t, "variant"))
		c.KL = grpo.KL{Weight: 0.1, Estimator: rapid.SampledFrom([]string{"k1", "k2", "k3", "k3+"}).Draw(t, "estimator"), Unbiased: rapid.Bool().Draw(t, "unbiased")}
		n := rapid.IntRange(1, 5).Draw(t, "n")
		list := func() []float32 { return rapid.SliceOfN(rapid.Float32Range(-1e30, 0), n, n).Draw(t, "logp") }
		a := grpo.Answer{Advantage: rapid.Float64Range(-5, 5).Draw(t, "advantage"), Policy: list(), Old: list(), Sampled: list(), Reference: list()}
		grad := make([]float64, n)
		terms, err := c.Loss(&a, grpo.Divisors{Tokens: int64(n), Sequences: 1}, grad)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range append(grad, terms.Loss, terms.KL, terms.Ratio, terms.Weight) {
			if v-v != 0 {
				t.Fatalf("%+v: %+v, gradients %v", a, terms, grad)
			}
		}
	})
}

func TestRefusals(t *testing.T) {
	good, _ := grpo.Variant("grpo")
	for _, c := range []struct {
		change func(*grpo.Config)
		want   string
	}{
		{func(c *grpo.Config) { c.Ratio = "word" }, "ratio: \"word\", want one of token, sequence"},
		{func(c *grpo.Config) { c.ClipLow = 2 }, "clip_low: 2"},
		{func(c *grpo.Config) { c.ClipHigh = math.NaN() }, "clip_high: NaN"},
		{func(c *grpo.Config) { c.DualClip = 1 }, "dual_clip: 1"},
		{func(c *grpo.Config) { c.Objective, c.DualClip = "cispo", 3 }, "dual_clip: 3, cispo has none"},
		{func(c *grpo.Config) { c.Aggregate = "constant" }, "max_tokens: 0"},
		{func(c *grpo.Config) { c.MaxTokens = 5 }, "max_tokens: 5, only"},
		{func(c *grpo.Config) { c.KL.Weight = 1 }, "kl.estimator: none"},
		{func(c *grpo.Config) { c.KL.Weight = -1 }, "kl.weight: -1"},
		{func(c *grpo.Config) { c.Correction.Kind = "token" }, "correction: low 0, high 0: token"},
		{func(c *grpo.Config) { c.Correction = grpo.Correction{Kind: "band", Low: 2, High: 3} }, "want 0 < low <= 1 <= high"},
		{func(c *grpo.Config) { c.Correction.High = 3 }, "without a kind"},
		{func(c *grpo.Config) {
			c.OnPolicy, c.Correction = true, grpo.Correction{Kind: "token", High: 2}
		}, "correction.kind"},
		{func(c *grpo.Config) { c.OffPolicy = -1 }, "off_policy: -1"},
		{func(c *grpo.Config) { c.ExpertsOnly = true }, "experts_only: true, but it is for replay"},
		{func(c *grpo.Config) { c.Old = "older" }, "old: \"older\", want one of , sampled, computed"},
	} {
		config := good
		c.change(&config)
		if err := config.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	if _, err := grpo.Variant("ppo"); err == nil {
		t.Error("an unknown variant was taken")
	}
	good.KL = grpo.KL{Weight: 1, Estimator: "k3"}
	a := grpo.Answer{Policy: []float32{-1}}
	if _, err := good.Loss(&a, grpo.Divisors{Tokens: 1, Sequences: 1}, make([]float64, 1)); err == nil || !strings.Contains(err.Error(), "no log-probabilities of the reference") {
		t.Errorf("no reference: %v", err)
	}
	a.Old = []float32{-1, -1}
	if _, err := good.Loss(&a, grpo.Divisors{Tokens: 1, Sequences: 1}, make([]float64, 1)); err == nil {
		t.Error("lists of different lengths were taken")
	}
}
