package planner

import (
	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/model/arch"
)

// conventions are the ways of counting operations that a plan reports; the
// first is the one of mfu.value.
var conventions = []arch.Convention{arch.ByLedger, arch.Megatron, arch.Verl, arch.Torchtitan}

// newPlan turns an evaluated step into a plan.
func newPlan(m *costmodel.Model, s *costmodel.Step) Plan {
	rate := s.TokensPerSecond(m.Workload)
	p := Plan{
		Layout: newLayout(s), Text: s.Layout.String(),
		StepSeconds: s.Seconds, StepInterval: [2]float64{s.Low, s.High}, Uncertain: s.Spread.Reason,
		TokensPerSec: rate, PerDevice: rate / float64(m.Devices),
		MFU: newMFU(m, s), MemoryBytes: newMemory(m, s), Breakdown: map[string]float64{}, BoundBy: s.BoundBy, Evaluated: s,
	}
	for _, b := range s.Breakdown {
		p.Breakdown[b.Name] += b.Seconds
	}
	return p
}

func newLayout(s *costmodel.Step) Layout {
	l, m := s.Layout, s.Layout.Mesh
	out := Layout{
		TP: m.TP, CP: m.CP, DP: m.DP, PP: m.PP, VPP: l.Chunks, EP: m.EP, ETP: m.ETP, MicroBatch: l.MicroBatch, Micros: s.Shape.Micro,
		Schedule: string(s.Shape.Kind), Recompute: l.Recompute, Zero: l.Zero, Offload: l.Offload,
	}
	for _, part := range s.Split.Parts {
		out.Blocks = append(out.Blocks, part.Blocks)
	}
	return out
}

func newMFU(m *costmodel.Model, s *costmodel.Step) MFU {
	out := MFU{ByConvention: map[string]float64{}}
	for i, c := range conventions {
		u, err := m.Utilization(s, c)
		if err != nil {
			continue
		}
		out.ByConvention[string(c)] = u.Value
		if i == 0 {
			out.Value, out.Convention, out.PeakTFLOPs, out.DType, out.HFU = u.Value, string(c), u.Peak/1e12, u.DType, u.Hardware
		}
	}
	return out
}

func newMemory(m *costmodel.Model, s *costmodel.Step) Memory {
	var out Memory
	for stage, r := range s.Memory {
		out.Stages = append(out.Stages, r.Total)
		if r.Total <= out.Total {
			continue
		}
		stages := out.Stages
		out = Memory{
			Total: r.Total, Weights: r.Weights, Gradients: r.Gradients, Optimizer: r.Optimizer, Activations: r.Activations,
			Buffers: r.Buffers, Workspace: r.Workspace, Fragmentation: r.Fragmentation, Allocated: r.Allocated, Reserved: r.Reserved,
			Host: r.Host, Stage: stage, PeakMoment: r.PeakMoment, Stages: stages,
		}
	}
	out.Capacity = m.Cluster.Device.Memory
	out.Headroom = out.Capacity - out.Total
	return out
}

// One evaluates exactly one layout. A layout that is not legal, or does not fit,
// is refused with a *costmodel.Rejection; with Options.AnyMemory it may be larger
// than the memory.
func One(r Request, l costmodel.Layout) (*Answer, error) {
	m, err := costmodel.New(r.Model, r.Cluster, r.Devices, r.Workload, r.Options)
	if err != nil {
		return nil, err
	}
	s, err := m.Evaluate(l)
	if err != nil {
		return nil, err
	}
	a := newAnswer(r, m)
	a.Plans = []Plan{newPlan(m, s)}
	a.Fits = a.Plans[0].MemoryBytes.Headroom >= 0
	a.Considered, a.Scored, a.Timed = 1, 1, 1
	return a, nil
}

// newAnswer returns an answer to a request, without any plans yet.
func newAnswer(r Request, m *costmodel.Model) *Answer {
	w := m.Workload
	return &Answer{
		Model: r.Name, Cluster: r.Cluster.Name, Devices: r.Devices, Engine: m.Engine.Name, Plans: []Plan{}, Rejected: Rejections{},
		Step: Work{Seq: w.Seq, GlobalBatch: w.GlobalBatch, Tokens: int64(w.Seq) * int64(w.GlobalBatch), DType: w.DType, Routing: w.Routing, Optimizer: w.Optimizer},
	}
}
