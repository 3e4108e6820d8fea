package replay_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/recipe/replay"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/trace"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
	training "github.com/temper-ml/temper/train"
)

// reinforcing is a run whose second stage learns from its own answers.
var reinforcing = strings.Replace(micro[:strings.Index(micro, "  - name: sft")], "steps: 5", "steps: 2", 1) + `
  - name: rl
    method: grpo
    data: {files: [data/numbers.jsonl], sequence: 40, hold_out: 0.25}
    rollout: {prompts: 3, group: 3, max_tokens: 6, sequences: 4 ROLLOUT}
    rewards: [{name: e, format: {pattern: "[e]", anywhere: true}}, {name: short, weight: 0.1, length: {max: 6, margin: 4}}]
    grpo: {LOSS}
    steps: 8
    gradient_slots: 2
    micro_rows: 2
    lr: {peak: 1e-2}
    eval: {every: 4, rows: 3}
checkpoint: {every: 3, keep: 1, keep_every: 3}
record: {digest_period: 2}
`

// kinds are kinds of such stages.
var kinds = map[string][2]string{
	"on-policy": {", waves: 2", "variant: dapo, mask_truncated: false"},
	"several":   {", updates: 2, epochs: 2", "variant: grpo, kl: {weight: 0.1, estimator: k3}"},
	"ahead":     {", ahead: 1, updates: 2", "variant: grpo, kl: {weight: 0.1}"},
	"routes":    {", ahead: 1, updates: 2", "variant: grpo, replay: true"},
}

func numbers() string {
	var b strings.Builder
	for i := range 24 {
		fmt.Fprintf(&b, `{"prompt": "%d?", "answer": %d}`+"\n", i, i)
	}
	return b.String()
}

func reinforce(t *testing.T, kind string) *run {
	t.Helper()
	root := t.TempDir()
	recipe := strings.NewReplacer("ROLLOUT", kinds[kind][0], "LOSS", kinds[kind][1]).Replace(reinforcing)
	files(t, root, recipe)
	if err := os.WriteFile(filepath.Join(root, "data", "numbers.jsonl"), []byte(numbers()), 0o644); err != nil {
		t.Fatal(err)
	}
	return train(t, root, recipe, replay.Way{Threads: 2})
}

func TestAnswersAreSampledAgain(t *testing.T) {
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			x := reinforce(t, kind)
			rounds := 0
			_, es := x.entries(t)
			for _, e := range es {
				if _, ok := e.Body.(*record.Rollout); ok {
					rounds++
				}
			}
			for _, way := range []replay.Way{{Threads: 1, Micro: 1}, {Threads: 3, Micro: 4, Recompute: "full"}} {
				r := x.judge(t, runlog.Trust{}, all, replay.Options{Way: way})
				if r.Verdict != verify.Pass || r.ReplayedSteps != 10 || !strings.Contains(tells(r), fmt.Sprintf("%d of %d rounds of answers sampled again", rounds, rounds)) {
					t.Errorf("%s: %s, %d steps replayed\n%s", way, r.Verdict, r.ReplayedSteps, tells(r))
				}
			}
		})
	}
}

// tells is all evidence of a report.
func tells(r *verify.Report) string {
	var b strings.Builder
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%s: %s: %s\n", c.Name, c.Result, c.Evidence)
	}
	return b.String() + strings.Join(r.NotChecked, "\n")
}

