package planner

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/hardware"
)

// Fix is one change to the cluster, the software or the workload, searched anew.
type Fix struct {
	Name        string  `json:"name"`
	Detail      string  `json:"detail"`                 // what exactly was changed
	StepSeconds float64 `json:"step_seconds,omitempty"` // 0: still nothing fits
	Gain        float64 `json:"gain"`                   // share of the step time that is saved; 1 where nothing fitted before
	Layout      string  `json:"layout,omitempty"`
	Moved       bool    `json:"layout_changed"` // another layout is best then
}

// change is a variation of a request.
type change struct {
	name, detail string
	apply        func(*Request) error
}

// WhatWouldHelp searches again under one change at a time and sorts the changes
// by what they gain. The base is the answer to the unchanged request.
func WhatWouldHelp(ctx context.Context, r Request, base *Answer) ([]Fix, error) {
	var out []Fix
	for _, c := range changes(r) {
		v := r
		v.Top = 1
		v.Cluster = clone(r.Cluster)
		if err := c.apply(&v); err != nil {
			return nil, err
		}
		f := Fix{Name: c.name, Detail: c.detail}
		best, err := fastest(ctx, v)
		if err != nil {
			return nil, err
		}
		if best != nil {
			f.StepSeconds, f.Layout = best.Seconds, best.Layout.String()
			f.Gain, f.Moved = 1, true
			if len(base.Plans) > 0 {
				f.Gain = 1 - best.Seconds/base.Plans[0].StepSeconds
				f.Moved = f.Layout != base.Plans[0].Text
			}
		}
		out = append(out, f)
	}
	slices.SortStableFunc(out, func(a, b Fix) int { return cmp.Compare(b.Gain, a.Gain) })
	return out, nil
}

// fastest returns the best step, or nil when nothing fits.
func fastest(ctx context.Context, r Request) (*costmodel.Step, error) {
	r.Options.AnyMemory = false
	p, err := newProblem(r)
	if err != nil {
		return nil, err
	}
	p.reach = 1
	x, err := p.prove(ctx, 1)
	if err != nil || len(x.best) == 0 {
		return nil, err
	}
	return p.model.Evaluate(p.layout(x.best[0].c.at))
}

// changes lists what is tried.
func changes(r Request) []change {
	out := []change{
		memory("25 % more memory", 1.25), memory("50 % more memory", 1.5), memory("twice the memory", 2),
		{"better kernels", "matrix products reach 10 points more of the peak", betterKernels},
		{"half the launch overhead", "gaps between kernels and host work per kernel halved", halfLaunch},
		{"twice the memory bandwidth", "device memory", func(v *Request) error {
			v.Cluster.Device.Bandwidth *= 2
			return nil
		}},
	}
	for i, d := range r.Cluster.Domains {
		if d.Size <= 1 || i > 0 && r.Cluster.Domains[i-1].Size >= r.Devices {
			continue // no layout uses it
		}
		out = append(out, change{"twice as fast " + d.Name + " links", d.Name + " domain, bandwidth", func(v *Request) error {
			v.Cluster.Domains[i].Bandwidth *= 2
			v.Cluster.Domains[i].NICBandwidth *= 2
			return nil
		}})
	}
	if r.Workload.Routing == "natural" || r.Workload.Imbalance > 1 {
		out = append(out, change{"balanced routing", "every expert gets the mean load", func(v *Request) error {
			v.Workload.Routing, v.Workload.Imbalance = "balanced", 1
			return nil
		}})
	}
	if len(r.Space.Schedules) == 0 {
		out = append(out, change{"an engine with every schedule", "zero-bubble and dualpipe orders beside those the engine has", func(v *Request) error {
			v.Space.Schedules = searched
			return nil
		}})
	}
	if len(r.Space.Zero) == 0 {
		out = append(out, change{"an engine with ZeRO-2", "gradients sharded beside optimizer state", func(v *Request) error {
			v.Space.Zero = []int{0, 1, 2}
			return nil
		}})
	}
	return out
}

func memory(name string, factor float64) change {
	return change{name, "device memory", func(v *Request) error {
		v.Cluster.Device.Memory = int64(float64(v.Cluster.Device.Memory) * factor)
		return nil
	}}
}

func betterKernels(v *Request) error {
	device := costmodel.DeviceKey(v.Cluster.Device.Name)
	return rescale(v, map[string]float64{"product.share": 1 + 0.1/constants(v).Value("product.share", device)})
}

func halfLaunch(v *Request) error {
	return rescale(v, map[string]float64{"kernel.gap": 0.5, "host.launch": 0.5})
}

func constants(v *Request) *costmodel.Constants {
	if v.Options.Constants == nil {
		return costmodel.DefaultConstants()
	}
	return v.Options.Constants
}

// rescale multiplies constants, the general ones.
func rescale(v *Request, factors map[string]float64) error {
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
