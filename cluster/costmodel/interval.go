package costmodel

import (
	"fmt"
	"math"

	"github.com/temper-ml/temper/distributed/schedule"
)

// z90 is the number of standard deviations that hold 90 % of a normal law.
const z90 = 1.645

// interval fills Low and High. The spreads are those of the residuals in
// cross-validation, each system left out in turn.
func (m *Model) interval(s *Step) {
	sp := Spread{System: 0.06, Row: 0.05}
	more := func(v float64, format string, args ...any) {
		sp.Beyond = math.Hypot(sp.Beyond, v)
		sp.Reason = append(sp.Reason, fmt.Sprintf(format, args...))
	}
	if !m.Constants.Calibrated(DeviceKey(m.Cluster.Device.Name)) {
		more(0.10, "nothing was measured on %s", m.Cluster.Device.Name)
	}
	if m.Arch.Experts > 0 {
		more(0.07, "mixture of experts")
	}
	if k := s.Shape.Kind; k == schedule.ZBH1 || k == schedule.ZBV || k == schedule.GPipe {
		more(0.04, "schedule %s was never measured", k)
	}
	s.Spread = sp
	w := z90 * math.Sqrt(float64(sp.System*sp.System)+float64(sp.Row*sp.Row)+float64(sp.Beyond*sp.Beyond))
	s.Low, s.High = s.Seconds*math.Exp(-w), s.Seconds*math.Exp(w)
}
