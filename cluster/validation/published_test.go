package validation

import (
	"math"
	"testing"

	"github.com/temper-ml/temper/cluster/costmodel"
)

func TestPublishedRows(t *testing.T) {
	cases, err := Published()
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != 10 {
		t.Errorf("%d cases, want 10", len(cases))
	}
	systems := map[string]int{}
	for _, c := range cases {
		systems[c.System]++
		if c.Source == "" || c.Seconds == 0 && c.TeraFLOPs == 0 {
			t.Errorf("%s: %+v", c.Position, c)
		}
	}
	if len(systems) != 5 {
		t.Errorf("systems %v, want 5", systems)
	}
	// 16,384 sequences of 4,096 tokens at 1,412 tokens/s on each of 1,024 devices.
	if s := cases[0].Seconds; s < 46.41 || s > 46.42 {
		t.Errorf("step of %v s, want 56.41", s)
	}
}

// TestPublishedRowsAreInReach holds every embedded row to a factor of its
// prediction: a wrong unit or layout shows, an inaccurate model does not.
func TestPublishedRowsAreInReach(t *testing.T) {
	cases, err := Published()
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSet(cases, NewCostModel(costmodel.DefaultConstants()))
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Predict()
	if err != nil {
		t.Fatal(err)
	}
	for i := range v.Outcomes {
		o := &v.Outcomes[i]
		if math.Abs(o.Residual) > math.Log(1.6) {
			t.Errorf("%s: predicted %v s, measured %v", o.Case.Position, o.Seconds, o.Case.Seconds)
		}
		if e := o.MemoryError(); !math.IsNaN(e) && math.Abs(e) > 0.1 {
			t.Errorf("%s: predicted %v bytes, measured %v", o.Case.Position, o.Memory, o.Case.Memory)
		}
	}
}

// TestOwnStepCalibrates fits the model to temper's own step: a CPU is as far
// from the machines of the constants as a device can be.
func TestOwnStepCalibrates(t *testing.T) {
	cases, err := Published()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if !c.Held {
			continue
		}
		k, err := Calibrate(costmodel.DefaultConstants(), []Case{c})
		if err != nil {
			t.Fatal(err)
		}
		if k.After.Mean > 0.05 || k.After.Mean > k.Before.Mean {
			t.Errorf("%s: off by %v before, %v after", c.Position, k.Before.Mean, k.After.Mean)
		}
		for _, m := range k.Moved {
			t.Logf("%s: %.3g -> %.3g", m.Name, m.Before, m.After)
		}
	}
}
