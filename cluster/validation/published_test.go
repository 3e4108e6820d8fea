package validation

import (
	"math"
	"testing"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/validation/measured"
)

// TestPublishedRowsAreInReach holds every embedded row to a factor of its
// prediction: a wrong unit or layout shows, an inaccurate model does not.
func TestPublishedRowsAreInReach(t *testing.T) {
	cases, err := measured.Published()
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
	cases, err := measured.Published()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if !c.Held {
			continue
		}
		k, err := Calibrate(costmodel.DefaultConstants(), []measured.Case{c})
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