// Segments begin in the middle of rounds, with what the run keeps and without.
func TestRoundsFromTheMiddle(t *testing.T) {
	for _, kind := range []string{"several", "ahead"} {
		t.Run(kind, func(t *testing.T) {
			x := reinforce(t, kind)
			some := verify.Plan{Steps: 2}
			judge := func(what string, x *run, want verify.Verdict, text string) {
				t.Helper()
				for seed := range uint64(6) {
					some.Seed = seed
					r := x.judge(t, runlog.Trust{}, some, replay.Options{})
					if r.Verdict != want || !strings.Contains(tells(r), text) {
						t.Errorf("%s: seed %d: %s\n%s", what, seed, r.Verdict, tells(r))
					}
				}
			}
			judge("whole", x, verify.Pass, "rounds read from their files")
			gone := x.clone(t)
			remove(t, gone, record.RolloutDir(1, "rl"))
			judge("no rounds", gone, verify.Pass, "sampled again")
			anchor := x.clone(t)
			remove(t, anchor, record.AnchorPath(1, "rl"))
			judge("no anchor", anchor, verify.Pass, "")
			files, err := filepath.Glob(filepath.Join(x.dir, filepath.FromSlash(record.AnchorPath(1, "rl")), "save-*", "data-*"))
			if err != nil || len(files) != 1 {
				t.Fatal(files, err)
			}
			changed := x.clone(t)
			rel, err := filepath.Rel(x.dir, files[0])
			if err != nil {
				t.Fatal(err)
			}
			edit(t, filepath.Join(changed.dir, rel), flip)
			if r := changed.judge(t, runlog.Trust{}, verify.Plan{None: true}, replay.Options{}); r.Verdict != verify.Fail || !strings.Contains(says(r), record.AnchorPath(1, "rl")) {
				t.Errorf("changed anchor: %s\n%s", r.Verdict, says(r))
			}
		})
	}
}

func remove(t *testing.T, x *run, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(x.dir, filepath.FromSlash(name))); err != nil {
		t.Fatal(err)
	}
}

