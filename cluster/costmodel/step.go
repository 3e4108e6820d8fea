package costmodel

import (
	"github.com/temper-ml/temper/cluster/costmodel/memory"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/distributed/schedule"
	"github.com/temper-ml/temper/model/arch"
)

// Step is a predicted training step.
type Step struct {
	Layout  Layout
	Devices int
	Seconds float64 // of one step
	Low     float64 // 5 % of steps like this are faster
	High    float64 // 5 % are slower
	Spread  Spread  // where the width of the interval comes from

	Shape     schedule.Shape
	Split     schedule.Split
	Chunks    []ChunkCost // index stage*Shape.Chunks+chunk
	Durations *schedule.Durations
	Timeline  *schedule.Timeline
	Stages    []StageCost // what each stage does once per step
	Critical  int         // the stage that decides the step's length

	Breakdown []Share // parts of the critical stage's time; they sum to Seconds exactly
	BoundBy   string  // compute, memory bandwidth, a link domain, pipeline bubble, host, optimizer
	Memory    []*memory.Report
}

// Share is a named part of the step.
type Share struct {
	Name    string
	Seconds float64
}

// StageCost is what one stage does once per step beside its passes, in seconds.
type StageCost struct {
	Gradients float64 // reduction of gradients, as far as nothing hides it
	Gather    float64 // gathering of weights, as far as nothing hides it
	Hidden    float64 // of both, what runs beside the passes
	Optimizer float64
	Offload   float64 // optimizer state to and from host memory
}

// Once returns everything that the stage does once per step.
func (s *StageCost) Once() float64 { return s.Gradients + s.Gather + s.Optimizer + s.Offload }

// Spread is the standard deviation of the logarithm of measured over predicted,
// by source.
type Spread struct {
	System float64 // between systems: machine, network, software of a site
	Row    float64 // between layouts on one system
	Beyond float64 // for what was never calibrated: device, schedule, kind of model
	Reason []string
}

// TokensPerSecond returns the rate of the whole cluster.
func (s *Step) TokensPerSecond(w Workload) float64 { return w.Tokens() / s.Seconds }

// Utilization is one figure of model or hardware FLOP/s utilization, with
// everything that its reader must know.
type Utilization struct {
	Convention arch.Convention
	Value      float64 // share of Peak
	Hardware   float64 // the same with recomputed operations counted
	PerToken   float64 // operations per token by the convention
	Peak       float64 // FLOP/s of one device
	DType      string  // of Peak
}

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
