package replay_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/temper-ml/temper/recipe/replay"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
)

// preferring is a run whose second stage compares pairs of answers.
var preferring = strings.Replace(micro[:strings.Index(micro, "  - name: sft")], "steps: 5", "steps: 2", 1) + `
  - name: prefer
    method: dpo
    data: {files: [data/pairs.jsonl], sequence: 96, rows: 4, hold_out: 0.2}
    steps: 4
    micro_rows: 2
    lr: {name: constant, peak: 1e-2}
    dpo: {kind: ipo, beta: 0.5}
    eval: {every: 2}
checkpoint: {every: 2, keep: 1, keep_every: 2}
record: {digest_period: 2}
`

// prefer carries out the run.
func prefer(t *testing.T, recipe string) *run {
	t.Helper()
	root := t.TempDir()
	var pairs strings.Builder
	for i := range 30 {
		fmt.Fprintf(&pairs, `{"prompt": "%d?", "chosen": "no, %d", "rejected": "yes, %d"}`+"\n", i, i+1, i)
	}
	files(t, root, recipe)
	if err := os.WriteFile(filepath.Join(root, "data", "pairs.jsonl"), []byte(pairs.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return train(t, root, recipe, replay.Way{Threads: 2})
}

func TestPreferenceStageIsReplayed(t *testing.T) { replayed(t, preferring) }

// A kto stage is also run forward on mismatched answers before each step.
func TestJudgingStageIsReplayed(t *testing.T) {
	replayed(t, strings.Replace(preferring, "{kind: ipo, beta: 0.5}", "{kind: kto, beta: 0.5, undesirable: 1.2}", 1))
}

func replayed(t *testing.T, recipe string) {
	x := prefer(t, recipe)
	cache := record.ReferencePath(1, "prefer")
	good := func(what string, r *verify.Report) {
		t.Helper()
		if r.Verdict != verify.Pass || r.ReplayedSteps != 6 {
			t.Errorf("%s: %s, %d steps replayed\n%s", what, r.Verdict, r.ReplayedSteps, says(r))
		}
	}
	for _, way := range []replay.Way{{Threads: 1, Micro: 1}, {Threads: 3, Micro: 4, Recompute: "full"}} {
		good(way.String(), x.judge(t, runlog.Trust{}, all, replay.Options{Way: way}))
	}

	// From the middle of the stage, with and without the file.
	middle := verify.Segment{From: verify.Position{Stage: 1, Step: 2}, To: 4}
	same := func(x *run) error {
		r := x.open(t, replay.Options{})
		return r.Replay(context.Background(), middle, func(b record.Body) error {
			s, ok := b.(*record.Step)
			if !ok {
				return nil
			}
			l, _ := verify.Form(x.dir, runlog.Trust{})
			said, _, err := l.Step(verify.Position{Stage: s.Stage, Step: s.Step})
			if err == nil && (said.Parameters != s.Parameters || said.Losses["loss"] != s.Losses["loss"]) {
				err = fmt.Errorf("step %d: %+v, on record %+v", s.Step, s, said)
			}
			return err
		})
	}
	if err := same(x); err != nil {
		t.Error(err)
	}
	gone := x.clone(t)
	if err := os.RemoveAll(filepath.Join(gone.dir, "reference")); err != nil {
		t.Fatal(err)
	}
	if err := same(gone); err != nil {
		t.Error(err)
	}
	good("without the file", gone.judge(t, runlog.Trust{}, all, replay.Options{}))

	// A changed file is found, by its digest and by the replay.
	bad := x.clone(t)
	edit(t, filepath.Join(bad.dir, filepath.FromSlash(cache)), flip)
	r := bad.judge(t, runlog.Trust{}, all, replay.Options{})
	if r.Verdict != verify.Fail || !strings.Contains(says(r), "files") || !strings.Contains(says(r), cache+" has digest") || !strings.Contains(says(r), "states loaded") {
		t.Errorf("%s\n%s", r.Verdict, says(r))
	}

	// So is a pair that was changed after the run.
	pairs := x.clone(t)
	edit(t, filepath.Join(pairs.root, "data", "pairs.jsonl"), func(b []byte) []byte {
		return []byte(strings.Replace(string(b), "no, 3", "no, 8", 1))
	})
	r = pairs.judge(t, runlog.Trust{}, all, replay.Options{})
	if r.Verdict == verify.Pass || !strings.Contains(says(r), "it was changed") {
		t.Errorf("%s\n%s", r.Verdict, says(r))
	}
}
