package grpo

import "github.com/temper-ml/temper/internal/portable"

// divergence adds the divergence from the reference.
func (c *Config) divergence(a *Answer, scale float64, grad []float64, t *Terms) {
	for i, p := range a.Policy {
		d := bounded(float64(p) - float64(a.Reference[i]))
		value, slope := c.KL.estimate(d)
		if c.KL.Unbiased {
			r := portable.Exp(a.logRatio(i))
			value, slope = float64(r*value), float64(r*(slope+value))
		}
		t.KL += float64(scale * value)
		t.Loss += float64(c.KL.Weight * float64(scale*value))
		grad[i] += float64(c.KL.Weight * float64(scale*slope))
	}
}

// estimate returns an estimate from d = log π - log π_ref, and its slope by log π.
func (k *KL) estimate(d float64) (value, slope float64) {
	switch k.Estimator {
	case "k1":
		return d, 1
	case "k2":
		return float64(0.5*d) * d, d
	}
	e := portable.Expm1(-d)
	value, slope = e+d, -e // slope of k3: 1 - e^-d
	if k.Estimator == "k3+" {
		slope = d
	}
	return value, slope
}

// weights are the correction's, one per token; dropped says that the whole
// answer has none.
func (c *Config) weights(a *Answer) (weights []float64, dropped bool) {
	n := len(a.Policy)
	weights = make([]float64, n)
	sum := 0.0
	for i := range weights {
		l := float64(a.old(i)) - float64(a.sampled(i))
		sum += l
		weights[i] = portable.Exp(bounded(l))
	}
	k := &c.Correction
	switch k.Kind {
	case "", "none":
		fill(weights, 1)
	case "token":
		for i, w := range weights {
			weights[i] = min(w, k.High)
		}
	case "sequence":
		fill(weights, min(portable.Exp(bounded(sum)), k.High))
	case "band":
		for i, w := range weights {
			if w < k.Low || w > k.High {
				weights[i] = 0
			}
		}
	case "geometric":
		mean := portable.Exp(bounded(sum / float64(n)))
		dropped = mean < k.Low || mean > k.High
	}
	return weights, dropped
}

func fill(list []float64, v float64) {
	for i := range list {
		list[i] = v
	}
}

// stale reports whether the off-policy mask drops the answer: the policy has
// moved away from it, and it was a bad one.
func (c *Config) stale(a *Answer) bool {
	if c.OffPolicy == 0 || a.Advantage >= 0 {
		return false
	}
	sum := 0.0
	for i, p := range a.Policy {
		sum += float64(a.sampled(i)) - float64(p)
	}
	return sum/float64(len(a.Policy)) > c.OffPolicy
}
