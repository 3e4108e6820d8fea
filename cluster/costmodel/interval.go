package costmodel

import (
	"fmt"

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
