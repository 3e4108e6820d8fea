package deepseek

import (
	"strings"
	"testing"

	"github.com/temper-ml/temper/model/arch"
)

// Models that temper can only describe are refused by name, before any memory is
// taken for them.
func TestRefusesFamiliesWithoutKernels(t *testing.T) {
	segments := []Segment{{Start: 0, End: 8}}
	for _, name := range arch.Builtins() {
		cfg, err := arch.Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Family.Trainable() {
			continue
		}
		_, err = New(cfg)
		_, frozen := NewFrozen(cfg)
		_, plan := PlanStep(cfg, segments, StepOptions{})
		for _, err := range []error{err, frozen, plan} {
			if err == nil || !strings.Contains(err.Error(), `model_type is "`+string(cfg.Family)+`"`) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
