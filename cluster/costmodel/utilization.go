package costmodel

import (
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/model/arch"
)

// conventions are the ways of counting that [Model.Utilizations] reports.
var conventions = []arch.Convention{arch.Megatron, arch.Verl, arch.Torchtitan, arch.ByLedger}

// Utilizations returns the step's utilization by every convention, against the
// peak of the format that the products run in.
func (m *Model) Utilizations(s *Step) []Utilization {
	var out []Utilization
	for _, c := range conventions {
		if u, err := m.Utilization(s, c); err == nil {
			out = append(out, u)
		}
	}
	return out
}

// Utilization returns the step's utilization by one convention.
func (m *Model) Utilization(s *Step, by arch.Convention) (Utilization, error) {
	each, err := m.perToken(by)
	if err != nil {
		return Utilization{}, err
	}
	format := m.Workload.product()
	peak, ok := m.Cluster.Device.PeakOf(format)
	if !ok {
		format = hardware.BF16
		peak, _ = m.Cluster.Device.PeakOf(format)
	}
	u := Utilization{Convention: by, PerToken: each, Peak: peak, DType: string(format)}
	u.Value = each * m.Workload.Tokens() / (s.Seconds * float64(m.Devices) * peak)
	u.Hardware = u.Value * (1 + m.again(s))
	return u, nil
}

func (m *Model) perToken(by arch.Convention) (float64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok := m.flops[by]; ok {
		return v, nil
	}
	v, err := m.Arch.FLOPsPerToken(by, m.Workload.Seq)
	if err == nil {
		m.flops[by] = v
	}
	return v, err
}

// again returns the recomputed operations over those of the step without them.
func (m *Model) again(s *Step) float64 {
	cell := m.Cell(m.key(s.Layout))
	var once, more float64
	for _, class := range cell.Class {
		w := cell.Parts[class].Work
		for i := range w.Forward {
			once += float64(3 * w.Forward[i].FLOPs)
		}
		for _, o := range w.Again(cell.Key.Recompute) {
			more += o.FLOPs
		}
	}
	if once == 0 {
		return 0
	}
	return more / once
}
