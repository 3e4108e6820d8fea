package grpo

import (
	"fmt"
	"slices"
	"strings"
)

// Config is a variant with its constants.
type Config struct {
	// Variant names the publication whose constants are those not given: see [Variant].
	Variant string `yaml:"variant,omitempty" json:"variant,omitempty"`
	// Normalise divides advantages by the standard deviation of their group:
	// "group", or "none" (Dr.GRPO).
	Normalise string `yaml:"normalise" json:"normalise"`
	// Ratio is of a "token" or a "sequence" (GSPO).
	Ratio string `yaml:"ratio" json:"ratio"`
	// Objective is "clip" or "cispo".
	Objective string `yaml:"objective" json:"objective"`
	// ClipLow and ClipHigh are ε_low and ε_high.
	ClipLow  float64 `yaml:"clip_low" json:"clip_low"`
	ClipHigh float64 `yaml:"clip_high" json:"clip_high"`
	// DualClip is c, above 1; 0 leaves it out.
	DualClip float64 `yaml:"dual_clip,omitempty" json:"dual_clip,omitempty"`
	// Aggregate says how token losses are averaged over the step:
	//	token     Σ over all tokens / tokens (DAPO)
	//	sequence  mean over sequences of the mean over their tokens (GRPO, GSPO)
	//	constant  Σ over all tokens / (sequences × MaxTokens) (Dr.GRPO)
	Aggregate string `yaml:"aggregate" json:"aggregate"`
	// MaxTokens is the constant of Aggregate "constant".
	MaxTokens int64 `yaml:"max_tokens,omitempty" json:"max_tokens,omitempty"`
	// Dynamic drops groups whose rewards are all equal, which teach nothing.
	Dynamic bool `yaml:"dynamic" json:"dynamic,omitempty"`
	// MaskTruncated leaves out answers that did not end.
	MaskTruncated bool       `yaml:"mask_truncated" json:"mask_truncated,omitempty"`
	KL            KL         `yaml:"kl,omitempty" json:"kl,omitzero"`
	Correction    Correction `yaml:"correction,omitempty" json:"correction,omitzero"`
	// OffPolicy drops sequences with A < 0 whose mean of log μ - log π is above
	// it (V3.2 report, §3.1); 0 leaves it out.
	OffPolicy float64 `yaml:"off_policy,omitempty" json:"off_policy,omitempty"`
	// Old says whose log-probabilities π_old's are: "sampled" takes those recorded
	// with the answers, so that π_old is the policy that sampled them; "computed" are
	// by the weights at the start of the round's updates. Empty is sampled.
	Old string `yaml:"old,omitempty" json:"old,omitempty"`
	// Replay makes updates choose the experts and the compressed entries that were
	// chosen when the answers were sampled.
	Replay bool `yaml:"replay,omitempty" json:"replay,omitempty"`
	// ExpertsOnly leaves the compressed entries out of what is replayed, and recorded:
	// they are most of it where answers are long.
	ExpertsOnly bool `yaml:"experts_only,omitempty" json:"experts_only,omitempty"`
	// OnPolicy demands that μ, π_old and π agree in every bit where they must: in
	// the first step of a round that the same weights sampled.
	OnPolicy bool `yaml:"on_policy" json:"on_policy,omitempty"`
}

// KL is the divergence from a reference policy, per token. With
// δ = log π - log π_ref of the sampled token (Schulman 2020):
//
//	k1  δ              k2  δ²/2
//	k3  e^-δ - 1 + δ   k3+ the value of k3, the gradient of k2
type KL struct {
	// Weight multiplies it; 0 leaves it out.
	Weight float64 `yaml:"weight" json:"weight"`
	// Estimator is k1, k2, k3 or k3+.
	Estimator string `yaml:"estimator" json:"estimator"`
	// Unbiased multiplies by the ratio π/π_old, gradient included: right for
	// tokens that π_old sampled (V3.2 report, eq. 7).
	Unbiased bool `yaml:"unbiased,omitempty" json:"unbiased,omitempty"`
}

// Correction weighs tokens by w = π_old/μ where the two differ. No gradient
// passes it. High of token and sequence is 2, Low and High of band 0.5 and 5, of
// geometric 0.999 and 1.002, if a recipe does not give them.
//
//	token      min(w, High) of each token (truncated importance sampling)
//	sequence   the same of the product over the answer
//	band       w where Low <= w <= High, else 0 (IcePop)
//	geometric  w of each token if the geometric mean over the answer lies in
//	           [Low, High], else the whole answer is dropped
type Correction struct {
	// Kind is empty or "none" for none.
	Kind string  `yaml:"kind,omitempty" json:"kind,omitempty"`
	Low  float64 `yaml:"low,omitempty" json:"low,omitempty"`
	High float64 `yaml:"high,omitempty" json:"high,omitempty"`
}

// None reports whether nothing is corrected.
func (c *Correction) None() bool { return c.Kind == "" || c.Kind == "none" }

// UnmarshalYAML fills in the usual bounds of the kind.
func (c *Correction) UnmarshalYAML(decode func(any) error) error {
	type plain Correction // without this method
	var p plain
	if err := decode(&p); err != nil {
		return err
	}
	switch p.Kind {
	case "token", "sequence":
		p = plain{High: 2}
	case "band":
		p = plain{Low: 0.5, High: 5}
	case "geometric":
		p = plain{Low: 0.999, High: 1.002}
	}
	if err := decode(&p); err != nil {
		return err
	}
	*c = Correction(p)
	return nil
}

