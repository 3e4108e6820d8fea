package execution

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
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
	steps, measured := make([]int64, len(stages)), 0
	_, _, err := runlog.Read(filepath.Join(dir, RecordName), runlog.Trust{}, func(e *record.Entry) error {
		switch e := e.Body.(type) {
		case *record.Step:
			rows, err := stages[e.Stage].Step(e.Step)
			want := train.Counts{Tokens: e.Tokens, Supervised: e.Supervised, Segments: e.Examples}
			got := train.Count(rows)
			if got.MTP = 0; err != nil || got != want {
				t.Errorf("stage %d, step %d: rows count %+v (%v), the run counted %+v", e.Stage, e.Step, got, err, want)
			}
			if d := record.Digest(train.BatchDigest(rows).String()); d != e.Batch {
				t.Errorf("stage %d, step %d: rows have digest %s, the run's %s", e.Stage, e.Step, d, e.Batch)
			}
			steps[e.Stage]++
		case *record.Evaluation:
			if e.HeldOut == nil {
				return nil
			}
			measured++
			if got := train.Count(stages[e.Stage].HeldOut).Supervised; got != e.HeldOut.Tokens {
				t.Errorf("stage %d: held-out rows have %d supervised tokens, the run measured %d", e.Stage, got, e.HeldOut.Tokens)
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
