package execution

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/recipe/demo"
	"github.com/temper-ml/temper/report/record"
)

// reinforcement is a run whose second stage learns from its own answers: to say
// something with an e.
const reinforcement = `
name: reinforcement
model:
  init: tiny-v4
  set: {hidden_size: 32, num_attention_heads: 2, head_dim: 16, qk_rope_head_dim: 8, q_lora_rank: 16, o_lora_rank: 16,
        index_n_heads: 2, index_head_dim: 16, n_routed_experts: 4, moe_intermediate_size: 24}
tokenizer:
  train: {files: [text.txt], vocab_size: 512}
stages:
  - name: base
    method: cpt
    data: {files: [text.txt], separator: "\n\n", sequence: 96, rows: 4}
    steps: 2
    lr: {name: cosine, peak: 1e-2}
  - name: rl
    method: grpo
    data: {files: [questions.jsonl], format: prompt, sequence: 48, hold_out: 0.25}
    rollout: {prompts: 3, group: 3, max_tokens: 6, sequences: 4 ROLLOUT}
    rewards: [{name: e, format: {pattern: "[e]", anywhere: true}}, {name: short, weight: 0.1, length: {max: 6, margin: 4}}]
    grpo: {GRPO}
    steps: 8
    micro_rows: 2
    lr: {peak: 1e-2}
    eval: {every: 4, rows: 5}
checkpoint: {every: 3, keep: 2}
`

// reinforced returns that recipe with more in its sections.
func reinforced(t *testing.T, rollout, loss string) *recipe.Recipe {
	t.Helper()
	dir := t.TempDir()
	var questions strings.Builder
	for i := range 24 {
		fmt.Fprintf(&questions, `{"prompt": "Is it %d?", "answer": %d}`+"\n", i, i)
	}
	text := strings.NewReplacer("ROLLOUT", rollout, "GRPO", loss).Replace(reinforcement)
	for name, text := range map[string]string{"text.txt": demo.Text(1, 60), "questions.jsonl": questions.String(), "r.yaml": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return load(t, filepath.Join(dir, "r.yaml"))
}

// ways are kinds of stages that learn from their own answers: on-policy, several
// updates of a round near the first policy, and one round ahead.
var ways = []struct{ name, rollout, loss string }{
	{"on-policy", ", waves: 2", "variant: dapo, mask_truncated: false"},
	{"several updates", ", updates: 2, epochs: 2, stop: [\" \"]", "variant: grpo, kl: {weight: 0.1, estimator: k3}"},
	{"ahead", ", waves: 2, ahead: 1, updates: 2", "variant: dapo, mask_truncated: false, kl: {weight: 0.1}"},
	{"routes", ", updates: 2, epochs: 2", "variant: grpo, replay: true"},
	{"experts", ", updates: 2, ahead: 1", "variant: grpo, replay: true, experts_only: true"},
}

func TestAnswers(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			r := reinforced(t, w.rollout, w.loss)
			dir := filepath.Join(t.TempDir(), "run")
			s := execute(t, r, dir)
			holds(t, dir)
			_, es := log(t, dir)
			stage := of[*record.Stage](es)[1]
			rounds := of[*record.Rollout](es)
			c := r.Stages[1].Rollout
			if want := int(r.Stages[1].Steps / c.Steps()); len(rounds) != want || stage.Round != c.Steps() {
				t.Errorf("%d rounds of %d steps, want %d of %d", len(rounds), stage.Round, want, c.Steps())
			}
			used := int64(0)
			for i, e := range rounds {
				if e.Round != int64(i) || e.First != used || e.Step != int64(i)*c.Steps() || e.Generations != e.Prompts*int64(c.Group) || e.Trained == 0 || len(e.Rules) != 2 {
					t.Errorf("round %d: %+v", i, e)
				}
				used += e.Prompts
				if _, err := os.Stat(filepath.Join(dir, record.RolloutPath(1, "rl", e.Round))); err != nil {
					t.Error(err)
				}
			}
			if got := (stage.Anchor != ""); got != (r.Stages[1].GRPO.KL.Weight > 0) {
				t.Errorf("anchor %q", stage.Anchor)
			}
			m := s.Stages[1].Metrics
			t.Logf("%v", m)
			if _, ok := m["held_out/reward_before"]; !ok || m["held_out/tokens"] == 0 {
				t.Errorf("metrics %v", m)
			}
		})
	}
}