// UnmarshalYAML fills in the estimator.
func (k *KL) UnmarshalYAML(decode func(any) error) error {
	type plain KL // without this method
	p := plain{Estimator: "k3+"}
	if err := decode(&p); err != nil {
		return err
	}
	*k = KL(p)
	return nil
}

// Variants are the names that [Variant] takes.
func Variants() []string { return []string{"cispo", "dapo", "dr-grpo", "grpo", "gspo"} }

// Variant returns the constants of a published variant: grpo, dapo, dr-grpo,
// gspo or cispo.
func Variant(name string) (Config, error) {
	c := Config{Variant: name, Normalise: "group", Ratio: "token", Objective: "clip", ClipLow: 0.2, ClipHigh: 0.2, Aggregate: "sequence"}
	switch name {
	case "grpo":
	case "dapo":
		c.ClipHigh, c.Aggregate, c.Dynamic, c.MaskTruncated = 0.28, "token", true, true
	case "dr-grpo":
		c.Normalise, c.Aggregate = "none", "constant" // MaxTokens is the recipe's
	case "gspo":
		c.Ratio, c.ClipLow, c.ClipHigh = "sequence", 3e-4, 4e-4
	case "cispo":
		c.Objective, c.ClipLow, c.ClipHigh, c.Aggregate = "cispo", 1, 4, "token"
	default:
		return c, fmt.Errorf("variant: %q is unknown, want one of %s", name, strings.Join(Variants(), ", "))
	}
	return c, nil
}

// Check returns the first field out of range; its errors begin with the field's name.
func (c *Config) Check() error {
	for _, f := range []struct {
		name, value string
		allowed     []string
	}{
		{"normalise", c.Normalise, []string{"group", "none"}},
		{"ratio", c.Ratio, []string{"token", "sequence"}},
		{"objective", c.Objective, []string{"clip", "cispo"}},
		{"aggregate", c.Aggregate, []string{"token", "sequence", "constant"}},
		{"kl.estimator", c.KL.Estimator, []string{"", "k1", "k2", "k3", "k3+"}},
		{"correction.kind", c.Correction.Kind, []string{"", "none", "token", "sequence", "band", "geometric"}},
		{"old", c.Old, []string{"", "sampled", "computed"}},
	} {
		if !slices.Contains(f.allowed, f.value) {
			return fmt.Errorf("%s: %q, want one of %s", f.name, f.value, strings.Join(f.allowed, ", "))
		}
	}
	switch {
	case !(c.ClipLow >= 0 && c.ClipLow <= 1):
		return fmt.Errorf("clip_low: %v, want 0 to 1", c.ClipLow)
	case !(c.ClipHigh >= 0 && c.ClipHigh < 1e6):
		return fmt.Errorf("clip_high: %v, want at least 0", c.ClipHigh)
	case c.DualClip != 0 && !(c.DualClip > 1 && c.DualClip < 1e6):
		return fmt.Errorf("dual_clip: %v, want above 1 (3 is usual), or 0 for none", c.DualClip)
	case c.DualClip != 0 && c.Objective == "cispo":
		return fmt.Errorf("dual_clip: %v, cispo has none", c.DualClip)
	case c.Aggregate == "constant" && c.MaxTokens < 1:
		return fmt.Errorf("max_tokens: %d, aggregate constant divides by it", c.MaxTokens)
	case c.Aggregate != "constant" && c.MaxTokens != 0:
		return fmt.Errorf("max_tokens: %d, only aggregate constant has it", c.MaxTokens)
	case c.ExpertsOnly && !c.Replay:
		return fmt.Errorf("experts_only: true, but it is for replay: true")
	case !(c.OffPolicy >= 0 && c.OffPolicy < 1e6):
		return fmt.Errorf("off_policy: %v, want at least 0", c.OffPolicy)
	}
	return c.checkTerms()
}

func (c *Config) checkTerms() error {
	k, w := c.KL, c.Correction
	switch {
	case !(k.Weight >= 0 && k.Weight < 1e6):
		return fmt.Errorf("kl.weight: %v, want at least 0", k.Weight)
	case k.Weight > 0 && k.Estimator == "":
		return fmt.Errorf("kl.estimator: none for a weight of %v, want k1, k2, k3 or k3+", k.Weight)
	case (w.Kind == "token" || w.Kind == "sequence") && !(w.High > 0 && w.High < 1e6 && w.Low == 0):
		return fmt.Errorf("correction: low %v, high %v: %s has no low, and a high above 0 (2 is usual)", w.Low, w.High, w.Kind)
	case (w.Kind == "band" || w.Kind == "geometric") && !(w.Low > 0 && w.Low <= 1 && w.High >= 1 && w.High < 1e6):
		return fmt.Errorf("correction: low %v, high %v, want 0 < low <= 1 <= high", w.Low, w.High)
	case w.None() && (w.Low != 0 || w.High != 0):
		return fmt.Errorf("correction: low %v, high %v without a kind", w.Low, w.High)
	case c.OnPolicy && !w.None():
		return fmt.Errorf("correction.kind: %q corrects nothing where on_policy demands equal bits", w.Kind)
	}
	return nil
}
