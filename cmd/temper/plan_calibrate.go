package main

import (
	"bytes"
	"os"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/planner"
	"github.com/temper-ml/temper/cluster/validation"
	"github.com/temper-ml/temper/cluster/validation/measured"
)

// constants reads --calibrate: constants that an earlier calibration wrote, or
// measured steps of this cluster to fit them to.
func (f *planFlags) constants(r *planner.Request) error {
	if f.calibrate == "" {
		return nil
	}
	src, err := os.ReadFile(f.calibrate)
	if err == nil && bytes.HasPrefix(bytes.TrimLeft(src, "# \n"), []byte("constants:")) {
		r.Options.Constants, err = costmodel.ParseConstants(src, f.calibrate)
		return err
	}
	base, err := f.measured(r)
	if err != nil {
		return err
	}
	cases, err := measured.Read(f.calibrate, base)
	if err != nil {
		return err
	}
	c, err := validation.Calibrate(costmodel.DefaultConstants(), cases)
	if err != nil {
		return err
	}
	f.calibration, r.Options.Constants = c, c.Constants
	return nil
}

// measured describes the run that a log was written by, as the flags say it.
func (f *planFlags) measured(r *planner.Request) (measured.Case, error) {
	c := measured.Case{
		Arch: r.Model, Machine: r.Cluster, Model: f.model, Device: r.Cluster.Name, Devices: r.Devices,
		TP: 1, PP: 1, DP: max(1, r.Devices), EP: 1, CP: 1, ETP: 1, Chunks: 1, MicroBatch: max(1, f.microBatch),
		GlobalBatch: r.Workload.GlobalBatch, Seq: r.Workload.Seq, Schedule: "1f1b", Recompute: "none", Routing: r.Workload.Routing,
		DType: r.Workload.DType, Zero: 1, Engine: r.Cluster.Engine, Optimizer: r.Workload.Optimizer, Offload: "none",
		MemoryKind: measured.Reserved,
	}
	if r.Options.Engine != nil {
		c.Engine = r.Options.Engine.Name
	}
	if f.layout == "" {
		return c, nil
	}
	l, err := costmodel.ParseLayout(f.layoutText(), r.Devices)
	if err != nil {
		return c, err
	}
	m := l.Mesh
	c.TP, c.PP, c.DP, c.EP, c.CP, c.ETP, c.Chunks = m.TP, m.PP, m.DP, m.EP, m.CP, m.ETP, l.Chunks
	c.MicroBatch, c.Schedule, c.Recompute, c.Zero, c.Offload = l.MicroBatch, string(l.Schedule), l.Recompute, l.Zero, l.Offload
	return c, nil
}
