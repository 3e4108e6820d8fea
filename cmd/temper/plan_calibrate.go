package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"

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
	path, layout := f.measuredFile()
	src, err := os.ReadFile(path)
	if err == nil && isConstants(src) {
		r.Options.Constants, err = costmodel.ParseConstants(src, path)
		return err
	}
	base, err := f.measured(r, layout)
	if err != nil {
		return err
	}
	cases, err := measured.Read(path, base)
	if err != nil {
		return err
	}
	for i := range cases {
		if err := f.usable(&cases[i], r, path, layout); err != nil {
			return err
		}
	}
	c, err := validation.Calibrate(costmodel.DefaultConstants(), cases)
	if err != nil {
		return err
	}
	f.calibration, r.Options.Constants = c, c.Constants
	return f.saveConstants()
}

// usable refuses steps of another device, and logs without a layout.
func (f *planFlags) usable(c *measured.Case, r *planner.Request, path, layout string) error {
	if c.Grade == "measured" && layout == "" {
		return fmt.Errorf("--calibrate %s says nothing of the layout that it was measured in: give --layout, or write the layout after a colon, as in %s:tp=2,pp=4,mbs=1", path, path)
	}
	cl, err := c.Cluster()
	if err != nil {
		return err
	}
	if cl.Device.Name != r.Cluster.Device.Name {
		return fmt.Errorf("--calibrate %s: measured on %s, but the plan is for %s: want steps of the same device", c.Position, cl.Device.Name, r.Cluster.Device.Name)
	}
	return nil
}

// saveConstants writes the calibrated constants where --save-constants says.
func (f *planFlags) saveConstants() error {
	if f.save == "" {
		return nil
	}
	text, err := f.calibration.Constants.YAML()
	if err != nil {
		return err
	}
	return os.WriteFile(f.save, text, 0o644)
}

// calibrationText tells a person what the calibration found.
func (f *planFlags) calibrationText() string {
	if f.calibration == nil {
		return ""
	}
	var b strings.Builder
	if err := f.calibration.Write(&b); err != nil {
		return ""
	}
	return "\n" + b.String()
}

// measuredFile separates "run.log:tp=2,pp=4" into a file and the layout that it
// was measured in; without a colon, that is --layout.
func (f *planFlags) measuredFile() (path, layout string) {
	if _, err := os.Stat(f.calibrate); err != nil {
		if i := strings.LastIndexByte(f.calibrate, ':'); i > 0 && strings.Contains(f.calibrate[i:], "=") {
			return f.calibrate[:i], f.calibrate[i+1:]
		}
	}
	return f.calibrate, f.layout
}

// isConstants reports whether a file holds constants: YAML with such a list.
func isConstants(src []byte) bool {
	for line := range bytes.Lines(src) {
		if bytes.HasPrefix(line, []byte("constants:")) {
			return true
		}
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return false
}

// measured describes the run that a log was written by, as the flags say it.
func (f *planFlags) measured(r *planner.Request, layout string) (measured.Case, error) {
	c := measured.Case{
		Arch: r.Model, Machine: r.Cluster, Model: f.model, Device: r.Cluster.Name, Devices: r.Devices,
		TP: 1, PP: 1, DP: max(1, r.Devices), EP: 1, CP: 1, ETP: 1, Chunks: 1, MicroBatch: max(1, f.microBatch),
		GlobalBatch: r.Workload.GlobalBatch, Seq: r.Workload.Seq, Schedule: "1f1b", Recompute: "none", Routing: r.Workload.Routing,
		DType: r.Workload.DType, Scaling: r.Workload.Scaling, Zero: 1, Engine: costmodel.UsualEngine(r.Model, r.Cluster),
		Optimizer: r.Workload.Optimizer, Offload: "none", MemoryKind: measured.Reserved,
	}
	if r.Options.Engine != nil {
		c.Engine = r.Options.Engine.Name
	}
	if layout == "" {
		return c, nil
	}
	l, err := f.completed(*r, layout)
	if err != nil {
		return c, err
	}
	m := l.Mesh
	c.TP, c.PP, c.DP, c.EP, c.CP, c.ETP, c.Chunks = m.TP, m.PP, m.DP, m.EP, m.CP, m.ETP, l.Chunks
	c.MicroBatch, c.Schedule, c.Recompute, c.Zero, c.Offload = l.MicroBatch, string(l.Schedule), l.Recompute, l.Zero, l.Offload
	return c, nil
}

// completed is a layout with what it leaves open filled in as for a plan of it:
// the flags, the engine's own choices, and the least recomputation that fits.
func (f *planFlags) completed(r planner.Request, layout string) (costmodel.Layout, error) {
	of := *f
	of.layout = layout
	a, err := of.one(r)
	if err != nil {
		return costmodel.Layout{}, err
	}
	if len(a.Plans) == 0 {
		why := "it is not legal"
		if rules := a.Rejected.Rules(); len(rules) > 0 {
			why = a.Rejected[rules[0]].Text
		}
		return costmodel.Layout{}, fmt.Errorf("--calibrate: layout %s: %s", layout, why)
	}
	return a.Plans[0].Evaluated.Layout, nil
}
