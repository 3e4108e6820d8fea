package deepseek

import (
	"math"
	"slices"
	"testing"
)

// TestLastLogits: the logits of a prompt agree with the log-probabilities of its
// continuation, and do not depend on the other prompts.
func TestLastLogits(t *testing.T) {
	for name, m := range bitModels(t) {
		t.Run(name, func(t *testing.T) {
			b := randomBatch(m.Config(), 11, 9, 1, 30)
			v := m.Config().VocabSize
			all, err := m.LastLogits(b.Tokens, b.Segments)
			if err != nil {
				t.Fatal(err)
			}
			logp, err := m.LogProbs(b)
			if err != nil {
				t.Fatal(err)
			}
			for i, s := range b.Segments {
				one := part(b, i, i+1)
				alone, err := m.LastLogits(one.Tokens, one.Segments)
				if err != nil {
					t.Fatal(err)
				}
				row := all[i*v : (i+1)*v]
				if !slices.Equal(row, alone) {
					t.Errorf("prompt %d: logits depend on the batch", i)
				}
				label := b.Labels[s.End-1]
				if label < 0 {
					continue
				}
				sum := 0.0
				for _, z := range row {
					sum += math.Exp(float64(z))
				}
				want := float64(row[label]) - math.Log(sum)
				if math.Abs(want-float64(logp[s.End-1])) > 1e-5*(1+math.Abs(want)) {
					t.Errorf("prompt %d: log-probability %v, from logits %v", i, logp[s.End-1], want)
				}
			}
		})
	}
}

func TestLoadOf(t *testing.T) {
	if l := LoadOf([]int64{5, 5, 5, 5}); l != (Load{Least: 1, Entropy: 1}) {
		t.Errorf("even load: %+v", l)
	}
	l := LoadOf([]int64{0, 8, 0, 0})
	if l.MaxViolation != 3 || l.Least != 0 || l.Dead != 3 || l.Entropy != 0 || math.Abs(l.Variation-math.Sqrt(3)) > 1e-12 {
		t.Errorf("one expert takes all: %+v", l)
	}
	if LoadOf(nil) != (Load{}) {
		t.Error("no experts: not zero")
	}
}
