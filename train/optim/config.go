package optim

import "fmt"

// Config fully decides an optimizer.
type Config struct {
	// Name is "muon" (matrices by Muon, the rest by AdamW) or "adamw".
	Name string `yaml:"name" json:"name"`
	// AdamW is the rule for everything that Muon does not take.
	AdamW AdamW `yaml:"adamw" json:"adamw"`
	// Muon is the rule for matrices when Name is "muon".
	Muon Muon `yaml:"muon" json:"muon"`
	// Clip bounds the global gradient norm before the update; 0 means no bound.
	Clip float64 `yaml:"clip" json:"clip"`
}

// AdamW holds the constants of Loshchilov and Hutter's AdamW in the form
// θ ← θ(1-ηλ) - η·(m/(1-β1^t)) / (√(v/(1-β2^t)) + ε).
type AdamW struct {
	Beta1 float64 `yaml:"beta1" json:"beta1"`
	Beta2 float64 `yaml:"beta2" json:"beta2"`
	// Epsilon is added after the square root of the corrected second moment.
	Epsilon float64 `yaml:"epsilon" json:"epsilon"`
	// WeightDecay is λ, applied to embedding, head and matrices; vectors
	// (norms, gates, biases, sinks) are never decayed.
	WeightDecay float64 `yaml:"weight_decay" json:"weight_decay"`
}

// Muon holds the constants of V4's Muon (technical report §2.4, §4.2.2).
type Muon struct {
	// Momentum is μ of M ← μM + G; the update orthogonalises μM + G (Nesterov).
	Momentum float64 `yaml:"momentum" json:"momentum"`
	// WeightDecay is λ of W ← W(1-ηλ) - ηO.
	WeightDecay float64 `yaml:"weight_decay" json:"weight_decay"`
	// RMS is γ of O = O'·√max(n,m)·γ: the root mean square of an update.
	RMS float64 `yaml:"rms" json:"rms"`
}

// Default returns V4's published recipe: Muon 0.95/0.1/0.18, AdamW
// 0.9/0.95/1e-20/0.1, clipping at 1.
func Default() Config {
	return Config{
		Name:  "muon",
		AdamW: AdamW{Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-20, WeightDecay: 0.1},
		Muon:  Muon{Momentum: 0.95, WeightDecay: 0.1, RMS: 0.18},
		Clip:  1,
	}
}

// Check returns the first field outside its range.
func (c *Config) Check() error {
	if c.Name != "muon" && c.Name != "adamw" {
		return fmt.Errorf("optimizer.name: %q is not known: use muon or adamw", c.Name)
	}
	for _, f := range []struct {
		name         string
		value        float64
		low, high    float64
		highIncluded bool
	}{
		{"adamw.beta1", c.AdamW.Beta1, 0, 1, false},
		{"adamw.beta2", c.AdamW.Beta2, 0, 1, false},
		{"adamw.epsilon", c.AdamW.Epsilon, 0, 1, false},
		{"adamw.weight_decay", c.AdamW.WeightDecay, 0, 10, true},
		{"muon.momentum", c.Muon.Momentum, 0, 1, false},
		{"muon.weight_decay", c.Muon.WeightDecay, 0, 10, true},
		{"muon.rms", c.Muon.RMS, 0, 10, true},
		{"clip", c.Clip, 0, 1e9, true},
	} {
		if !(f.value >= f.low) || f.value > f.high || f.value == f.high && !f.highIncluded {
			return fmt.Errorf("optimizer.%s: %v is outside [%v, %v)", f.name, f.value, f.low, f.high)
		}
	}
	if c.Name == "muon" && c.Muon.RMS == 0 {
		return fmt.Errorf("optimizer.muon.rms: 0 would never move a matrix: V4 uses 0.18")
	}
	return nil
}
