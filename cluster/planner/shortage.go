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
	out := &Shortage{Layout: s.Layout.String(), Memory: mem, Over: -mem.Headroom, Factor: float64(mem.Total) / float64(mem.Capacity)}
	most := int64(-1)
	for _, part := range mem.parts() {
		if part.bytes > most {
			out.Largest, most = part.name, part.bytes
		}
	}
	out.Nearest = append(out.Nearest, fmt.Sprintf("memory of %.1f GiB per device instead of %.1f GiB", gib(mem.Total), gib(mem.Capacity)))
	return out, nil
}

func gib(bytes int64) float64 { return float64(bytes) / (1 << 30) }

type namedBytes struct {
	name  string
	bytes int64
}

// parts lists what Total is made of.
func (m *Memory) parts() []namedBytes {
	return []namedBytes{
		{"weights", m.Weights}, {"gradients", m.Gradients}, {"optimizer", m.Optimizer}, {"activations", m.Activations},
		{"buffers", m.Buffers}, {"workspace", m.Workspace}, {"fragmentation", m.Fragmentation},
	}
}
