package execution

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/recipe/demo"
	"github.com/temper-ml/temper/report/record"
)

// preferring is a run whose second stage prefers one of two answers.
const preferring = `
name: preferring
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
  - name: prefer
    method: dpo
    data: {files: [pairs.jsonl], sequence: 128, rows: 4, hold_out: 0.25}
    steps: 6
    micro_rows: 2
    lr: {name: constant, peak: 1e-2}
    dpo: {kind: sigmoid, beta: 0.5, sft: 0.1}
    eval: {every: 2}
checkpoint: {every: 2, keep: 1}
`

func preferences(t *testing.T) *recipe.Recipe {
	t.Helper()
	dir := t.TempDir()
	var pairs strings.Builder
	for i := range 40 {
		fmt.Fprintf(&pairs, `{"prompt": "Is it %d?", "chosen": "No, sorry, it is %d.", "rejected": "Yes, %d."}`+"\n", i, i+1, i)
	}
	for name, text := range map[string]string{"text.txt": demo.Text(1, 60), "pairs.jsonl": pairs.String(), "preferring.yaml": preferring} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return load(t, filepath.Join(dir, "preferring.yaml"))
}

func TestPreferenceStage(t *testing.T) {
	r := preferences(t)
	dir := filepath.Join(t.TempDir(), "run")
	s := execute(t, r, dir)
	m := s.Stages[1].Metrics
	if m["preference_accuracy_before"] != 0.5 || m["preference_accuracy"] < 0.9 || !(m["held_out_loss"] < m["held_out_loss_before"]) {
		t.Errorf("metrics %v", m)
	}
	holds(t, dir)
	_, es := log(t, dir)
	stages := of[*record.Stage](es)
	text, err := os.ReadFile(filepath.Join(dir, record.ReferencePath(1, "prefer")))
	if err != nil || stages[1].Reference != record.SHA256(text) || stages[0].Reference != "" {
		t.Errorf("references %q and %q, file %s, %v", stages[0].Reference, stages[1].Reference, record.SHA256(text), err)
	}
	steps := of[*record.Step](es)
	last := steps[len(steps)-1]
	want := []string{"accuracy", "balance", "indexer", "lm", "loss", "margin", "reward_chosen", "reward_rejected", "sft"}
	if got := slices.Sorted(maps.Keys(last.Losses)); !slices.Equal(got, want) {
		t.Errorf("losses %v, want %v", got, want)
	}
	if first := s.Stages[1].Losses[0]; first != steps[2].Losses["loss"] {
		t.Errorf("the summary begins with loss %v, the stage with %v", first, steps[2].Losses)
	}
	for _, e := range of[*record.Evaluation](es) {
		if e.Suites["preference_accuracy"].Total != 10 || e.HeldOut == nil {
			t.Errorf("evaluation %+v", e)
		}
	}
	r.Stages[1].MicroRows = 4
	other := filepath.Join(t.TempDir(), "other")
	threads := kernel.SetThreads(3)
	defer kernel.SetThreads(threads)
	execute(t, r, other)
	if d := cmp.Diff(entries(t, dir), entries(t, other)); d != "" {
		t.Errorf("other micro-batches on other threads: %s", d)
	}
}

// judging changes the second stage to kto, of the same pairs or of judged answers.
func judging(t *testing.T, r *recipe.Recipe, file string) *recipe.Recipe {
	t.Helper()
	dir := r.Dir()
	var rows strings.Builder
	for i := range 40 {
		fmt.Fprintf(&rows, `{"prompt": "Is it %d?", "completion": "No, sorry, it is %d.", "label": true}`+"\n", i, i+1)
		if i%4 > 0 {
			fmt.Fprintf(&rows, `{"prompt": "Is it %d?", "completion": "Yes, %d.", "label": false}`+"\n", i, i)
		}
	}
	text := strings.Replace(preferring, "{kind: sigmoid,", "{kind: kto,", 1)
	for name, text := range map[string]string{"answers.jsonl": rows.String(), "judging.yaml": strings.Replace(text, "pairs.jsonl", file, 1)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return load(t, filepath.Join(dir, "judging.yaml"))
}

// TestJudgingStage: kto on pairs taken apart and on judged answers; other
// micro-batches, threads and a stop change nothing, and check knows what it takes.
func TestJudgingStage(t *testing.T) {
	base := preferences(t)
	for file, held := range map[string]int64{"pairs.jsonl": 10, "answers.jsonl": 17} {
		r := judging(t, base, file)
		checked, err := Check(context.Background(), r, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "run")
		s := execute(t, r, dir)
		m := s.Stages[1].Metrics
		if m["preference_accuracy_before"] != float64(held/2)/float64(held) || m["preference_accuracy"] < 0.9 || !(m["held_out_loss"] < m["held_out_loss_before"]) {
			t.Errorf("%s: metrics %v", file, m)
		}
		holds(t, dir)
		_, es := log(t, dir)
		flops := 0.0
		for _, e := range of[*record.Step](es) {
			if e.Stage == 1 {
				flops += e.FLOPs
				if _, ok := e.Losses["kl"]; !ok {
					t.Errorf("%s: losses %v", file, e.Losses)
				}
			}
		}
		c := checked.Stages[1]
		if c.FLOPs != flops || c.ReferenceRows == 0 || !(c.ReferenceFLOPs > 0) {
			t.Errorf("%s: %v operations by check, %v by the record; reference %d rows, %v", file, c.FLOPs, flops, c.ReferenceRows, c.ReferenceFLOPs)
		}
		info, err := os.Stat(filepath.Join(dir, record.ReferencePath(1, "prefer")))
		if err != nil || info.Size() > c.ReferenceBytes {
			t.Errorf("%s: the reference takes %v of at most %d bytes, %v", file, info, c.ReferenceBytes, err)
		}
		want := entries(t, dir)
		r.Stages[1].MicroRows = 4
		other := filepath.Join(t.TempDir(), "other")
		threads := kernel.SetThreads(3)
		stopAt(t, r, other, func(e Event) bool { p, ok := e.(Stepped); return ok && p.Stage == 1 && p.Result.Step == 2 })
		remove(t, filepath.Join(other, record.ReferencePath(1, "prefer")))
		_, err = Run(context.Background(), r, Options{Dir: other, Resume: true, Now: ticking()})
		kernel.SetThreads(threads)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, entries(t, other)); d != "" {
			t.Errorf("%s: stopped, with other micro-batches on other threads: %s", file, d)
		}
	}
}

