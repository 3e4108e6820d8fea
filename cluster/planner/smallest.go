package planner

import (
	"context"
	"fmt"

	"github.com/temper-ml/temper/cluster/costmodel"
)

// Smallest is the least number of devices on which some layout of a step fits.
type Smallest struct {
	Devices int    `json:"devices"` // 0: none up to the largest that was tried
	Nodes   int    `json:"nodes"`
	Plan    *Plan  `json:"plan,omitempty"` // the fastest layout there
	Sizes   []Size `json:"sizes"`          // every size tried, ascending: whether more devices always fit is not assumed
	Least   int64  `json:"state_bytes"`    // bytes that the whole cluster must hold at least
}

// Size is one number of devices that was tried.
type Size struct {
	Devices int    `json:"devices"`
	Fits    bool   `json:"fits"`
	Why     string `json:"why,omitempty"` // the rule that refused most, when nothing fits
}

// How far a search for the smallest cluster goes: sizes tried at most, and how
// many after the first that fits, to show whether larger ones fit as well.
const (
	maxSizes  = 96
	moreSizes = 2
)

// FindSmallest tries whole nodes (below one node: its divisors), from the
// least that could hold the state upwards. The request's number of devices is
// the largest that is tried; 0 stands for as many as the description covers.
func FindSmallest(ctx context.Context, r Request) (*Smallest, error) { return findFrom(ctx, r, 1) }

// findFrom tries numbers of devices that are at least from.
func findFrom(ctx context.Context, r Request, from int) (*Smallest, error) {
	most := r.Devices
	if most < 1 {
		most = r.Cluster.MaxDevices
	}
	least, err := stateBytes(r)
	if err != nil {
		return nil, err
	}
	out := &Smallest{Least: least}
	fits := 0
	for _, n := range sizes(r.Cluster.NodeSize, max(from, int(least/max(1, r.Cluster.Device.Memory))), most) {
		if len(out.Sizes) == maxSizes || fits > moreSizes {
			break
		}
		r.Devices, r.Top = n, 1
		a, err := Search(ctx, r)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			out.Sizes = append(out.Sizes, Size{Devices: n, Why: err.Error()})
			continue
		}
		s := Size{Devices: n, Fits: a.Fits}
		if rules := a.Rejected.Rules(); !a.Fits && len(rules) > 0 {
			s.Why = a.why(rules)
		}
		out.Sizes = append(out.Sizes, s)
		if !a.Fits {
			continue
		}
		if fits++; out.Plan == nil {
			out.Devices, out.Nodes, out.Plan = n, r.Cluster.Nodes(n), &a.Plans[0]
		}
	}
	return out, nil
}

// why says what kept everything out: memory if any layout was legal at all.
func (a *Answer) why(rules []string) string {
	if a.Shortage != nil {
		return fmt.Sprintf("memory: %.2f times what there is", a.Shortage.Factor)
	}
	if len(rules) == 0 {
		return ""
	}
	return rules[0] + ": " + a.Rejected[rules[0]].Text
}

// sizes lists numbers of devices from the least to the most: divisors of a node,
// then whole nodes, in growing strides so that about a hundred cover any range.
func sizes(node, least, most int) []int {
	node = max(1, node)
	var out []int
	for _, d := range divisors(node, node-1) {
		if d >= max(1, least) && d <= most {
			out = append(out, d)
		}
	}
	for nodes := max(1, (least+node-1)/node); nodes*node <= most; {
		out = append(out, nodes*node)
		stride := 1
		for stride*24 <= nodes {
			stride *= 2
		}
		nodes = nodes/stride*stride + stride
	}
	return out
}

// stateBytes returns what all devices together must hold at least: one copy of
// weights, gradients and optimizer state, without what can live on the host.
func stateBytes(r Request) (int64, error) {
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

// SearchWithin searches with all devices of the request and, when nothing fits on
// exactly so many, with fewer whole nodes: a number of devices with an awkward
// factor (1,000 cards) is rarely used to the last one. Among the sizes down to
// three quarters it takes the one of most tokens per second, and leaves the other
// devices idle.
func SearchWithin(ctx context.Context, r Request) (*Answer, error) {
	a, err := Search(ctx, r)
	if err != nil || a.Fits {
		return a, err
	}
	node := max(1, r.Cluster.NodeSize)
	best, most := 0, 0.0
	for n := (r.Devices - 1) / node * node; n > 0 && 4*n >= 3*r.Devices; n -= node {
		v := r
		v.Devices = n
		s, err := fastest(ctx, v, nil)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil || s == nil {
			continue
		}
		if rate := s.TokensPerSecond(r.Workload); rate > float64(most*1.0001) {
			best, most = n, rate
		}
	}
	if best == 0 {
		return a, nil
	}
	whole := a
	r.Devices, r.Options.AnyMemory = best, false
	if a, err = Search(ctx, r); err != nil {
		return nil, err
	}
	a.Idle, a.WhyIdle = whole.Devices-best, whole.why(whole.Rejected.Rules())
	return a, nil
}

// Request returns the request with the smallest number of devices that fits, or
// the largest that was tried.
func (s *Smallest) Request(r Request) Request {
	r.Devices = s.Devices
	if r.Devices == 0 && len(s.Sizes) > 0 {
		r.Devices = s.Sizes[len(s.Sizes)-1].Devices
	}
	return r
}

// FindLarger tries more devices than the request's, on which nothing fits.
func FindLarger(ctx context.Context, r Request) (*Smallest, error) {
	from := r.Devices + 1
	r.Devices = r.Cluster.MaxDevices
	return findFrom(ctx, r, from)
}
