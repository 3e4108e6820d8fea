package advice

import (
	"context"

	"github.com/temper-ml/temper/cluster/planner"
)

// How far a search for the smallest cluster goes: sizes tried at most, and how
// many after the first that fits, to show whether larger ones fit as well.
const (
	maxSizes  = 96
	moreSizes = 2
)

// FindSmallest tries whole nodes (below one node: its divisors), from the
// least that could hold the state upwards. The request's number of devices is
// the largest that is tried; 0 stands for as many as the description covers.
func FindSmallest(ctx context.Context, r planner.Request) (*planner.Smallest, error) {
	return findFrom(ctx, r, 1)
}

// findFrom tries numbers of devices that are at least from.
func findFrom(ctx context.Context, r planner.Request, from int) (*planner.Smallest, error) {
	most := r.Devices
	if most < 1 {
		most = r.Cluster.MaxDevices
	}
	least, err := planner.StateBytes(r)
	if err != nil {
		return nil, err
	}
	out := &planner.Smallest{Least: least}
	fits := 0
	for _, n := range sizes(r.Cluster.NodeSize, max(from, int(least/max(1, r.Cluster.Device.Memory))), most) {
		if len(out.Sizes) == maxSizes || fits > moreSizes {
			break
		}
		r.Devices, r.Top = n, 1
		a, err := planner.Search(ctx, r)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			out.Sizes = append(out.Sizes, planner.Size{Devices: n, Why: err.Error()})
			continue
		}
		s := planner.Size{Devices: n, Fits: a.Fits}
		if rules := a.Rejected.Rules(); !a.Fits && len(rules) > 0 {
			s.Why = a.Why()
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

// sizes lists numbers of devices from the least to the most: divisors of a node,
// then whole nodes, in growing strides so that about a hundred cover any range.
func sizes(node, least, most int) []int {
	node = max(1, node)
	var out []int
	for d := 1; d < node; d++ {
		if node%d == 0 && d >= max(1, least) && d <= most {
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

// SearchWithin searches with all devices of the request and, when nothing fits on
// exactly so many, with fewer whole nodes: a number of devices with an awkward
// factor (1,000 cards) is rarely used to the last one. Among the sizes down to
// three quarters it takes the one of most tokens per second, and leaves the other
// devices idle.
func SearchWithin(ctx context.Context, r planner.Request) (*planner.Answer, error) {
	a, err := planner.Search(ctx, r)
	if err != nil || a.Fits {
		return a, err
	}
	node := max(1, r.Cluster.NodeSize)
	best, most := 0, 0.0
	for n := (r.Devices - 1) / node * node; n > 0 && 4*n >= 3*r.Devices; n -= node {
		v := r
		v.Devices = n
		s, err := planner.Fastest(ctx, v, nil)
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
	if a, err = planner.Search(ctx, r); err != nil {
		return nil, err
	}
	a.Idle, a.WhyIdle = whole.Devices-best, whole.Why()
	return a, nil
}

// FindLarger tries more devices than the request's, on which nothing fits.
func FindLarger(ctx context.Context, r planner.Request) (*planner.Smallest, error) {
	from := r.Devices + 1
	r.Devices = r.Cluster.MaxDevices
	return findFrom(ctx, r, from)
}
