package policy

import (
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/posttrain/grpo"
	"github.com/temper-ml/temper/posttrain/rollout"
)

// Memory is what a stage takes beside training and the engine that samples, in bytes.
type Memory struct {
	// Behaviour is a second set of parameters, for rounds that are sampled ahead.
	Behaviour int64 `json:"behaviour,omitempty"`
	// Anchor is a set of parameters that a divergence is from, Reading at most what it
	// takes to read a row with them.
	Anchor  int64 `json:"anchor,omitempty"`
	Reading int64 `json:"reading,omitempty"`
}

// Total adds the parts up.
func (m *Memory) Total() int64 { return m.Behaviour + m.Anchor + m.Reading }

// PlanMemory predicts that memory for rows of up to sequence tokens, without taking any.
func PlanMemory(model *arch.Config, l *grpo.Config, r *rollout.Config, sequence int) (Memory, error) {
	p, err := deepseek.PlanStep(model, []deepseek.Segment{{Start: 0, End: sequence}}, deepseek.StepOptions{LMScale: 1, Recompute: deepseek.RecomputeFull})
	if err != nil {
		return Memory{}, err
	}
	var m Memory
	if r.Ahead > 0 {
		m.Behaviour = p.Parameters
	}
	if l.KL.Weight > 0 {
		m.Anchor, m.Reading = p.Parameters, p.Activations
	}
	return m, nil
}
