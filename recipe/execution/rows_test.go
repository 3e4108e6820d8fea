package execution

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/temper-ml/temper/train"
)

// The rows handed to other programs must be those that a run trains on and is
// measured on: every step's counts in the run's log are those of its rows.
func TestRowsAreThoseOfARun(t *testing.T) {
	r := setup(t)
	dir := filepath.Join(t.TempDir(), "run")
	execute(t, r, dir)
	var stages []*StageRows
	for i := range r.Stages {
		s, err := Rows(context.Background(), r, dir, i)
		if err != nil {
			t.Fatal(err)
		}
		stages = append(stages, s)
	}
	log, err := os.Open(filepath.Join(dir, "log.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	steps, measured := make([]int64, len(stages)), 0
	err = ReadLog(log, func(e Event) error {
		switch e := e.(type) {
		case Stepped:
			rows, err := stages[e.Stage].Step(e.Result.Step)
			if got := train.Count(rows); err != nil || got != e.Result.Counts {
				t.Errorf("stage %d, step %d: rows count %+v (%v), the run counted %+v", e.Stage, e.Result.Step, got, err, e.Result.Counts)
			}
			steps[e.Stage]++
		case Measured:
			if e.Loss == nil {
				return nil
			}
			measured++
			if got := train.Count(stages[e.Stage].HeldOut).Supervised; got != e.Loss.Tokens {
				t.Errorf("stage %d: held-out rows have %d supervised tokens, the run measured %d", e.Stage, got, e.Loss.Tokens)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range stages {
		if s.Steps != steps[i] || s.Steps == 0 {
			t.Errorf("stage %s: %d steps, the run took %d", s.Stage, s.Steps, steps[i])
		}
	}
	if measured < 4 {
		t.Errorf("only %d measurements were compared", measured)
	}
	if _, err := Rows(context.Background(), r, dir, len(r.Stages)); err == nil {
		t.Error("a stage that is not there was accepted")
	}
}
