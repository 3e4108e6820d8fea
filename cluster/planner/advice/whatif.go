package advice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"runtime"
	"slices"
	"sync"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/cluster/planner"
)

// change is a variation of a request.
type change struct {
	name, detail string
	apply        func(*planner.Request) error
}

// WhatWouldHelp searches again under one change at a time and sorts the changes
// by what they gain. The base is the answer to the unchanged request.
func WhatWouldHelp(ctx context.Context, r planner.Request, base *planner.Answer) ([]planner.Fix, error) {
	list := changes(r)
	out, errs := make([]planner.Fix, len(list)), make([]error, len(list))
	var wait sync.WaitGroup
	slots := make(chan struct{}, max(1, runtime.GOMAXPROCS(0)))
	for i := range list {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			out[i], errs[i] = list[i].fix(ctx, r, base)
		})
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.SortStableFunc(out, func(a, b planner.Fix) int {
		if a.Fits != b.Fits {
			return cmp.Compare(word(b.Fits), word(a.Fits))
		}
		return cmp.Compare(b.Gain, a.Gain)
	})
	return out, nil
}

func word(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// fix searches under one change.
func (c *change) fix(ctx context.Context, r planner.Request, base *planner.Answer) (planner.Fix, error) {
	r.Cluster = clone(r.Cluster)
	f := planner.Fix{Name: c.name, Detail: c.detail}
	if err := c.apply(&r); err != nil {
		return f, err
	}
	var start *costmodel.Layout
	if len(base.Plans) > 0 && r.Devices == base.Devices {
		was := base.Plans[0].Evaluated
		known := was.Layout
		known.Split = was.Split.String() // cut as it was, whatever the change makes of the blocks' times
		start = &known
	}
	best, err := planner.Fastest(ctx, r, start)
	if best == nil || err != nil {
		return f, err
	}
	f.Fits, f.StepSeconds, f.Tokens = true, best.Seconds, best.TokensPerSecond(r.Workload)
	f.Layout, f.Moved = best.Layout.String(), start == nil || best.Layout != *start
	if !f.Moved {
		f.Layout = base.Plans[0].Text
	}
	if len(base.Plans) > 0 {
		f.Gain = 1 - base.Plans[0].TokensPerSec/f.Tokens
		f.Moved = f.Moved && f.Layout != base.Plans[0].Text
	}
	return f, nil
}

// changes lists what is tried.
func changes(r planner.Request) []change {
	out := []change{
		memory("25 % more memory", 1.25), memory("50 % more memory", 1.5), memory("twice the memory", 2),
		{"better kernels", "matrix products reach 10 points more of the peak", betterKernels},
		{"half the launch overhead", "gaps between kernels and host work per kernel halved", halfLaunch},
		{"twice the memory bandwidth", "device memory", func(v *planner.Request) error {
			v.Cluster.Device.Bandwidth *= 2
			return nil
		}},
	}
	for i, d := range r.Cluster.Domains {
		if d.Size <= 1 || i > 0 && r.Cluster.Domains[i-1].Size >= r.Devices {
			continue // no layout uses it
		}
		out = append(out, change{"twice as fast " + d.Name + " links", d.Name + " domain, bandwidth", func(v *planner.Request) error {
			v.Cluster.Domains[i].Bandwidth *= 2
			v.Cluster.Domains[i].NICBandwidth *= 2
			return nil
		}})
	}
	if r.Workload.Routing == "natural" || r.Workload.Imbalance > 1 {
		out = append(out, change{"balanced routing", "every expert gets the mean load", func(v *planner.Request) error {
			v.Workload.Routing, v.Workload.Imbalance = "balanced", 1
			return nil
		}})
	}
	if len(r.Space.Schedules) == 0 {
		out = append(out, change{"an engine with every schedule", "zero-bubble and dualpipe orders beside those the engine has", func(v *planner.Request) error {
			v.Space.Schedules = planner.Schedules()
			return nil
		}})
	}
	if len(r.Space.Zero) == 0 {
		out = append(out, change{"an engine with ZeRO-2", "gradients sharded beside optimizer state", func(v *planner.Request) error {
			v.Space.Zero = []int{0, 1, 2}
			return nil
		}})
	}
	out = append(out, change{"twice the global batch", "sequences of a step", func(v *planner.Request) error {
		v.Workload.GlobalBatch *= 2
		return v.Workload.Check(v.Cluster)
	}})
	for _, n := range rounder(r.Devices, max(1, r.Cluster.NodeSize)) {
		out = append(out, change{fmt.Sprintf("only %d devices, %d idle", n, r.Devices-n), "a number with more divisors", func(v *planner.Request) error {
			v.Devices = n
			return nil
		}})
	}
	return out
}

// rounder returns whole nodes below n whose number has far smaller odd factors:
// layouts divide, and 2,000 devices may do less than 1,920.
func rounder(n, node int) []int {
	odd := func(n int) int { return n >> bits.TrailingZeros(uint(n)) }
	if odd(n) <= 15 {
		return nil
	}
	var out []int
	for m := (n - 1) / node * node; m > 0 && 4*m >= 3*n && len(out) < 3; m -= node {
		if odd(m) <= 15 {
			out = append(out, m)
		}
	}
	return out
}

func memory(name string, factor float64) change {
	return change{name, "device memory", func(v *planner.Request) error {
		v.Cluster.Device.Memory = int64(float64(v.Cluster.Device.Memory) * factor)
		return nil
	}}
}

func betterKernels(v *planner.Request) error {
	device := costmodel.DeviceKey(v.Cluster.Device.Name)
	return rescale(v, map[string]float64{"product.share": 1 + 0.1/constants(v).Value("product.share", device)})
}

func halfLaunch(v *planner.Request) error {
	return rescale(v, map[string]float64{"kernel.gap": 0.5, "host.launch": 0.5})
}

func constants(v *planner.Request) *costmodel.Constants {
	if v.Options.Constants == nil {
		return costmodel.DefaultConstants()
	}
	return v.Options.Constants
}

// rescale multiplies constants, the general ones.
func rescale(v *planner.Request, factors map[string]float64) error {
	k := constants(v)
	values := map[string]float64{}
	for _, c := range k.All() {
		if f, ok := factors[c.Name]; ok {
			values[c.Name] = c.Value * f
		}
	}
	k, err := k.With(values)
	v.Options.Constants = k
	return err
}

// clone returns a copy of a cluster that may be changed.
func clone(c *hardware.Cluster) *hardware.Cluster {
	out := *c
	out.Domains = slices.Clone(c.Domains)
	out.Device.Peak = maps.Clone(c.Device.Peak)
	return &out
}
