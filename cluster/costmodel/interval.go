package costmodel

import (
	"fmt"
	"math"

	"github.com/temper-ml/temper/distributed/schedule"
)

// measuredSchedules are the orders of passes that rows of the fit have.
var measuredSchedules = map[schedule.Kind]bool{
	schedule.OneFOneB: true, schedule.Interleaved: true, schedule.DualPipe: true, schedule.DualPipeV: true,
}

// interval fills Low and High from the widths that come with the constants.
func (m *Model) interval(s *Step) {
	w := m.Constants.Widths()
	n := Novelty{
		MoE:      m.Arch.Experts > 0,
		Device:   !m.Constants.Calibrated(DeviceKey(m.Cluster.Device.Name)),
		Schedule: s.Shape.Stages > 1 && !measuredSchedules[s.Shape.Kind],
	}
	s.Spread = Spread{System: w.System, Row: w.Row, Beyond: w.beyond(n)}
	if n.Device {
		s.Spread.Reason = append(s.Spread.Reason, fmt.Sprintf("few or no steps were measured on %s", m.Cluster.Device.Name))
	}
	if n.MoE {
		s.Spread.Reason = append(s.Spread.Reason, "mixture of experts")
	}
	if n.Schedule {
		s.Spread.Reason = append(s.Spread.Reason, fmt.Sprintf("schedule %s was never measured", s.Shape.Kind))
	}
	s.Low, s.High = w.Interval(s.Seconds, n)
}

// Widths says how far a step that was never measured may be from its
// prediction: standard deviations of the logarithm, added in squares, by what
// is new about it. They come from cross-validation, each measured system left
// out of the fit in turn.
type Widths struct {
	Row      float64 `yaml:"row"`      // two layouts on one system differ by this for no reason that the model knows
	System   float64 `yaml:"system"`   // another site, network or version of the engine on a measured device
	Device   float64 `yaml:"device"`   // a device on which few or no steps were measured
	MoE      float64 `yaml:"moe"`      // a model with experts
	Schedule float64 `yaml:"schedule"` // an order of passes that was never measured
	Factor   float64 `yaml:"factor"`   // standard deviations on each side of a 90 % interval
}

// Novelty is what is new about a step, as far as its interval depends on it.
type Novelty struct{ MoE, Device, Schedule bool }

// Sigma is the standard deviation of the logarithm of measured over predicted.
func (w Widths) Sigma(n Novelty) float64 {
	v := float64(w.Row*w.Row) + float64(w.System*w.System)
	beyond := w.beyond(n)
	return math.Sqrt(v + float64(beyond*beyond))
}

// beyond is the part of Sigma that comes from what was never calibrated.
func (w Widths) beyond(n Novelty) float64 {
	v := 0.0
	if n.MoE {
		v += float64(w.MoE * w.MoE)
	}
	if n.Device {
		v += float64(w.Device * w.Device)
	}
	if n.Schedule {
		v += float64(w.Schedule * w.Schedule)
	}
	return math.Sqrt(v)
}

// Interval is the 90 % interval around a predicted time.
func (w Widths) Interval(seconds float64, n Novelty) (low, high float64) {
	f := math.Exp(w.Factor * w.Sigma(n))
	return seconds / f, seconds * f
}

// Check reports a width that no standard deviation can have.
func (w Widths) Check() error {
	for _, x := range []struct {
		name  string
		value float64
	}{{"row", w.Row}, {"system", w.System}, {"device", w.Device}, {"moe", w.MoE}, {"schedule", w.Schedule}} {
		if !(x.value >= 0 && x.value <= 1) {
			return fmt.Errorf("widths: %s is %v, must lie in 0..1", x.name, x.value)
		}
	}
	if !(w.Factor >= 1 && w.Factor <= 10) {
		return fmt.Errorf("widths: factor is %v, must lie in 1..10", w.Factor)
	}
	if w.Sigma(Novelty{}) == 0 {
		return fmt.Errorf("widths: row and system are both 0, one must be above 0")
	}
	return nil
}
