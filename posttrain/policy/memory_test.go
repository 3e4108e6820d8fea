package policy_test

import (
	"testing"

	"github.com/temper-ml/temper/posttrain/grpo"
	"github.com/temper-ml/temper/posttrain/policy"
)

// TestMemory: what is predicted is what is taken: of parameters exactly, of reading at
// most.
func TestMemory(t *testing.T) {
	s := newSetup(t, "grpo", 2, ahead)
	s.loss.KL = grpo.KL{Weight: 0.1, Estimator: "k2"}
	plan, err := policy.PlanMemory(s.arch, &s.loss, &s.rollout, sequence)
	if err != nil {
		t.Fatal(err)
	}
	j := s.begin(t, newModel(t, s.arch), newBank(s.rollout))
	j.run(t)
	parameters := int64(0)
	for _, p := range j.model.Params() {
		parameters += 4 * int64((len(p.Data)+15)/16*16)
	}
	if plan.Behaviour != parameters || plan.Anchor != parameters {
		t.Errorf("%+v, want %d for each set of parameters", plan, parameters)
	}
	if peak, _ := j.anchor.Peak(); peak == 0 || peak > plan.Reading {
		t.Errorf("reading took %d bytes, predicted were at most %d", peak, plan.Reading)
	}
	none, err := policy.PlanMemory(s.arch, &grpo.Config{}, &newSetup(t, "grpo", 1, nil).rollout, sequence)
	if err != nil || none.Total() != 0 {
		t.Errorf("a stage with neither takes %+v, %v", none, err)
	}
}