// A run that is stopped after any step, or while it samples, ends with the same
// weights and record as one that was not.
func TestAnswersResume(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			r := reinforced(t, w.rollout, w.loss)
			whole := filepath.Join(t.TempDir(), "whole")
			s := execute(t, r, whole)
			want := entries(t, whole)
			stops := map[string]func(Event) bool{}
			for i := range r.Stages[1].Steps {
				stops[fmt.Sprintf("step %d", i)] = func(e Event) bool { x, ok := e.(Stepped); return ok && x.Stage == 1 && x.Result.Step == i }
			}
			for _, round := range []int64{0, 1} {
				stops[fmt.Sprintf("sampling %d", round)] = func(e Event) bool { x, ok := e.(Sampling); return ok && x.Round == round && x.Tokens > 10 }
			}
			for what, when := range stops {
				dir := filepath.Join(t.TempDir(), "stopped")
				stopAt(t, load(t, filepath.Join(r.Dir(), "r.yaml")), dir, when)
				again, err := Run(context.Background(), load(t, filepath.Join(r.Dir(), "r.yaml")), Options{Dir: dir, Resume: true, Now: ticking()})
				if err != nil {
					t.Errorf("%s: resumed: %v", what, err)
					continue
				}
				if diff := cmp.Diff(want, entries(t, dir)); diff != "" || again.WeightsDigest != s.WeightsDigest {
					t.Errorf("%s: weights %s, want %s: %s", what, again.WeightsDigest, s.WeightsDigest, diff)
				}
			}
		})
	}
}

// Rounds that are lost are made again by an older checkpoint, or by the weights that
// the stage began with; so are those weights.
func TestLostRounds(t *testing.T) {
	w := ways[1]
	r := reinforced(t, w.rollout, w.loss)
	whole := filepath.Join(t.TempDir(), "whole")
	s := execute(t, r, whole)
	want := entries(t, whole)
	rounds := func(dir string, n ...int64) {
		for _, i := range n {
			remove(t, filepath.Join(dir, record.RolloutPath(1, "rl", i)))
		}
	}
	for what, harm := range map[string]func(dir string){
		"round":   func(dir string) { rounds(dir, 1) },
		"rounds":  func(dir string) { rounds(dir, 0, 1) },
		"damaged": func(dir string) { flip(t, filepath.Join(dir, record.RolloutPath(1, "rl", 1))) },
		"anchor":  func(dir string) { remove(t, filepath.Join(dir, record.AnchorPath(1, "rl"))) },
	} {
		t.Run(what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "stopped")
			stopAt(t, load(t, filepath.Join(r.Dir(), "r.yaml")), dir, func(e Event) bool { x, ok := e.(Stepped); return ok && x.Stage == 1 && x.Result.Step == 5 })
			harm(dir)
			again, err := Run(context.Background(), load(t, filepath.Join(r.Dir(), "r.yaml")), Options{Dir: dir, Resume: true, Now: ticking()})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, entries(t, dir)); diff != "" || again.WeightsDigest != s.WeightsDigest {
				t.Errorf("weights %s, want %s: %s", again.WeightsDigest, s.WeightsDigest, diff)
			}
			_, es := log(t, dir)
			for _, n := range of[*record.Note](es) {
				t.Log(n.Text)
			}
			for _, n := range of[*record.Recovery](es) {
				t.Logf("%+v", n)
			}
		})
	}
}

// What a recipe keeps few of stays as long as a checkpoint needs it.
func TestRoundsArePruned(t *testing.T) {
	r := reinforced(t, ", keep: 1", "variant: grpo")
	dir := filepath.Join(t.TempDir(), "run")
	execute(t, r, dir)
	names, err := os.ReadDir(filepath.Join(dir, record.RolloutDir(1, "rl")))
	if err != nil || len(names) == 0 || len(names) > 4 {
		t.Errorf("%v, %v", names, err)
	}
}

