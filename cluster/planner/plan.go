package planner

import (
	"errors"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/model/arch"
)

// Answer is everything that one search found, in the form that --json prints.
type Answer struct {
	Model   string `json:"model"`
	Cluster string `json:"cluster"`
	Devices int    `json:"devices"`                // that the plans use
	Idle    int    `json:"devices_idle,omitempty"` // left over because nothing fits on all of them
	WhyIdle string `json:"devices_idle_because,omitempty"`
	Engine  string `json:"engine"`
	Step    Work   `json:"step"` // what one training step does
	Fits    bool   `json:"fits"`

	Plans    []Plan          `json:"plans"`              // best first, one for each mesh and micro-batch size: its best layout
	Families map[string]Plan `json:"families,omitempty"` // schedule -> its best plan, within 30 % of the best
	Pareto   []Plan          `json:"pareto,omitempty"`   // step time against memory, fastest first, within 30 % of the best

	Rejected    Rejections   `json:"rejected"`
	Considered  int64        `json:"layouts_considered"` // = rejected + bounded away + fit
	Bounded     int64        `json:"layouts_bounded"`    // cannot be within 30 % of the best, and were not looked at one by one
	Scored      int64        `json:"layouts_scored"`     // memory counted and time bounded, one by one
	Timed       int64        `json:"layouts_timed"`      // timed exactly, action by action
	Certificate *Certificate `json:"certificate,omitempty"`

	Shortage *Shortage `json:"shortage,omitempty"` // when nothing fits: what is too much, by how much
	Fixes    []Fix     `json:"what_would_help,omitempty"`
	Smallest *Smallest `json:"smallest,omitempty"`
	Compare  []Compare `json:"compare,omitempty"`

	SearchSeconds float64 `json:"search_seconds"` // wall clock, filled in by whoever has one
}

// Work is what one training step does.
type Work struct {
	Seq         int    `json:"seq"`
	GlobalBatch int    `json:"global_batch"` // sequences
	Tokens      int64  `json:"tokens"`
	DType       string `json:"dtype"`
	Routing     string `json:"routing"`
	Optimizer   string `json:"optimizer"`
}

// Plan is one layout with everything predicted about it.
type Plan struct {
	Layout       Layout             `json:"layout"`
	Text         string             `json:"layout_text"` // as --layout takes it
	StepSeconds  float64            `json:"step_seconds"`
	StepInterval [2]float64         `json:"step_seconds_interval"` // 90 %
	Uncertain    []string           `json:"uncertain_because,omitempty"`
	TokensPerSec float64            `json:"tokens_per_second"`
	PerDevice    float64            `json:"tokens_per_second_per_device"`
	MFU          MFU                `json:"mfu"`
	MemoryBytes  Memory             `json:"memory_bytes"`
	Breakdown    map[string]float64 `json:"breakdown_seconds"` // of the stage that decides; the parts sum to step_seconds
	BoundBy      string             `json:"bound_by"`
	LowerBound   float64            `json:"lower_bound_seconds,omitempty"` // what the search knew before it timed the layout

	// Evaluated is the prediction with all its detail, for simulators and text.
	Evaluated *costmodel.Step `json:"-"`
}

// Layout is a way of spreading the model, by the names that flags use.
type Layout struct {
	TP         int    `json:"tp"`
	CP         int    `json:"cp"`
	DP         int    `json:"dp"`
	PP         int    `json:"pp"`
	VPP        int    `json:"vpp"`
	EP         int    `json:"ep"`
	ETP        int    `json:"etp"`
	MicroBatch int    `json:"micro_batch"`
	Micros     int    `json:"micro_batches"`
	Schedule   string `json:"schedule"`
	Recompute  string `json:"recompute"`
	Zero       int    `json:"zero"`
	Offload    string `json:"offload"`
	Blocks     []int  `json:"blocks"` // in each position along the forward pass
}

// MFU is a share of peak with what it was divided by.
type MFU struct {
	Value        float64            `json:"value"`
	Convention   string             `json:"convention"`
	PeakTFLOPs   float64            `json:"peak_tflops"`
	DType        string             `json:"dtype"`
	ByConvention map[string]float64 `json:"by_convention"`
	HFU          float64            `json:"hfu"` // recomputation counted too
}

