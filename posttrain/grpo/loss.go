package grpo

import (
	"fmt"
	"math"

	"github.com/temper-ml/temper/internal/portable"
)

// Answer is a sampled answer to be learnt from, token by token.
type Answer struct {
	Advantage float64
	Truncated bool
	// Policy, Old, Sampled and Reference are the log-probabilities of its tokens
	// under π, π_old, μ and π_ref. Nil means: Old and Sampled as Policy without
	// gradient, Reference not needed.
	Policy, Old, Sampled, Reference []float32
}

// Divisors are a step's, known before its first gradient.
type Divisors struct {
	// Tokens and Sequences are those of all answers that take part ([Config.Counts]).
	Tokens, Sequences int64
}

// Add takes an answer of n tokens into account.
func (d *Divisors) Add(n int) {
	d.Tokens += int64(n)
	d.Sequences++
}

// Counts reports whether an answer takes part in a step at all.
func (c *Config) Counts(a *Answer) bool { return !(c.MaskTruncated && a.Truncated) }

// Terms are what an answer adds to a step's loss and to its diagnostics, summed
// over tokens unless said otherwise.
type Terms struct {
	Tokens int64 `json:"tokens"`
	// Loss and KL are divided as the step's loss is: their sums over the step
	// are the step's. KL is not weighted.
	Loss float64 `json:"loss"`
	KL   float64 `json:"kl"`
	// Clipped counts tokens whose gradient a bound took away, Dropped those that
	// a correction or the off-policy mask did.
	Clipped int64 `json:"clipped"`
	Dropped int64 `json:"dropped"`
	// Ratio is of ρ (or s), Weight of the correction.
	Ratio  float64 `json:"ratio"`
	Weight float64 `json:"weight"`
	// Mismatch is Σ |log π_old - log μ|, MaxMismatch the largest.
	Mismatch    float64 `json:"mismatch"`
	MaxMismatch float64 `json:"max_mismatch"`
}

// Add takes another answer's terms into account.
func (t *Terms) Add(o Terms) {
	t.Tokens += o.Tokens
	t.Loss += o.Loss
	t.KL += o.KL
	t.Clipped += o.Clipped
	t.Dropped += o.Dropped
	t.Ratio += o.Ratio
	t.Weight += o.Weight
	t.Mismatch += o.Mismatch
	t.MaxMismatch = max(t.MaxMismatch, o.MaxMismatch)
}

// bound keeps exponents of ratios finite, as every implementation does.
const bound = 20

func bounded(x float64) float64 { return min(max(x, -bound), bound) }

// Loss computes an answer's part of the step's loss and writes its gradient by
// the policy's log-probabilities to grad, one per token.
func (c *Config) Loss(a *Answer, d Divisors, grad []float64) (Terms, error) {
	clear(grad)
	n := len(a.Policy)
	for _, l := range [][]float32{a.Old, a.Sampled, a.Reference} {
		if l != nil && len(l) != n {
			return Terms{}, fmt.Errorf("%d log-probabilities for %d tokens", len(l), n)
		}
	}
	if len(grad) != n {
		return Terms{}, fmt.Errorf("room for %d gradients of %d tokens", len(grad), n)
	}
	if c.KL.Weight > 0 && a.Reference == nil {
		return Terms{}, fmt.Errorf("no log-probabilities of the reference, and a divergence of weight %v", c.KL.Weight)
	}
	if n == 0 || !c.Counts(a) {
		return Terms{}, nil
	}
	t := Terms{Tokens: int64(n)}
	if err := c.compare(a, &t); err != nil {
		return t, err
	}
	scale := c.scale(int64(n), d)
	weights, dropped := c.weights(a)
	if c.stale(a) {
		dropped = true
	}
	for _, w := range weights {
		t.Weight += w
		if w == 0 && !dropped {
			t.Dropped++
		}
	}
	if dropped {
		t.Dropped = int64(n)
	} else if c.Ratio == "sequence" {
		c.sequenceLoss(a, weights, scale, grad, &t)
	} else {
		c.tokenLoss(a, weights, scale, grad, &t)
	}
	if c.KL.Weight > 0 {
		c.divergence(a, scale, grad, &t)
	}
	return t, nil
}

