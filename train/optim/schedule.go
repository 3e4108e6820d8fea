package optim

import (
	"fmt"
	"math"
)

// LRSchedule fully decides the learning rate of every step of a stage.
type LRSchedule struct {
	// Name is "constant", "linear", "cosine" or "wsd" (warm-up, stable, decay).
	Name string `yaml:"name" json:"name"`
	// Peak is the learning rate after warm-up.
	Peak float64 `yaml:"peak" json:"peak"`
	// Final is the learning rate of the last step, for schedules that decay.
	Final float64 `yaml:"final" json:"final"`
	// Warmup is the number of steps of linear warm-up from 0; step 0 takes Peak/Warmup.
	Warmup int64 `yaml:"warmup" json:"warmup"`
	// Decay is the number of final steps over which "wsd" falls, by a cosine.
	Decay int64 `yaml:"decay" json:"decay"`
}

// Check returns the first field that is out of range for a stage of steps steps.
func (s *LRSchedule) Check(steps int64) error {
	switch s.Name {
	case "constant", "linear", "cosine", "wsd":
	default:
		return fmt.Errorf("lr.name: %q is not known: use constant, linear, cosine or wsd", s.Name)
	}
	switch {
	case !(s.Peak > 0) || math.IsInf(s.Peak, 0):
		return fmt.Errorf("lr.peak: %v must be positive and finite", s.Peak)
	case !(s.Final >= 0) || s.Final > s.Peak:
		return fmt.Errorf("lr.final: %v must lie between 0 and the peak %v", s.Final, s.Peak)
	case s.Warmup < 0 || s.Warmup > steps:
		return fmt.Errorf("lr.warmup: %d steps do not fit into a stage of %d: use at most %d", s.Warmup, steps, steps)
	case s.Name == "wsd" && (s.Decay < 1 || s.Warmup+s.Decay > steps):
		return fmt.Errorf("lr.decay: %d steps after a warm-up of %d do not fit into a stage of %d: use 1 to %d", s.Decay, s.Warmup, steps, steps-s.Warmup)
	case s.Name != "wsd" && s.Decay != 0:
		return fmt.Errorf("lr.decay: only wsd has a decay length, %s got %d: remove it", s.Name, s.Decay)
	case s.Name == "constant" && s.Final != 0:
		return fmt.Errorf("lr.final: a constant schedule has none, got %v: remove it or use cosine", s.Final)
	}
	return nil
}

// At returns the learning rate of step (from 0) in a stage of steps steps.
func (s *LRSchedule) At(step, steps int64) float64 {
	if step < s.Warmup {
		return s.Peak * (float64(step+1) / float64(s.Warmup))
	}
	start := s.Warmup
	if s.Name == "wsd" {
		start = steps - s.Decay
	}
	if s.Name == "constant" || step < start {
		return s.Peak
	}
	// The last step, steps-1, takes exactly Final.
	x := 1.0
	if last := steps - 1 - start; last > 0 {
		x = min(1, float64(step-start)/float64(last))
	}
	if s.Name == "linear" {
		return s.Final + float64((s.Peak-s.Final)*(1-x))
	}
	c := cosine(x * (math.Pi / 2))
	return s.Final + float64((s.Peak-s.Final)*float64(c*c)) // cos²(πx/2) = (1+cos πx)/2
}

// cosine is cos y for y in [0, π/2] by its Taylor series: the same bits on
// every architecture, which math.Cos does not promise.
func cosine(y float64) float64 {
	y2, sum := y*y, 1.0
	for k := 26; k >= 2; k -= 2 { // cos y = 1 - y²/(1·2)·(1 - y²/(3·4)·(1 - ...))
		sum = 1 - float64(y2/float64(k*(k-1))*sum)
	}
	return sum
}