// Memory is the memory of the fullest rank at its worst moment. The parts from
// weights to workspace sum to Total, what frameworks report as most allocated;
// with Fragmentation it is Occupied, which has to fit.
type Memory struct {
	Total         int64   `json:"total"`
	Weights       int64   `json:"weights"`
	Gradients     int64   `json:"gradients"`
	Optimizer     int64   `json:"optimizer"`
	Activations   int64   `json:"activations"`
	Buffers       int64   `json:"buffers"`
	Workspace     int64   `json:"workspace"`
	Fragmentation int64   `json:"fragmentation"` // reserved but not handed out, and what never passes the allocator
	Occupied      int64   `json:"occupied"`
	Reserved      int64   `json:"reserved"` // what frameworks report as most reserved
	Capacity      int64   `json:"capacity"`
	Headroom      int64   `json:"headroom"` // negative when it does not fit
	Host          int64   `json:"host"`     // host memory that offloading takes
	Stage         int     `json:"stage"`    // the fullest
	PeakMoment    string  `json:"peak_moment"`
	Stages        []int64 `json:"stages"` // occupied, of each stage
}

// Certificate says why no other layout is better, under the model.
type Certificate struct {
	Statement    string  `json:"statement"`
	BestSeconds  float64 `json:"best_seconds"`
	BoundSeconds float64 `json:"bound_seconds"` // no layout that was not timed is faster
	Gap          float64 `json:"gap"`           // share by which an unseen layout could be faster; 0 proves the answer
	Proved       bool    `json:"proved"`
}

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
		if r.Total <= out.Occupied {
			continue
		}
		stages := out.Stages
		out = Memory{
			Total: r.Allocated, Occupied: r.Total, Weights: r.Weights, Gradients: r.Gradients, Optimizer: r.Optimizer, Activations: r.Activations,
			Buffers: r.Buffers, Workspace: r.Workspace, Fragmentation: r.Fragmentation, Reserved: r.Reserved,
			Host: r.Host, Stage: stage, PeakMoment: r.PeakMoment, Stages: stages,
		}
	}
	out.Capacity = m.Cluster.Device.Memory
	out.Headroom = out.Capacity - out.Occupied
	return out
}

// One evaluates exactly one layout. A layout that needs more memory than there is
// has its plan all the same, and says in Rejected what is too much. A layout that
// breaks another rule gives a [*costmodel.Rejection].
func One(r Request, l costmodel.Layout) (*Answer, error) {
	o := r.Options
	o.AnyMemory = true
	m, err := costmodel.New(r.Model, r.Cluster, r.Devices, r.Workload, o)
	if err != nil {
		return nil, err
	}
	s, err := m.Evaluate(l)
	if err != nil {
		return nil, err
	}
	a := newAnswer(r, m)
	a.Plans = []Plan{newPlan(m, s)}
	a.Considered, a.Scored, a.Timed = 1, 1, 1
	tooMuch := m.CheckMemory(s)
	a.Fits = tooMuch == nil
	var refused *costmodel.Rejection
	if errors.As(tooMuch, &refused) {
		a.Rejected[refused.Rule] = Refusal{Count: 1, Example: l.String(), Text: refused.Text}
	}
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

// Refused returns the answer to a request of which nothing is left: the caller
// says why in Rejected.
func Refused(r Request) *Answer {
	engine := costmodel.UsualEngine(r.Model, r.Cluster)
	if r.Options.Engine != nil {
		engine = r.Options.Engine.Name
	}
	w := r.Workload
	return &Answer{
		Model: r.Name, Cluster: r.Cluster.Name, Devices: r.Devices, Engine: engine, Plans: []Plan{}, Rejected: Rejections{}, Considered: 1,
		Step: Work{Seq: w.Seq, GlobalBatch: w.GlobalBatch, Tokens: int64(w.Seq) * int64(w.GlobalBatch), DType: w.DType, Routing: w.Routing, Optimizer: w.Optimizer},
	}
}
