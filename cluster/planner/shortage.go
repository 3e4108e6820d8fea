package planner

import (
	"context"
	"fmt"

	"github.com/temper-ml/temper/cluster/costmodel"
)

// Shortage says what does not fit when nothing does.
type Shortage struct {
	Layout  string   `json:"layout"` // the one that needs least
	Memory  Memory   `json:"memory_bytes"`
	Over    int64    `json:"over_bytes"`
	Largest string   `json:"largest_part"`
	Factor  float64  `json:"memory_factor"` // memory needed over memory there is
	Nearest []string `json:"nearest_changes"`
}

// shortage explains why nothing fits; nil when no layout is legal at all.
func (x *explored) shortage(ctx context.Context) (*Shortage, error) {
	short := x.all.found.short
	if short.memory >= starving { // refused mesh by mesh: look at every layout
		p := *x.p
		p.hungry = true
		all, err := p.each(ctx, 0, func(w *worker, u *unit) { w.run(u) })
		if err != nil {
			return nil, err
		}
		short = all.found.short
	}
	if short.memory >= starving {
		return nil, nil
	}
	r := x.p.request
	o := r.Options
	o.AnyMemory = true
	m, err := costmodel.New(r.Model, r.Cluster, r.Devices, r.Workload, o)
	if err != nil {
		return nil, err
	}
	s, err := m.Evaluate(x.p.layout(short.at))
	if err != nil {
		return nil, err
	}
	mem := newMemory(m, s)
	out := &Shortage{Layout: s.Layout.String(), Memory: mem, Over: -mem.Headroom, Factor: float64(mem.Occupied) / float64(mem.Capacity)}
	most := int64(-1)
	for _, part := range mem.Parts() {
		if part.Bytes > most {
			out.Largest, most = part.Name, part.Bytes
		}
	}
	out.Nearest = append(out.Nearest, fmt.Sprintf("memory of %.1f GiB per device instead of %.1f GiB", gib(mem.Occupied), gib(mem.Capacity)))
	return out, nil
}

func gib(bytes int64) float64 { return float64(bytes) / (1 << 30) }

// NamedBytes is a part of the memory.
type NamedBytes struct {
	Name  string
	Bytes int64
}

// Parts lists what Total is made of.
func (m *Memory) Parts() []NamedBytes {
	return []NamedBytes{
		{"weights", m.Weights},
		{"gradients", m.Gradients},
		{"optimizer", m.Optimizer},
		{"activations", m.Activations},
		{"buffers", m.Buffers},
		{"workspace", m.Workspace},
		{"fragmentation", m.Fragmentation},
	}
}

// Why says what kept everything out: memory if any layout was legal at all.
func (a *Answer) Why() string {
	rules := a.Rejected.Rules()
	if a.Shortage != nil {
		return fmt.Sprintf("memory: %.2f times what there is", a.Shortage.Factor)
	}
	if len(rules) == 0 {
		return ""
	}
	return rules[0] + ": " + a.Rejected[rules[0]].Text
}

// StateBytes returns what all devices together must hold at least: one copy of
// weights, gradients and optimizer state, without what can live on the host.
func StateBytes(r Request) (int64, error) {
	r.Devices = max(1, r.Cluster.NodeSize)
	r.Space.TP, r.Space.CP, r.Space.PP, r.Space.EP, r.Space.ETP = []int{1}, []int{1}, []int{1}, []int{1}, []int{1}
	r.Space.MicroBatch = []int{1}
	p, err := newProblem(r)
	if err != nil {
		return 0, err
	}
	w := p.newWorker(0)
	u := p.units[0]
	w.measure(&u)
	k := p.keeper
	k.denseRanks, k.expertRanks = 1, 1
	h := holding{parameters: u.floors.parameters, head: -1, mtp: -1, block: -1, embedding: -1}
	k.settle(&h)
	device, _ := k.total(&h, 0, p.runs.offload)
	return max(0, device-k.engine.Runtime), nil
}
