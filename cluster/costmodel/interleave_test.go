package costmodel_test

import (
	"testing"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/model/arch"
)

// All-to-alls beside another micro-batch's compute cost less, never less than
// the compute, and nothing changes for a model without experts.
func TestAllToAllsBesideAnotherMicroBatch(t *testing.T) {
	for _, tc := range []struct {
		model, layout string
		experts       bool
	}{
		{"deepseek-v3", "tp=2,pp=8,vpp=2,ep=64,schedule=interleaved,recompute=selective", true},
		{"qwen3-235b-a22b", "tp=2,pp=8,ep=32,recompute=selective", true},
		{"qwen3-235b-a22b", "tp=2,pp=8,ep=32,recompute=full", false},     // Megatron refuses the two together
		{"qwen3-235b-a22b", "tp=1,pp=8,ep=8,recompute=selective", false}, // within one machine
		{"llama3-70b", "tp=2,pp=8,recompute=selective", false},
	} {
		plain, beside := stepOf(t, tc.model, "megatron+no-ep-overlap", tc.layout), stepOf(t, tc.model, "megatron", tc.layout)
		if !tc.experts {
			if plain.Seconds != beside.Seconds {
				t.Errorf("%s: %v s, %v s with all-to-alls beside compute: there is nothing to hide", tc.model, plain.Seconds, beside.Seconds)
			}
			continue
		}
		ep, left := share(t, plain, "ep"), share(t, beside, "ep")
		if beside.Seconds >= plain.Seconds || left >= ep || left < 0 {
			t.Errorf("%s: %v s with %v s of ep, %v s with %v s beside compute", tc.model, plain.Seconds, ep, beside.Seconds, left)
		}
		if beside.Seconds < plain.Seconds-1.5*ep {
			t.Errorf("%s: the step got %v s shorter, but its all-to-alls are %v s", tc.model, plain.Seconds-beside.Seconds, ep)
		}
	}
}

// stepOf predicts a step of 1,024 H100 with an engine.
func stepOf(t *testing.T, model, engine, layout string) *costmodel.Step {
	t.Helper()
	m, err := arch.Builtin(model)
	if err != nil {
		t.Fatal(err)
	}
	e, err := operator.EngineNamed(engine)
	if err != nil {
		t.Fatal(err)
	}
	cm, err := costmodel.New(m, loadCluster(t, "h100"), 1024, costmodel.Workload{Seq: 4096, GlobalBatch: 4096}, costmodel.Options{Engine: e, AnyMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	l, err := costmodel.ParseLayout(layout, 1024)
	if err != nil {
		t.Fatal(err)
	}
	s, err := cm.Evaluate(l)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
