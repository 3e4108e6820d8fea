package costmodel

import (
	"errors"
	"fmt"

	"github.com/temper-ml/temper/cluster/costmodel/memory"
	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/distributed/schedule"
)

// plan checks a layout and resolves it. The order of the checks is that of their
// cost; each names the rule, the values and the nearest legal value.
func (m *Model) plan(l Layout) (*placed, error) {
	l = l.clean()
	if err := m.checkMesh(l); err != nil {
		return nil, err
	}
	if _, err := operator.ParseRecompute(l.Recompute, m.Engine); err != nil {
		return nil, reject("recompute", "%v", err)
	}
	key := m.key(l)
	if err := m.sharding(key).Check(m.Arch, m.numbers(l.MicroBatch)); err != nil {
		return nil, reject("sharding", "%v", err)
	}
	shape, err := m.shape(l)
	if err != nil {
		return nil, err
	}
	cell := m.Cell(key)
	split, err := m.split(l, shape, cell)
	if err != nil {
		return nil, err
	}
	return &placed{layout: l, shape: shape, split: split, cell: cell}, nil
}

// split returns which blocks every position holds: those that the layout says, or
// as even as they can be.
func (m *Model) split(l Layout, shape schedule.Shape, cell *Cell) (schedule.Split, error) {
	if l.Split == "" {
		return m.even(cell, shape.Positions()), nil
	}
	s, err := schedule.ParseSplit(l.Split)
	if err != nil {
		return s, reject("split", "%v", err)
	}
	if n := shape.Positions(); len(s.Parts) != n {
		return s, reject("split", "split %q has %d parts, must have one for each of the %d positions of pp*vpp = %d*%d", l.Split, len(s.Parts), n, shape.Stages, shape.Chunks)
	}
	if b := s.Blocks(); b != m.Arch.NumLayers {
		return s, reject("split", "split %q holds %d blocks, must hold the %d of the model", l.Split, b, m.Arch.NumLayers)
	}
	if d := s.MTP(); d != m.Arch.NumMTP {
		return s, reject("split", "split %q holds %d MTP depths, must hold the %d of the model", l.Split, d, m.Arch.NumMTP)
	}
	return s, nil
}

// checkMesh checks the degrees against devices and engine.
func (m *Model) checkMesh(l Layout) error {
	if err := l.Mesh.Check(); err != nil {
		return reject("mesh", "%v", err)
	}
	if w := l.Mesh.World(); w != m.Devices {
		each := l.Mesh.TP * l.Mesh.CP * l.Mesh.PP
		return reject("devices", "tp*cp*dp*pp is %d*%d*%d*%d = %d, must be the number of devices %d: nearest legal value dp %d",
			l.Mesh.TP, l.Mesh.CP, l.Mesh.DP, l.Mesh.PP, w, m.Devices, max(1, m.Devices/max(1, each)))
	}
	if l.Zero < 0 || l.Zero > 3 {
		return reject("zero", "zero is %d, must lie in 0..3: nearest legal value %d", l.Zero, min(max(l.Zero, 0), 3))
	}
	if !knownOffload(l.Offload) {
		return reject("offload", "offload is %q, want one of %v", l.Offload, offloads)
	}
	if l.Offload != "none" && !(m.Cluster.Device.HostLink > 0) {
		return reject("offload", "offload is %q, but the description of %s has no host_link: nearest legal value none", l.Offload, m.Cluster.Name)
	}
	return nil
}

// shape returns the pipeline's shape, checked.
func (m *Model) shape(l Layout) (schedule.Shape, error) {
	each := l.Mesh.DP * l.MicroBatch
	if l.MicroBatch < 1 || m.Workload.GlobalBatch%max(1, each) != 0 {
		return schedule.Shape{}, reject("batch", "dp*mbs is %d*%d = %d, must divide the global batch %d: nearest legal value dp*mbs = %d",
			l.Mesh.DP, l.MicroBatch, each, m.Workload.GlobalBatch, nearestDivisor(m.Workload.GlobalBatch, max(1, each)))
	}
	s := schedule.Shape{Kind: l.Schedule, Stages: l.Mesh.PP, Chunks: l.Chunks, Micro: m.Workload.GlobalBatch / each}
	if s.Kind == "" {
		s.Kind = schedule.OneFOneB
	}
	if err := s.Check(); err != nil {
		rule := "schedule"
		var broken *schedule.RuleError
		if errors.As(err, &broken) {
			rule = string(broken.Kind) + " " + broken.Field
		}
		return s, reject(rule, "%v", err)
	}
	if n := s.Positions(); n > m.Arch.NumLayers && l.Split == "" {
		return s, reject("blocks", "pp*vpp is %d*%d = %d, must be at most the %d blocks: nearest legal value pp*vpp = %d", s.Stages, s.Chunks, n, m.Arch.NumLayers, m.Arch.NumLayers)
	}
	return s, nil
}

// remember fills the memory of every stage, and refuses what does not fit.
func (m *Model) remember(s *Step, p *schedule.Pipeline) error {
	k := m.key(s.Layout)
	for stage := range s.Shape.Stages {
		chunks := s.Chunks[stage*s.Shape.Chunks : (stage+1)*s.Shape.Chunks]
		ms := &memory.Stage{
			Works: m.Cell(k).Works(m), DP: s.Layout.Mesh.DP, Zero: s.Layout.Zero, Optimizer: m.Workload.Optimizer,
			Offload: s.Layout.Offload, Recompute: k.Recompute, Order: p, Index: stage, Stages: s.Shape.Stages, Micro: s.Shape.Micro,
		}
		for i := range chunks {
			ms.Chunks = append(ms.Chunks, memory.Chunk{Part: chunks[i].Part})
		}
		r, err := memory.Of(ms)
		if err != nil {
			return reject("memory", "%v", err)
		}
		s.Memory = append(s.Memory, r)
	}
	if m.options.AnyMemory {
		return nil
	}
	return m.CheckMemory(s)
}

// CheckMemory returns a [*Rejection] when a stage of the step needs more memory,
// of the device or of the host, than there is. Evaluate asks it unless
// Options.AnyMemory says otherwise.
func (m *Model) CheckMemory(s *Step) error {
	d := &m.Cluster.Device
	for stage, r := range s.Memory {
		if d.HostMemory > 0 && r.Host > d.HostMemory {
			return reject("host memory", "host memory of stage %d is %s per device, must be at most the %s of %s", stage, over(r.Host, d.HostMemory), gibibytes(d.HostMemory), m.Cluster.Name)
		}
		if r.Total > d.Memory {
			return reject("memory", "memory of stage %d is %s, must be at most the %s of %s", stage, over(r.Total, d.Memory), gibibytes(d.Memory), d.Name)
		}
	}
	return nil
}

func gibibytes(n int64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }

// over prints a size above a limit; where both print alike, it says by how much.
func over(n, limit int64) string {
	if gibibytes(n) != gibibytes(limit) {
		return gibibytes(n)
	}
	return fmt.Sprintf("%s (%.1f MiB too much)", gibibytes(n), float64(n-limit)/(1<<20))
}

// Rejection is the reason why a layout is not legal. It is the error of
// [Model.Evaluate], so that a search can count rejections by rule.
type Rejection struct {
	Rule string // short and stable: "memory", "ep divides experts", ...
	Text string // the rule with its values, and the nearest legal value
}

// Error returns the text.
func (r *Rejection) Error() string { return "costmodel: " + r.Text }

// reject builds a Rejection.
func reject(rule, format string, args ...any) *Rejection {
	return &Rejection{Rule: rule, Text: fmt.Sprintf(format, args...)}
}