func TestCheckOfAnswers(t *testing.T) {
	for _, w := range ways[2:] {
		t.Run(w.name, func(t *testing.T) { checkOfAnswers(t, reinforced(t, w.rollout, w.loss)) })
	}
	r := reinforced(t, ways[2].rollout, ways[2].loss)
	if _, err := Rows(context.Background(), r, t.TempDir(), 1); err == nil || !strings.Contains(err.Error(), "no rows before it runs") {
		t.Errorf("rows: error %v", err)
	}
}

// checkOfAnswers holds what a stage writes to what was foretold.
func checkOfAnswers(t *testing.T, r *recipe.Recipe) {
	t.Helper()
	c, err := Check(context.Background(), r, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a := c.Stages[1].Answers
	if a == nil || a.Questions != 18 || a.Rounds < 1 || a.Generations < 9 || a.Tokens != 6*a.Generations || a.FLOPs <= 0 || a.Engine.Cache <= 0 || (a.Weights.Anchor == 0) != (r.Stages[1].GRPO.KL.Weight == 0) || (a.Weights.Behaviour == 0) != (r.Stages[1].Rollout.Ahead == 0) || a.Memory <= 0 || a.Bytes <= 0 || c.Stages[1].FLOPs <= 0 {
		t.Errorf("%+v, %+v", a, c.Stages[1])
	}
	dir := filepath.Join(t.TempDir(), "run")
	execute(t, r, dir)
	var size int64
	names := []string{record.RolloutDir(1, "rl")}
	if a.Weights.Anchor > 0 {
		names = append(names, record.AnchorPath(1, "rl"))
	}
	for _, name := range names {
		err := filepath.WalkDir(filepath.Join(dir, name), func(_ string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				var info os.FileInfo
				if info, err = d.Info(); err == nil {
					size += info.Size()
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d bytes, predicted %d", size, a.Bytes)
	if size > a.Bytes+64<<10 { // a manifest
		t.Errorf("%d bytes, at most %d were predicted", size, a.Bytes)
	}
}

// The disk fails, fills up, or goes away with the process at any call, also while
// answers are sampled: the run goes on when it is resumed.
func TestDiskFaultsWhileSampling(t *testing.T) {
	for _, w := range ways[1:] {
		r := reinforced(t, w.rollout, w.loss)
		whole := filepath.Join(t.TempDir(), "whole")
		counting := &durabletest.Faulty{FS: durabletest.NoSync(durable.OS)}
		s, err := Run(context.Background(), r, Options{Dir: whole, Now: ticking(), FS: counting})
		if err != nil {
			t.Fatal(err)
		}
		want := entries(t, whole)
		tries := 16
		if testing.Short() {
			tries = 4
		}
		rng := rand.New(rand.NewPCG(3, 4))
		for i := range tries {
			at := 1 + (i*counting.Calls()+rng.IntN(counting.Calls()))/tries
			fs := &durabletest.Faulty{FS: durabletest.NoSync(durable.OS), FailAt: at, Err: syscall.ENOSPC, Lost: i%2 == 1, Dead: i%3 > 0}
			what := fmt.Sprintf("%s: call %d of %d, lost %t, dead %t", w.name, at, counting.Calls(), fs.Lost, fs.Dead)
			dir := filepath.Join(t.TempDir(), "run")
			again := func() *recipe.Recipe { return load(t, filepath.Join(r.Dir(), "r.yaml")) }
			if _, err := Run(context.Background(), again(), Options{Dir: dir, Now: ticking(), FS: fs}); err == nil {
				continue // the call was one that only tidies up
			} else if !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%s: error %v", what, err)
			}
			if i%3 == 2 {
				if err := fs.PowerCut(); err != nil {
					t.Fatal(err)
				}
			}
			_, err := os.Stat(filepath.Join(dir, "recipe.yaml"))
			got, err := Run(context.Background(), again(), Options{Dir: dir, Resume: err == nil, Now: ticking(), FS: durabletest.NoSync(durable.OS)})
			if err != nil {
				t.Errorf("%s: resumed: %v", what, err)
				continue
			}
			if diff := cmp.Diff(want, entries(t, dir)); diff != "" || got.WeightsDigest != s.WeightsDigest {
				t.Errorf("%s: weights %s, want %s; %s", what, got.WeightsDigest, s.WeightsDigest, diff)
			}
		}
	}
}