// TestOneSidedJudgements: a run whose answers are all desirable goes on, and says so.
func TestOneSidedJudgements(t *testing.T) {
	r := judging(t, preferences(t), "answers.jsonl")
	path := filepath.Join(r.Dir(), "answers.jsonl")
	rewrite(t, path, func(b []byte) []byte {
		return []byte(strings.ReplaceAll(string(b), `"label": false`, `"label": true`))
	})
	checked, err := Check(context.Background(), r, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "run")
	execute(t, r, dir)
	_, es := log(t, dir)
	notes := ""
	for _, n := range of[*record.Note](es) {
		notes += n.Text + "\n"
	}
	for _, got := range []string{strings.Join(checked.Stages[1].Notes, "\n"), notes} {
		if !strings.Contains(got, "answers are desirable: it learns") {
			t.Errorf("notes %q", got)
		}
	}
}

// TestPreferenceStageGoesOn: stopped while the reference is computed, or later,
// with the cache there, gone, or damaged.
func TestPreferenceStageGoesOn(t *testing.T) {
	r := preferences(t)
	whole := filepath.Join(t.TempDir(), "whole")
	execute(t, r, whole)
	want := entries(t, whole)
	cache := record.ReferencePath(1, "prefer")
	for _, c := range []struct {
		name  string
		until func(Event) bool
		touch func(t *testing.T, path string)
		note  string
	}{
		{"reference", func(e Event) bool { p, ok := e.(Referring); return ok && p.Done == 3 }, nil, ""},
		{"reference, cut", func(e Event) bool { p, ok := e.(Referring); return ok && p.Done == 3 }, cut, "is damaged"},
		{"begin", func(e Event) bool { b, ok := e.(StageBegan); return ok && b.Stage == 1 }, nil, ""},
		{"first step", func(e Event) bool { p, ok := e.(Stepped); return ok && p.Stage == 1 && p.Result.Step == 0 }, nil, ""},
		{"middle", func(e Event) bool { p, ok := e.(Stepped); return ok && p.Stage == 1 && p.Result.Step == 2 }, nil, ""},
		{"middle, gone", func(e Event) bool { p, ok := e.(Stepped); return ok && p.Stage == 1 && p.Result.Step == 2 }, remove, "it is gone"},
		{"middle, damaged", func(e Event) bool { p, ok := e.(Stepped); return ok && p.Stage == 1 && p.Result.Step == 3 }, flip, "it has digest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			stopAt(t, r, dir, c.until)
			if c.touch != nil {
				c.touch(t, filepath.Join(dir, cache))
			}
			var notes []string
			watch := ObserverFunc(func(e Event) {
				if n, ok := e.(Noted); ok {
					notes = append(notes, n.Text)
				}
				if p, ok := e.(Referring); ok && c.name == "reference" && p.Done < 4 {
					t.Errorf("row %d is computed again", p.Done)
				}
			})
			if _, err := Run(context.Background(), r, Options{Dir: dir, Resume: true, Observer: watch, Now: ticking()}); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, entries(t, dir)); d != "" {
				t.Error(d)
			}
			if got := strings.Join(notes, "\n"); !strings.Contains(got, c.note) || c.note == "" && strings.Contains(got, "reference") {
				t.Errorf("notes %q, want %q", got, c.note)
			}
			a, errA := os.ReadFile(filepath.Join(whole, cache))
			b, errB := os.ReadFile(filepath.Join(dir, cache))
			if errA != nil || errB != nil || string(a) != string(b) {
				t.Errorf("the cache differs (%v, %v)", errA, errB)
			}
		})
	}
	t.Run("nothing left", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "run")
		stopAt(t, r, dir, func(e Event) bool { p, ok := e.(Stepped); return ok && p.Stage == 1 && p.Result.Step == 2 })
		remove(t, filepath.Join(dir, cache))
		remove(t, filepath.Join(dir, "checkpoints", "00-base"))
		_, err := Run(context.Background(), r, Options{Dir: dir, Resume: true, Now: ticking()})
		if err == nil || !strings.Contains(err.Error(), "the last checkpoint of stage base is not kept") || !strings.Contains(err.Error(), cache) {
			t.Errorf("error %v", err)
		}
	})
}

func stopAt(t *testing.T, r *recipe.Recipe, dir string, until func(Event) bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	watch := ObserverFunc(func(e Event) {
		if until(e) {
			cancel()
		}
	})
	if _, err := Run(ctx, r, Options{Dir: dir, Observer: watch, Now: ticking()}); !errors.Is(err, ErrInterrupted) {
		t.Fatalf("error %v, want an interruption", err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func cut(t *testing.T, path string) { rewrite(t, path, func(b []byte) []byte { return b[:len(b)-5] }) }

func flip(t *testing.T, path string) {
	rewrite(t, path, func(b []byte) []byte { b[len(b)/2] ^= 4; return b })
}

func rewrite(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(b), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
