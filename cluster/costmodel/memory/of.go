package memory

import (
	"fmt"

	"github.com/temper-ml/temper/cluster/costmodel/operator"
)

// Of returns the memory of one rank of the stage.
func Of(s *Stage) (*Report, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	t := s.read()
	m := &moments{s: s, t: t, e: s.Works.Numbers.Engine, state: s.state(t)}
	m.live = t.live(s)
	m.walk()
	return m.report(), nil
}

// moments walks through a step.
type moments struct {
	s     *Stage
	t     *contents
	e     *operator.Engine
	state state
	live  int64

	phases []Phase
	peak   int // index of the worst phase
}

// walk lists the moments in order.
func (m *moments) walk() {
	var one int64 // one micro-batch of the first chunk
	if len(m.t.kept) > 0 {
		one = m.t.kept[0]
	}
	m.add("weights, gradients and optimizer state", 0, m.steady(), 0)
	m.add("warm-up: end of the first forward", min(one, m.live), m.steady()+m.gathered(), 0)
	if h := m.t.head; h != nil {
		m.add("backward of head", m.live, m.steady()+m.gathered()+m.rootGradient(), h.BackwardPeak)
	}
	for i, w := range m.t.mtp {
		m.add(fmt.Sprintf("backward of MTP depth %d", i), m.live, m.steady()+m.gathered()+m.rootGradient(), m.again(w)+w.BackwardPeak)
	}
	for i, w := range m.t.blocks {
		m.add(fmt.Sprintf("steady state: backward of block %d", m.t.first[i]), m.live, m.steady()+m.gathered()+m.blockGradient(), m.again(w)+w.BackwardPeak)
	}
	if w := m.t.embedding; w != nil {
		m.add("gradient of embedding", max(0, m.live-one), m.steady()+m.gathered(), w.Table)
	}
	m.add("optimizer step", 0, m.steady(), m.optimizerWorkspace())
}

// again is what recomputing a part brings back for the time of its backward pass.
func (m *moments) again(w *operator.BlockWork) int64 {
	return max(0, w.Kept(0)-w.Kept(m.s.Recompute))
}

// steady are the buffers that stay: placeholders of gradients, library
// workspaces, and the messages of the pipeline.
func (m *moments) steady() int64 {
	sum := m.e.Libraries
	for _, shape := range m.t.shapes {
		sum += int64(m.e.Weights.Bytes() * float64(shape.Len()))
	}
	switch {
	case m.s.Stages > 1 && m.e.EagerMessages:
		sum += int64(3*m.s.Micro*len(m.s.Chunks)) * m.t.boundary
	case m.s.Stages > 1:
		sum += 2 * m.t.boundary
	}
	return sum
}

// gathered are the weights that FSDP has gathered: the tables, and two blocks, the
// one that runs and the next. Under a pipeline everything stays gathered.
func (m *moments) gathered() int64 {
	if !m.fsdp() {
		return 0
	}
	if m.s.Stages > 1 {
		return int64(m.e.Weights.Bytes() * float64(m.t.params.Total()))
	}
	return int64(m.e.Weights.Bytes() * float64(m.t.root+2*m.t.largest))
}

func (m *moments) fsdp() bool { return m.e.FSDP && m.s.Zero == 3 }

// blockGradient is what FSDP holds while a block's gradients are reduced: the
// gradients, and the message of this block and of the one before it. Under a
// pipeline gradients of all micro-batches are summed before they are reduced.
func (m *moments) blockGradient() int64 {
	if !m.fsdp() {
		return 0
	}
	if m.s.Stages > 1 && m.s.Micro > 1 {
		return int64(m.e.Gradient.Bytes()*float64(m.t.params.Total())) + int64(m.e.Weights.Bytes()*float64(m.t.largest))
	}
	return int64((m.e.Weights.Bytes() + float64(2*m.e.Gradient.Bytes())) * float64(m.t.largest))
}

func (m *moments) rootGradient() int64 {
	switch {
	case !m.fsdp():
		return 0
	case m.s.Stages > 1 && m.s.Micro > 1:
		return m.blockGradient()
	}
	return int64(m.e.Weights.Bytes() * float64(m.s.Works.Embedding.Parameters.Split))
}

// optimizerWorkspace is what the step needs beside its state: Muon brings the
// largest matrix together and multiplies it with itself, in three copies.
func (m *moments) optimizerWorkspace() int64 {
	if m.s.Optimizer != "muon" {
		return 0
	}
	return int64(3 * m.e.Weights.Bytes() * float64(m.t.params.Largest))
}

// add appends one moment.
func (m *moments) add(name string, activations, buffers, workspace int64) {
	p := Phase{Name: name, Parts: []Part{
		{"weights", m.state.weights},
		{"gradients", m.state.gradients},
		{"optimizer", m.state.optimizer},
		{"activations", activations},
		{"buffers", buffers},
		{"workspace", workspace},
	}}
	for _, part := range p.Parts {
		p.Total += part.Bytes
	}
	if len(m.phases) > 0 && p.Total > m.phases[m.peak].Total {
		m.peak = len(m.phases)
	}
	m.phases = append(m.phases, p)
}

// report reads the worst moment.
func (m *moments) report() *Report {
	p := m.phases[m.peak]
	r := &Report{
		Weights: p.Parts[0].Bytes, Gradients: p.Parts[1].Bytes, Optimizer: p.Parts[2].Bytes,
		Activations: p.Parts[3].Bytes, Buffers: p.Parts[4].Bytes, Workspace: p.Parts[5].Bytes,
		Allocated: p.Total, Host: m.state.host, PeakMoment: p.Name, Timeline: m.phases,
	}
	r.Reserved = int64(float64(r.Allocated) * m.e.Fragmentation)
	r.Fragmentation = r.Reserved - r.Allocated + m.e.Runtime
	r.Total = r.Allocated + r.Fragmentation
	return r
}
