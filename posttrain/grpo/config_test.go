package grpo_test

import (
	"bytes"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/temper-ml/temper/posttrain/grpo"
)

// TestSection: a recipe's section is laid over the constants of its variant, and
// what it prints, read again over the same constants, is the same.
func TestSection(t *testing.T) {
	for _, c := range []struct {
		text string
		want func(*grpo.Config)
	}{
		{"{}", func(*grpo.Config) {}},
		{"{dynamic: false, mask_truncated: false, on_policy: false}", func(c *grpo.Config) {
			c.Dynamic, c.MaskTruncated, c.OnPolicy = false, false, false
		}},
		{"{kl: {weight: 0.01}}", func(c *grpo.Config) { c.KL = grpo.KL{Weight: 0.01, Estimator: "k3+"} }},
		{"{kl: {weight: 0.01, estimator: k3, unbiased: true}}", func(c *grpo.Config) { c.KL = grpo.KL{Weight: 0.01, Estimator: "k3", Unbiased: true} }},
		{"{correction: {kind: none}}", func(c *grpo.Config) { c.Correction = grpo.Correction{Kind: "none"} }},
		{"{correction: {kind: token}}", func(c *grpo.Config) { c.Correction = grpo.Correction{Kind: "token", High: 2} }},
		{"{correction: {kind: sequence, high: 3}}", func(c *grpo.Config) { c.Correction = grpo.Correction{Kind: "sequence", High: 3} }},
		{"{correction: {kind: band}}", func(c *grpo.Config) { c.Correction = grpo.Correction{Kind: "band", Low: 0.5, High: 5} }},
		{"{correction: {kind: geometric, low: 0.9}}", func(c *grpo.Config) { c.Correction = grpo.Correction{Kind: "geometric", Low: 0.9, High: 1.002} }},
	} {
		base := func() grpo.Config {
			c, err := grpo.Variant("dapo")
			if err != nil {
				t.Fatal(err)
			}
			c.Correction = grpo.Correction{Kind: "token", High: 5} // as a stage may preset it
			c.OnPolicy = true
			return c
		}
		want := base()
		c.want(&want)
		got := base()
		read := func(text []byte) {
			t.Helper()
			if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&got); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if got != want {
				t.Errorf("%s: %+v, want %+v", text, got, want)
			}
		}
		read([]byte(c.text))
		printed, err := yaml.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		got = base()
		read(printed)
	}
	var c grpo.Config
	if err := yaml.NewDecoder(bytes.NewReader([]byte("{correction: {kind: token, hihg: 3}}")), yaml.Strict()).Decode(&c); err == nil {
		t.Error("a field that does not exist was taken")
	}
}
