package costmodel

import (
	"errors"
	"math"
	"testing"

	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/model/arch"
)

// newModel builds a model for tests.
func newModel(t testing.TB, name, cluster string, devices int, w Workload) *Model {
	t.Helper()
	a, err := arch.Builtin(name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := hardware.Load(cluster)
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(a, c, devices, w, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// evaluate predicts the step of a layout given as text.
func evaluate(t testing.TB, m *Model, text string) *Step {
	t.Helper()
	l, err := ParseLayout(text, m.Devices)
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Evaluate(l)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSharesSumToTheStep(t *testing.T) {
	m := newModel(t, "llama3-8b", "h100", 64, Workload{Seq: 8192, GlobalBatch: 256})
	for _, text := range []string{"tp=2,pp=2,mbs=1", "tp=4,pp=4,vpp=2,recompute=full", "tp=8,cp=2,zero=1", "tp=2,pp=4,schedule=dualpipev,vpp=2"} {
		s := evaluate(t, m, text)
		if sum := total(s.Breakdown); sum != s.Seconds {
			t.Errorf("%s: shares sum to %v, the step takes %v", text, sum, s.Seconds)
		}
		for _, b := range s.Breakdown {
			if b.Seconds < 0 || math.IsNaN(b.Seconds) {
				t.Errorf("%s: share %s is %v", text, b.Name, b.Seconds)
			}
		}
		if !(s.Low < s.Seconds && s.Seconds < s.High) {
			t.Errorf("%s: interval %v..%v does not hold %v", text, s.Low, s.High, s.Seconds)
		}
	}
}

func TestRejectionsNameTheRule(t *testing.T) {
	m := newModel(t, "llama3-8b", "h100", 64, Workload{Seq: 8192, GlobalBatch: 256})
	for text, rule := range map[string]string{
		"tp=2,pp=2,dp=3":         "devices",
		"tp=16,pp=1":             "sharding",
		"tp=1,pp=64":             "blocks",
		"tp=2,mbs=3":             "batch",
		"pp=4,vpp=2,tp=1,mbs=8":  "interleaved microbatches",
		"tp=1,recompute=nothing": "recompute",
	} {
		l, err := ParseLayout(text, m.Devices)
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.Evaluate(l)
		var r *Rejection
		if !errors.As(err, &r) || r.Rule != rule {
			t.Errorf("%s: %v, want a rejection by rule %q", text, err, rule)
		}
	}
}