// scale is what a token's loss is multiplied with.
func (c *Config) scale(n int64, d Divisors) float64 {
	switch c.Aggregate {
	case "token":
		return 1 / float64(d.Tokens)
	case "constant":
		return 1 / float64(d.Sequences*c.MaxTokens)
	}
	return 1 / float64(d.Sequences*n)
}

// compare looks at μ, π_old and π: they may have to be the same.
func (c *Config) compare(a *Answer, t *Terms) error {
	for i, p := range a.Policy {
		old, sampled := a.old(i), a.sampled(i)
		m := math.Abs(float64(old) - float64(sampled))
		t.Mismatch += m
		t.MaxMismatch = max(t.MaxMismatch, m)
		if c.OnPolicy && (math.Float32bits(old) != math.Float32bits(sampled) || math.Float32bits(old) != math.Float32bits(p)) {
			return fmt.Errorf("token %d: log-probability %v when it was sampled, %v before the update, %v in it: on-policy they are equal in every bit, so something is broken", i, sampled, old, p)
		}
	}
	return nil
}

// old is log π_old of a token.
func (a *Answer) old(i int) float32 {
	if a.Old == nil {
		return a.Policy[i]
	}
	return a.Old[i]
}

// sampled is log μ of a token.
func (a *Answer) sampled(i int) float32 {
	if a.Sampled == nil {
		return a.old(i)
	}
	return a.Sampled[i]
}

// logRatio is log π - log π_old of a token, bounded.
func (a *Answer) logRatio(i int) float64 {
	return bounded(float64(a.Policy[i]) - float64(a.old(i)))
}

// tokenLoss is the loss with a ratio for each token.
func (c *Config) tokenLoss(a *Answer, weights []float64, scale float64, grad []float64, t *Terms) {
	for i := range a.Policy {
		ratio := portable.Exp(a.logRatio(i))
		t.Ratio += ratio
		loss, slope, clipped := c.surrogate(ratio, a.Advantage, float64(a.Policy[i]))
		if clipped {
			t.Clipped++
		}
		w := float64(weights[i] * scale)
		t.Loss += float64(w * loss)
		grad[i] += float64(w * slope)
	}
}

// sequenceLoss is the loss with one ratio for all tokens, the geometric mean of
// theirs; its gradient reaches every token alike (GSPO, eq. 7).
func (c *Config) sequenceLoss(a *Answer, weights []float64, scale float64, grad []float64, t *Terms) {
	n := len(a.Policy)
	mean := 0.0
	for i := range a.Policy {
		mean += float64(a.Policy[i]) - float64(a.old(i))
	}
	ratio := portable.Exp(bounded(mean / float64(n)))
	share := 0.0 // of the log-probabilities' mean in the objective's log π
	for i := range a.Policy {
		t.Ratio += ratio
		loss, slope, clipped := c.surrogate(ratio, a.Advantage, float64(a.Policy[i]))
		if clipped {
			t.Clipped++
		}
		w := float64(weights[i] * scale)
		t.Loss += float64(w * loss)
		if c.Objective == "cispo" { // the gradient is that of log π of this token
			grad[i] += float64(w * slope)
			continue
		}
		share += float64(w*slope) / float64(n)
	}
	for i := range grad {
		grad[i] += share
	}
}

// surrogate returns a token's loss and its slope by log π.
func (c *Config) surrogate(ratio, advantage, logp float64) (loss, slope float64, clipped bool) {
	low, high := 1-c.ClipLow, 1+c.ClipHigh
	kept := min(max(ratio, low), high)
	if c.Objective == "cispo" {
		f := -float64(kept * advantage)
		return float64(f * logp), f, kept != ratio
	}
	free, held := -float64(ratio*advantage), -float64(kept*advantage)
	if held > free {
		loss, slope, clipped = held, 0, true
	} else {
		loss, slope = free, free // d ratio / d log π = ratio
	}
	if c.DualClip != 0 && advantage < 0 && loss > -float64(c.DualClip*advantage) {
		return -float64(c.DualClip * advantage), 0, true
	}
	return loss, slope, clipped
}
