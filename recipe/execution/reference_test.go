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
