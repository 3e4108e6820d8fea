package costmodel

import (
	"math"

	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/distributed/schedule"
)

// Evaluate predicts the step of one layout: every chunk costed, the schedule run
// action by action, then what happens once per step. A layout that is not legal,
// or does not fit in memory, is refused with a *[Rejection].
func (m *Model) Evaluate(l Layout) (*Step, error) {
	p, err := m.plan(l)
	if err != nil {
		return nil, err
	}
	s := &Step{Layout: p.layout, Devices: m.Devices, Shape: p.shape, Split: p.split}
	s.Chunks = m.chunks(p.cell, p.shape, p.split)
	pipeline, err := schedule.NewPipeline(p.shape.Kind, p.shape.Stages, p.shape.Chunks, p.shape.Micro)
	if err != nil {
		return nil, reject("schedule", "%v", err)
	}
	if !m.options.TimeOnly {
		if err := m.remember(s, pipeline); err != nil {
			return nil, err
		}
	}
	s.Durations = m.durations(s.Chunks, p.shape, p.layout)
	s.Timeline = &schedule.Timeline{}
	if err := pipeline.Time(s.Durations, s.Timeline); err != nil {
		return nil, reject("schedule", "%v", err)
	}
	m.once(s)
	m.account(s, pipeline)
	m.interval(s)
	return s, nil
}

// placed is a legal layout, resolved.
type placed struct {
	layout Layout
	shape  schedule.Shape
	split  schedule.Split
	cell   *Cell
}

// key returns the cost table's key of a legal layout.
func (m *Model) key(l Layout) Key {
	again, err := operator.ParseRecompute(l.Recompute, m.Engine)
	if err != nil {
		again = 0
	}
	return Key{TP: l.Mesh.TP, CP: l.Mesh.CP, EP: l.Mesh.EP, ETP: l.Mesh.ETP, MicroBatch: l.MicroBatch, Recompute: again}
}

// once fills in what each stage does once per step, and how long the step is.
func (m *Model) once(s *Step) {
	s.Stages = make([]StageCost, s.Shape.Stages)
	for stage := range s.Stages {
		chunks := s.Chunks[stage*s.Shape.Chunks : (stage+1)*s.Shape.Chunks]
		s.Stages[stage] = m.stage(s.Layout, s.Shape, chunks)
	}
	latest := -1.0
	for stage := range s.Stages {
		if end := s.end(stage) + s.Stages[stage].Once(); end > latest {
			latest, s.Critical = end, stage
		}
	}
}

// end returns when a stage's last pass ends.
func (s *Step) end(stage int) float64 {
	ends := s.Timeline.End[stage]
	if len(ends) == 0 {
		return s.Timeline.Makespan
	}
	return ends[len(ends)-1]
}

// account fills the breakdown of the critical stage and adds it up.
func (m *Model) account(s *Step, p *schedule.Pipeline) {
	var work Pass
	hidden := 0.0
	for _, a := range p.Compute[s.Critical] {
		c := &s.Chunks[s.Critical*s.Shape.Chunks+int(a.Chunk)]
		switch a.Op {
		case schedule.Forward:
			work = work.Add(c.Forward)
		case schedule.Backward:
			work = work.Add(c.Backward())
		case schedule.BackwardInput:
			work = work.Add(c.Recompute).Add(c.BackwardInput)
		case schedule.BackwardWeight:
			work = work.Add(c.BackwardWeight)
		case schedule.Pair:
			o := &s.Chunks[s.Critical*s.Shape.Chunks+int(a.Chunk2)]
			both := c.Forward.Add(o.Backward())
			work = work.Add(both)
			hidden += both.Seconds() - s.Durations.Pair[s.Critical*s.Shape.Chunks+int(a.Chunk)]
		}
	}
	work.EP = max(0, work.EP-hidden)
	st, tl := &s.Stages[s.Critical], &s.Timeline.Stages[s.Critical]
	idle := s.end(s.Critical) - work.Seconds() - tl.Wait - tl.Send
	s.Breakdown = []Share{
		{"products", work.Product},
		{"attention", work.Attention},
		{"vector", work.Vector},
		{"launch", work.Launch},
		{"tp", work.TP},
		{"cp", work.CP},
		{"ep", work.EP},
		{"pp", tl.Wait + tl.Send},
		{"bubble", max(0, idle)},
		{"gradients", st.Gradients},
		{"gather", st.Gather},
		{"optimizer", st.Optimizer},
		{"offload", st.Offload},
		{"fixed", m.rates.fixed},
	}
	nodes := float64(m.Cluster.Nodes(m.Devices))
	s.Breakdown = append(s.Breakdown, Share{"jitter", total(s.Breakdown) * m.rates.jitter * math.Log(max(1, nodes))})
	s.Seconds = total(s.Breakdown)
	s.BoundBy = m.boundBy(s)
}

// total adds shares up in order.
func total(shares []Share) float64 {
	sum := 0.0
	for i := range shares {
		sum += shares[i].Seconds
	}
	return sum
}
