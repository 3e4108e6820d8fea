package replay_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/temper-ml/temper/compute/dtype"
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/recipe/execution"
	"github.com/temper-ml/temper/recipe/replay"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

// distilling is a run whose second stage learns from two teachers.
var distilling = strings.Replace(micro[:strings.Index(micro, "  - name: sft")], "steps: 5", "steps: 2", 1) + `
  - name: merge
    method: distill
    data: {files: [data/questions.jsonl], format: pair, sequence: 96, rows: 3, hold_out: 0.2}
    steps: 4
    micro_rows: 2
    lr: {name: constant, peak: 1e-2}
    distill:
      ahead: 3
      teachers:
        - {name: a, load: teachers/a}
        - {name: b, load: teachers/b, weight: 0.5}
checkpoint: {every: 2, keep: 1, keep_every: 2}
record: {digest_period: 2}
`

// enrol writes the teachers of a recipe, of two widths.
func enrol(t testing.TB, root, text string) {
	t.Helper()
	r, err := recipe.Load(files(t, root, text), nil)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := execution.Tokenizer(context.Background(), r, root)
	if err != nil {
		t.Fatal(err)
	}
	student, err := execution.Architecture(r, tok)
	if err != nil {
		t.Fatal(err)
	}
	words, err := tok.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "teachers"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, width := range map[string]int{"a": 24, "b": 16} {
		c := *student
		c.HiddenSize = width
		m, err := deepseek.New(&c)
		if err != nil {
			t.Fatal(err)
		}
		m.Init(uint64(width))
		for _, p := range m.Params() {
			if p.Role == arch.Head {
				kernel.Scale(p.Data, 20) // opinions
			}
		}
		o := hf.Options{DType: dtype.F32, Files: map[string][]byte{execution.TokenizerName: words}}
		values := func(x *arch.Tensor) ([]float32, error) { return m.Param(x.Name).Data, nil }
		if err := hf.WriteSlices(durabletest.NoSync(durable.OS), filepath.Join(root, "teachers", name), &c, o, values); err != nil {
			t.Fatal(err)
		}
	}
}

// What teachers said is computed again; a run whose teachers are not there, or are
// others, cannot be replayed and is not accused.
func TestDistillStageIsReplayed(t *testing.T) {
	root := t.TempDir()
	enrol(t, root, distilling)
	x := train(t, root, distilling, replay.Way{Threads: 2})
	for _, way := range []replay.Way{{Threads: 1, Micro: 1}, {Threads: 3, Micro: 3, Recompute: "full"}} {
		r := x.judge(t, runlog.Trust{}, all, replay.Options{Way: way})
		if r.Verdict != verify.Pass || r.ReplayedSteps != 6 {
			t.Errorf("%s: %s, %d steps replayed\n%s", way, r.Verdict, r.ReplayedSteps, says(r))
		}
	}
	middle := verify.Segment{From: verify.Position{Stage: 1, Step: 2}, To: 4}
	if err := x.open(t, replay.Options{}).Replay(context.Background(), middle, func(record.Body) error { return nil }); err != nil {
		t.Error(err)
	}

	lied := x.clone(t)
	lied.forge(t, func(bodies []record.Body) []record.Body {
		for _, b := range bodies {
			if s, ok := b.(*record.Step); ok && s.Stage == 1 && s.Step == 1 {
				s.Losses["divergence.a"] *= 1.01
			}
		}
		return bodies
	})
	if r := lied.judge(t, runlog.Trust{}, all, replay.Options{}); r.Verdict != verify.Fail || !strings.Contains(says(r), "divergence.a") {
		t.Errorf("a divergence that was not: %s\n%s", r.Verdict, says(r))
	}

	absent(t, x)
}

// absent spoils teachers of a run.
func absent(t *testing.T, x *run) {
	t.Helper()
	for what, spoil := range map[string]func(root string) error{
		"gone": func(root string) error { return os.RemoveAll(filepath.Join(root, "teachers", "b")) },
		"another": func(root string) error {
			if err := os.RemoveAll(filepath.Join(root, "teachers", "b")); err != nil {
				return err
			}
			return os.CopyFS(filepath.Join(root, "teachers", "b"), os.DirFS(filepath.Join(root, "teachers", "a")))
		},
	} {
		y := x.clone(t)
		if err := spoil(y.root); err != nil {
			t.Fatal(err)
		}
		r := y.judge(t, runlog.Trust{}, all, replay.Options{})
		want := map[string]string{"gone": "teacher: teachers/b is not here", "another": `teacher "b" was loaded as sha256:`}[what]
		if r.Verdict == verify.Fail || r.ReplayedSteps > 2 || !strings.Contains(says(r), want) {
			t.Errorf("%s: %s, %d steps replayed\n%s", what, r.Verdict, r.ReplayedSteps, says(r))
		}
	}
}

// studying is the same run on the model's own answers.
var studying = strings.NewReplacer(
	"method: distill", "method: opd", "    distill:\n      ahead: 3", "    opd:", "sequence: 96, rows: 3", "sequence: 96",
	"    micro_rows: 2\n    lr: {name: constant", "    micro_rows: 2\n    rollout: {prompts: 6, max_tokens: 8, updates: 2, sequences: 4}\n    lr: {name: constant",
).Replace(distilling)

// The student answers again, with its own weights of the time, and is taught again.
func TestOwnAnswersAreReplayed(t *testing.T) {
	root := t.TempDir()
	enrol(t, root, studying)
	x := train(t, root, studying, replay.Way{Threads: 2})
	good := func(what string, y *run, o replay.Options) {
		t.Helper()
		if r := y.judge(t, runlog.Trust{}, all, o); r.Verdict != verify.Pass || r.ReplayedSteps != 6 {
			t.Errorf("%s: %s, %d steps replayed\n%s", what, r.Verdict, r.ReplayedSteps, says(r))
		}
	}
	good("one row at a time", x, replay.Options{Way: replay.Way{Threads: 1, Micro: 1}})
	bare := x.clone(t)
	if err := os.RemoveAll(filepath.Join(bare.dir, "rollouts")); err != nil {
		t.Fatal(err)
	}
	good("without the rounds", bare, replay.Options{Way: replay.Way{Threads: 3, Micro: 3, Recompute: "full"}})

	bad := x.clone(t)
	edit(t, filepath.Join(bad.dir, filepath.FromSlash(record.RolloutPath(1, "merge", 1))), flip)
	if r := bad.judge(t, runlog.Trust{}, all, replay.Options{}); r.Verdict != verify.Fail {
		t.Errorf("a round that was changed: %s\n%s", r.Verdict, says(r))
	}
	lied := x.clone(t)
	lied.forge(t, func(bodies []record.Body) []record.Body {
		for _, b := range bodies {
			if s, ok := b.(*record.Step); ok && s.Stage == 1 && s.Step == 3 {
				s.Losses["divergence"] *= 1.01
			}
		}
		return bodies
	})
	if r := lied.judge(t, runlog.Trust{}, all, replay.Options{}); r.Verdict != verify.Fail || !strings.Contains(says(r), "divergence") {
		t.Errorf("a divergence that was not: %s\n%s", r.Verdict, says(r))
	}
	absent(t, x)
}
