package execution

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/report/record"
)

// studious is the distilling run with the model's own answers.
func studious(t *testing.T) *recipe.Recipe {
	t.Helper()
	r := class(t)
	text := strings.NewReplacer(
		"method: distill", "method: opd", "    distill:", "    opd:", "rows: 4, ", "", "      ahead: 3\n", "", "steps: 7", "steps: 16", "peak: 1e-2", "peak: 3e-2",
		"    eval: {every: 3}", "    eval: {every: 8}\n    rollout: {prompts: 12, max_tokens: 16, updates: 2, epochs: 2, sequences: 4}",
	).Replace(distilling)
	path := filepath.Join(r.Dir(), "studious.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return load(t, path)
}

func TestOwnAnswersAreTaught(t *testing.T) {
	r := studious(t)
	dir := filepath.Join(t.TempDir(), "run")
	read := 0
	s, err := Run(context.Background(), r, Options{Dir: dir, Now: ticking(), Observer: ObserverFunc(func(e Event) {
		if _, ok := e.(Taught); ok {
			read++
		}
	})})
	if err != nil {
		t.Fatal(err)
	}
	m := s.Stages[0].Metrics
	for _, name := range []string{"held_out/divergence", "held_out/divergence.even", "held_out/divergence.odd"} {
		if !(m[name] < m[name+"_before"]) || !(m[name] > 0) {
			t.Errorf("%s goes from %v to %v", name, m[name+"_before"], m[name])
		}
		t.Logf("%s goes from %.4f to %.4f", name, m[name+"_before"], m[name])
	}
	holds(t, dir)
	_, es := log(t, dir)
	stage := of[*record.Stage](es)[0]
	if len(stage.Teachers) != 2 || stage.Round != 4 || stage.Rows != 48 || stage.HeldOut != 12 {
		t.Errorf("the stage is on record as %+v", stage)
	}
	rounds := of[*record.Rollout](es)
	if len(rounds) != 4 || rounds[1].Step != 4 || rounds[1].First != 12 || rounds[1].Generations != 12 || rounds[0].Trained != 2*rounds[0].Tokens {
		t.Errorf("rounds on record are %+v", rounds)
	}
	// Two teachers read four rounds and three measurements.
	if read != 14 {
		t.Errorf("teachers read %d times, want 14", read)
	}
	again := load(t, filepath.Join(r.Dir(), "studious.yaml"))
	again.Stages[0].MicroRows, again.Stages[0].OPD.Tokens, again.Stages[0].OPD.MemoryMiB, again.Stages[0].Rollout.Sequences = 1, 1, 0, 2
	other := filepath.Join(t.TempDir(), "other")
	threads := kernel.SetThreads(3)
	defer kernel.SetThreads(threads)
	execute(t, again, other)
	if d := cmp.Diff(entries(t, dir), entries(t, other)); d != "" {
		t.Errorf("another engine, other micro-batches, cache and threads: %s", d)
	}
}

// A run that is stopped after any step, or while answers are sampled or read, and
// resumed has the same record as one that was not.
func TestOwnAnswersResume(t *testing.T) {
	r := studious(t)
	want := filepath.Join(t.TempDir(), "whole")
	execute(t, r, want)
	for stop := 1; stop < 70; stop += 13 {
		dir := filepath.Join(t.TempDir(), "stopped")
		ctx, cancel := context.WithCancel(context.Background())
		seen := 0
		watch := ObserverFunc(func(e Event) {
			switch e.(type) {
			case Stepped, Taught, Sampling, Rolled:
				if seen++; seen == stop {
					cancel()
				}
			}
		})
		_, err := Run(ctx, load(t, filepath.Join(r.Dir(), "studious.yaml")), Options{Dir: dir, Observer: watch, Now: ticking()})
		cancel()
		if err == nil && seen < stop {
			return
		}
		if err != nil && !errors.Is(err, ErrInterrupted) {
			t.Fatalf("stopped at event %d: error %v", stop, err)
		}
		if _, err := Run(context.Background(), load(t, filepath.Join(r.Dir(), "studious.yaml")), Options{Dir: dir, Resume: true, Now: ticking()}); err != nil {
			t.Fatalf("resumed after event %d: %v", stop, err)
		}
		if d := cmp.Diff(entries(t, want), entries(t, dir)); d != "" {
			t.Errorf("stopped at event %d: %s", stop, d)
		}
	}
}

// A question that nobody teaches is named before any work.
func TestQuestionsHaveTeachers(t *testing.T) {
	r := studious(t)
	rows := filepath.Join(r.Dir(), "rows.jsonl")
	text, err := os.ReadFile(rows)
	if err != nil {
		t.Fatal(err)
	}
	yaml, err := os.ReadFile(filepath.Join(r.Dir(), "studious.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		rows:                                    strings.Replace(string(text), `"odd"`, `"law"`, 1),
		filepath.Join(r.Dir(), "studious.yaml"): strings.Replace(string(yaml), "weight: 0.5}", "where: {domain: [even]}}", 1),
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r = load(t, filepath.Join(r.Dir(), "studious.yaml"))
	want := fmt.Sprintf(`%s:2: no teacher for it: its domain is "law"`, rows)
	if _, err := Check(context.Background(), r, t.TempDir()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("check: %v, want %q", err, want)
	}
	if _, err := Run(context.Background(), r, Options{Dir: filepath.Join(t.TempDir(), "run"), Now: ticking()}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("run: %v, want %q", err, want)
	}
}
