package advice

import (
	"context"
	"fmt"

	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/cluster/planner"
)

// The bases of a comparison.
const (
	SameDevices = "devices"
	SamePower   = "power"
	SamePeak    = "peak"
)

// Equivalent returns how many devices of the other cluster equal n of the base:
// whole nodes, at least one. Its error names a figure that is not known.
func Equivalent(base *hardware.Cluster, n int, other *hardware.Cluster, basis, dtype string) (int, error) {
	share := 1.0
	switch basis {
	case "", SameDevices:
		return n, nil
	case SamePower:
		a, b := watts(base), watts(other)
		if a == 0 || b == 0 {
			return 0, fmt.Errorf("advice: power of %s or %s is not known: compare by devices or peak", base.Name, other.Name)
		}
		share = a / b
	case SamePeak:
		a, ok := peak(base, dtype)
		b, also := peak(other, dtype)
		if !ok || !also {
			return 0, fmt.Errorf("advice: peak of %s or %s in %s is not known: compare by devices or power", base.Name, other.Name, dtype)
		}
		share = a / b
	default:
		return 0, fmt.Errorf("advice: basis of a comparison is %q, want %s, %s or %s", basis, SameDevices, SamePower, SamePeak)
	}
	node := max(1, other.NodeSize)
	nodes := max(1, int(float64(n)*share/float64(node)+0.5))
	return min(nodes*node, max(node, other.MaxDevices)), nil
}

// watts is what a device draws with its share of the machine.
func watts(c *hardware.Cluster) float64 {
	if c.Power.AllIn > 0 {
		return c.Power.AllIn
	}
	return c.Device.TDP
}

func peak(c *hardware.Cluster, dtype string) (float64, bool) {
	if dtype == "mxfp8" {
		dtype = "fp8"
	}
	if p, ok := c.Device.PeakOf(hardware.DType(dtype)); ok {
		return p, true
	}
	return c.Device.PeakOf(hardware.BF16)
}

// CompareWith searches the same step on another cluster, with as many devices
// as the basis makes equal.
func CompareWith(ctx context.Context, r planner.Request, base *planner.Answer, other *hardware.Cluster, basis string) (*planner.Compare, error) {
	v := r
	n, err := Equivalent(r.Cluster, r.Devices, other, basis, base.Step.DType)
	if err != nil {
		return nil, err
	}
	v.Cluster, v.Devices = other, n
	v.Options.Engine = nil // each cluster runs its usual one
	if basis == "" {
		basis = SameDevices
	}
	a, err := planner.Search(ctx, v)
	if err != nil {
		return nil, err
	}
	c := &planner.Compare{Other: other, Basis: basis, Answer: a, Base: newRate(r.Cluster, base), Rate: newRate(other, a), Ratios: map[string]float64{}}
	for name, pair := range map[string][2]float64{
		"step_seconds":                      {c.Base.Step, c.Rate.Step}, // inverted: shorter is better
		"tokens_per_second":                 {c.Rate.Tokens, c.Base.Tokens},
		"tokens_per_second_per_device":      {c.Rate.PerDevice, c.Base.PerDevice},
		"tokens_per_second_per_card":        {c.Rate.PerCard, c.Base.PerCard},
		"tokens_per_second_per_peak_pflops": {c.Rate.PerPFLOPs, c.Base.PerPFLOPs},
		"tokens_per_second_per_kw":          {c.Rate.PerKW, c.Base.PerKW},
		"tokens_per_cost":                   {c.Rate.PerCost, c.Base.PerCost},
		"mfu":                               {c.Rate.MFU, c.Base.MFU},
	} {
		if pair[0] > 0 && pair[1] > 0 {
			c.Ratios[name] = pair[0] / pair[1]
		}
	}
	return c, nil
}

// newRate divides an answer's best plan by what a reader may want to pay for.
func newRate(c *hardware.Cluster, a *planner.Answer) planner.Rate {
	out := planner.Rate{Cluster: c.Name, Devices: a.Devices, Watts: watts(c)}
	if len(a.Plans) == 0 {
		return out
	}
	p := &a.Plans[0]
	out.Step, out.Tokens, out.PerDevice = p.StepSeconds, p.TokensPerSec, p.PerDevice
	out.PerCard = p.PerDevice * float64(max(1, c.DevicesPerCard))
	out.MFU, out.BoundBy = p.MFU.Value, p.BoundBy
	out.Headroom = float64(p.MemoryBytes.Headroom) / float64(p.MemoryBytes.Capacity)
	if p.MFU.PeakTFLOPs > 0 {
		out.PerPFLOPs = p.PerDevice / p.MFU.PeakTFLOPs * 1e3
	}
	if out.Watts > 0 {
		out.PerKW = p.PerDevice / out.Watts * 1e3
	}
	if c.Price.PerHour > 0 {
		out.PerCost = p.PerDevice * 3600 / c.Price.PerHour
	}
	return out
}