// What is forged about rounds is found, each by what it contradicts.
func TestForgedRounds(t *testing.T) {
	x := reinforce(t, "several")
	other := record.SHA256([]byte("other"))
	for what, c := range map[string]struct {
		change func(*record.Rollout)
		want   string
	}{
		"cursor":      {func(b *record.Rollout) { b.First++ }, "fail: rollouts: entry"},
		"prompts":     {func(b *record.Rollout) { b.Prompts++; b.Generations += 3 }, "the recipe makes it 3 to 3"},
		"generations": {func(b *record.Rollout) { b.Generations++ }, "the recipe makes it 3 to each"},
		"tokens":      {func(b *record.Rollout) { b.Tokens = 1000 }, "1000 tokens in 9 generations"},
		"longest":     {func(b *record.Rollout) { b.Longest = 7; b.Tokens = 20 }, "the recipe allows 6"},
		"a few":       {func(b *record.Rollout) { b.Tokens-- }, "rollout.tokens"},
		"trained":     {func(b *record.Rollout) { b.Trained++ }, "tokens are learnt from round 1"},
		"reward":      {func(b *record.Rollout) { b.Reward += 0.1 }, "the rules' means with their weights make it"},
		"rewards":     {func(b *record.Rollout) { b.Reward += 0.5; b.Rules["e"] += 0.5 }, "rollout.reward"},
		"rule":        {func(b *record.Rollout) { delete(b.Rules, "e") }, "means of the rules"},
		"policy":      {func(b *record.Rollout) { b.Policy = other }, "rollout.policy"},
		"digest":      {func(b *record.Rollout) { b.Batch = other }, "has digest"},
		"round":       {func(b *record.Rollout) { b.Round++ }, "round 1 is next"},
		"time":        {func(b *record.Rollout) { b.Took += 1e12 }, "fail: clock"},
	} {
		t.Run(what, func(t *testing.T) {
			x := x.clone(t)
			x.forge(t, func(bodies []record.Body) []record.Body {
				n := 0
				for _, b := range bodies {
					if r, ok := b.(*record.Rollout); ok {
						if n++; n == 2 {
							c.change(r)
						}
					}
				}
				return bodies
			})
			r := x.judge(t, runlog.Trust{}, all, replay.Options{})
			if r.Verdict != verify.Fail || !strings.Contains(says(r), c.want) {
				t.Errorf("%s\n%s", r.Verdict, says(r))
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		x := x.clone(t)
		x.forge(t, func(bodies []record.Body) []record.Body {
			i := slices.IndexFunc(bodies, func(b record.Body) bool { _, ok := b.(*record.Rollout); return ok })
			return slices.Delete(bodies, i, i+1)
		})
		if r := x.judge(t, runlog.Trust{}, all, replay.Options{}); r.Verdict != verify.Fail || !strings.Contains(says(r), "of whose round 0 nothing is said") {
			t.Errorf("%s\n%s", r.Verdict, says(r))
		}
	})
}

// A changed file of a round is named, without a replay and with one.
func TestTamperedRounds(t *testing.T) {
	x := reinforce(t, "several")
	name := record.RolloutPath(1, "rl", 0)
	for what, change := range map[string]func([]byte) []byte{
		"bit":    flip,
		"cut":    func(b []byte) []byte { return b[:len(b)-60] },
		"seal":   func(b []byte) []byte { b[len(b)-20] ^= 1; return b },
		"empty":  func([]byte) []byte { return nil },
		"longer": func(b []byte) []byte { return append(b, b[len(b)-49:]...) },
	} {
		for _, plan := range []verify.Plan{all, {None: true}} {
			x := x.clone(t)
			edit(t, filepath.Join(x.dir, filepath.FromSlash(name)), change)
			r := x.judge(t, runlog.Trust{}, plan, replay.Options{})
			if r.Verdict != verify.Fail || !strings.Contains(says(r), name) {
				t.Errorf("%s, replay none %v: %s\n%s", what, plan.None, r.Verdict, says(r))
			}
		}
	}
}

// Programs that a recipe names run on a verifier's machine only if that is allowed.
func TestProgramsAreNotRun(t *testing.T) {
	root := t.TempDir()
	recipe := strings.NewReplacer("ROLLOUT", ", updates: 2", "LOSS", "variant: grpo", `{name: e, format: {pattern: "[e]", anywhere: true}}`, `{name: e, command: {args: [./judge.sh, data/seen]}}`).Replace(reinforcing)
	files(t, root, recipe)
	ran := filepath.Join(root, "ran")
	for name, text := range map[string]string{
		"judge.sh": "#!/bin/sh\necho >> " + ran + "\nread -r x\ncase \"$x\" in *e*ei*) echo 1;; *) echo 0.25;; esac\n", "data/numbers.jsonl": numbers(),
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	x := train(t, root, recipe, replay.Way{Threads: 2})
	size := func() int64 {
		info, err := os.Stat(ran)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	before := size()
	r := x.judge(t, runlog.Trust{}, all, replay.Options{})
	if size() != before {
		t.Error("the replay ran the program")
	}
	if r.Verdict != verify.Incomplete || r.ReplayedSteps != 10 || !strings.Contains(tells(r), "4 of 4 rounds of answers were not sampled again") || !strings.Contains(says(r), "were not computed again") {
		t.Errorf("%s\n%s", r.Verdict, tells(r))
	}
	r = x.judge(t, runlog.Trust{}, all, replay.Options{Programs: true})
	if r.Verdict != verify.Pass || size() == before || !strings.Contains(tells(r), "4 of 4 rounds of answers sampled again") {
		t.Errorf("%s\n%s", r.Verdict, tells(r))
	}
	// A program that was changed since is not run.
	changed := x.clone(t)
	edit(t, filepath.Join(changed.root, "judge.sh"), func(b []byte) []byte { return append(b, []byte("echo 3\n")...) })
	before = size()
	r = changed.judge(t, runlog.Trust{}, all, replay.Options{Programs: true})
	if r.Verdict != verify.Incomplete || !strings.Contains(says(r), "it was changed") || size() != before {
		t.Errorf("%s\n%s", r.Verdict, says(r))
	}
}

// An answer that the trainer finds another probability for than sampling did is an
// alarm, on-policy: here an operator of the trainer is at fault.
func TestOnPolicyAlarm(t *testing.T) {
	x := reinforce(t, "on-policy")
	r := x.open(t, replay.Options{})
	steps := 0
	r.SetTouch(func(o trace.Operator, v training.Values) {
		if r.Steps() == 1 {
			flipOf(dense, 5, func() bool { return true })(o, v)
		}
	})
	err := r.Replay(context.Background(), verify.Segment{From: verify.Position{Stage: 1}, To: 8}, func(b record.Body) error {
		if _, ok := b.(*record.Step); ok {
			steps++
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "on-policy") || steps != 1 {
		t.Errorf("after %d steps: %v", steps, err)
	}
}
