package planner

import (
	"context"
	"fmt"
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
func FindSmallest(ctx context.Context, r Request) (*Smallest, error) {
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
	for _, n := range sizes(r.Cluster.NodeSize, int(least/max(1, r.Cluster.Device.Memory)), most) {
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
