package dpo_test

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/posttrain/dpo"
)

// near allows 8 ulp relative to the larger of the two and, since differences of
// sums up to 1e3 enter, 1e-12 absolute: torch rounds each operation as we do, in
// another order.
func near(a, b float64) bool {
	return math.Abs(a-b) <= 1e-12+0x1p-49*math.Max(math.Abs(a), math.Abs(b))
}

// TestGolden compares losses and gradients with testdata/golden.py.
func TestGolden(t *testing.T) {
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		dpo.Loss
		Nw, Nl         int64
		Lw, Ll, Rw, Rl float64
		Z              float64
		Good           bool
		Want           float64 `json:"loss"`
		Dw, Dl         float64
		ReferenceFree  bool `json:"reference_free"`
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for i, c := range cases {
		l := c.Loss
		l.ReferenceFree = c.ReferenceFree
		if err := l.Check(); err != nil {
			t.Errorf("case %d: %v", i, err)
			continue
		}
		kinds[l.Kind]++
		w, r := dpo.Answer{Policy: c.Lw, Reference: c.Rw, Tokens: c.Nw}, dpo.Answer{Policy: c.Ll, Reference: c.Rl, Tokens: c.Nl}
		var loss, dw, dl float64
		if l.Kind == "kto" {
			s := l.Single(w, c.Good, c.Z)
			loss, dw = s.Loss, s.Answer
		} else {
			p := l.Pair(w, r)
			loss, dw, dl = p.Loss, p.Chosen, p.Rejected
		}
		if !near(loss, c.Want) || !near(dw, c.Dw) || !near(dl, c.Dl) {
			t.Errorf("case %d, %+v: loss %v, gradients %v and %v, want %v, %v and %v", i, l, loss, dw, dl, c.Want, c.Dw, c.Dl)
		}
	}
	if len(kinds) != len(dpo.Kinds()) {
		t.Errorf("golden cases for %v, want all of %v", kinds, dpo.Kinds())
	}
}

// TestFinite: no log-probabilities, however far apart, give NaN or infinity, and
// a pair of equal answers gives gradients that cancel.
func TestFinite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := dpo.Loss{Kind: rapid.SampledFrom(dpo.Kinds()).Draw(t, "kind"), Beta: rapid.Float64Range(1e-3, 10).Draw(t, "beta"), SFT: 0.5}
		if l.Kind == "kto" {
			l.Desirable, l.Undesirable = 1, 1
		}
		sum := rapid.Float64Range(-1e5, 0)
		a := dpo.Answer{sum.Draw(t, "policy"), sum.Draw(t, "reference"), rapid.Int64Range(1, 1<<20).Draw(t, "tokens")}
		b := dpo.Answer{sum.Draw(t, "policy"), sum.Draw(t, "reference"), rapid.Int64Range(1, 1<<20).Draw(t, "tokens")}
		var list []float64
		if l.Kind == "kto" {
			s := l.Single(a, true, 3)
			list = []float64{s.Loss, s.SFT, s.Answer, s.Reward}
		} else {
			p := l.Pair(a, b)
			list = []float64{p.Loss, p.SFT, p.Chosen, p.Rejected, p.RewardChosen, p.RewardRejected}
			l.SFT = 0
			if p := l.Pair(a, a); l.Kind != "apo-zero" && p.Chosen+p.Rejected != 0 {
				t.Fatalf("%+v: equal answers, gradients %v and %v", l, p.Chosen, p.Rejected)
			}
		}
		for _, v := range list {
			if v-v != 0 {
				t.Fatalf("%+v of %+v and %+v: %v", l, a, b, list)
			}
		}
	})
}

func TestDivergence(t *testing.T) {
	for _, c := range []struct {
		ratios []float64
		want   float64
	}{{nil, 0}, {[]float64{-1, -3}, 0}, {[]float64{1, 2}, 1.5}} {
		if got := dpo.Divergence(c.ratios); got != c.want {
			t.Errorf("%v: %v, want %v", c.ratios, got, c.want)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		loss dpo.Loss
		want string
	}{
		{dpo.Loss{Kind: "dpo", Beta: 1}, "kind: \"dpo\" is unknown, want one of apo-zero"},
		{dpo.Loss{Kind: "sigmoid"}, "beta: 0"},
		{dpo.Loss{Kind: "sigmoid", Beta: math.NaN()}, "beta: NaN"},
		{dpo.Loss{Kind: "sigmoid", Beta: 1, Smoothing: 0.1}, "smoothing: 0.1, only cdpo and robust"},
		{dpo.Loss{Kind: "robust", Beta: 1, Smoothing: 0.5}, "smoothing: 0.5, want 0 to below 0.5"},
		{dpo.Loss{Kind: "ipo", Beta: 1, Margin: 1}, "margin: 1, only simpo"},
		{dpo.Loss{Kind: "kto", Beta: 1}, "desirable: 0"},
		{dpo.Loss{Kind: "ipo", Beta: 1, Desirable: 1}, "desirable: 1, undesirable: 0, only kto"},
		{dpo.Loss{Kind: "ipo", Beta: 1, SFT: -1}, "sft: -1"},
		{dpo.Loss{Kind: "simpo", Beta: 1, ReferenceFree: true}, "reference_free"},
	} {
		if err := c.loss.Check(); err == nil || !strings.HasPrefix(err.Error(), strings.Split(c.want, ":")[0]) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.loss, err, c.want)
		}
	}
}
