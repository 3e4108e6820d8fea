package execution

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/recipe/demo"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

// small is a run of two stages that takes a second.
const small = `
name: small
model:
  init: tiny-v4
  set: {hidden_size: 32, num_attention_heads: 2, head_dim: 16, qk_rope_head_dim: 8, q_lora_rank: 16, o_lora_rank: 16,
        index_n_heads: 2, index_head_dim: 16, n_routed_experts: 4, moe_intermediate_size: 24}
tokenizer:
  train: {files: [data/text.txt], vocab_size: 512, single_digits: true}
stages:
  - name: base
    method: cpt
    data: {files: [data/text.txt], separator: "\n\n", sequence: 96, rows: 4, hold_out: 0.1}
    steps: 5
    micro_rows: 2
    lr: {name: cosine, peak: 1e-2, warmup: 1}
    eval: {every: 2, rows: 4}
  - name: sft
    method: sft
    data: {files: [data/questions.jsonl], format: pair, sequence: 96, rows: 4, hold_out: 0.2}
    epochs: 0.5
    micro_rows: 4
    optimizer: {name: adamw}
    lr: {name: wsd, peak: 5e-3, warmup: 1, decay: 2}
    eval: {suites: {units: {file: data/held_out.jsonl}}}
checkpoint: {every: 2, keep: 1}
`

// setup writes the small run's files and returns its recipe.
func setup(t *testing.T) *recipe.Recipe {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	train, held := demo.Questions(1, 7)
	for name, text := range map[string]string{
		"data/text.txt":        demo.Text(1, 60),
		"data/questions.jsonl": demo.JSONL(train[:120]),
		"data/held_out.jsonl":  demo.JSONL(held),
		"small.yaml":           small,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return load(t, filepath.Join(dir, "small.yaml"))
}

func load(t *testing.T, path string) *recipe.Recipe {
	t.Helper()
	r, err := recipe.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ticks is what the clocks of all tests show: a resumed run is later than before.
var ticks atomic.Int64

// ticking is a clock that advances a millisecond a look: logs become comparable.
func ticking() func() time.Time {
	return func() time.Time { return time.UnixMilli(1e12 + ticks.Add(1)) }
}

func execute(t *testing.T, r *recipe.Recipe, dir string) *Summary {
	t.Helper()
	s, err := Run(context.Background(), r, Options{Dir: dir, Now: ticking()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRunTrainsMeasuresAndExports(t *testing.T) {
	r := setup(t)
	dir := filepath.Join(t.TempDir(), "run")
	s := execute(t, r, dir)
	if len(s.Stages) != 2 || s.Stages[0].Steps != 5 || s.Steps != s.Stages[0].Steps+s.Stages[1].Steps {
		t.Errorf("stages are %+v", s.Stages)
	}
	if s.LossLast >= s.LossFirst {
		t.Errorf("loss went from %v to %v", s.LossFirst, s.LossLast)
	}
	before, after := s.Stages[0].Metrics["held_out_loss_before"], s.Stages[0].Metrics["held_out_loss"]
	if !(after < before) {
		t.Errorf("held-out loss went from %v to %v", before, after)
	}
	if _, ok := s.Eval["sft/units"]; !ok {
		t.Errorf("the suite was not measured: %v", s.Eval)
	}
	m, err := hf.Open(filepath.Join(dir, "model"))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "model", "tokenizer.json")); err != nil {
		t.Error(err)
	}
}

// entries returns what stands of a run's record but for places, times and
// machines: what two runs of a recipe have in common.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	var lines []string
	length := map[int]int64{}
	_, s, err := runlog.Read(filepath.Join(dir, RecordName), runlog.Trust{}, func(e *record.Entry) error {
		switch b := e.Body.(type) {
		case *record.Stage:
			length[b.Stage] = b.Steps
		case *record.Recovery:
			if b.Again > 0 {
				lines = slices.DeleteFunc(lines, func(l string) bool {
					var stage, step int64
					var what string
					_, err := fmt.Sscanf(l, "%d %d %s", &stage, &step, &what)
					if what == "round" { // it stands before its step, and after the stage before
						if stage == int64(b.Stage)+1 && step == 0 && length[b.Stage] == b.Step {
							return false
						}
						step--
					}
					return err == nil && (stage > int64(b.Stage) || stage == int64(b.Stage) && step >= b.Step)
				})
			}
		case *record.Step:
			b.Time, b.MFU, b.Memory = record.Split{}, 0, 0
			text, err := record.Marshal(b)
			lines = append(lines, fmt.Sprintf("%d %d %s", b.Stage, b.Step, text))
			return err
		case *record.Rollout:
			b.Took = 0
			text, err := record.Marshal(b)
			lines = append(lines, fmt.Sprintf("%d %d round %s", b.Stage, b.Step, text))
			return err
		}
		return nil
	})
	if err != nil || s.Torn != 0 || s.Signed != s.Leaves {
		t.Fatalf("%s: %+v, %v", dir, s, err)
	}
	holds(t, dir)
	return lines
}

// holds fails if a verifier finds anything wrong with a run's record.
func holds(t *testing.T, dir string) {
	t.Helper()
	l, checks := verify.Form(dir, runlog.Trust{})
	if l != nil {
		checks = append(checks, l.Arithmetic()...)
	}
	for _, c := range checks {
		if c.Result != verify.Pass {
			t.Errorf("%s: %s: %s", c.Name, c.Result, c.Evidence)
		}
	}
}

// A run that is stopped after any step and resumed must end with the same
// weights and the same log as one that was not.
func TestResumeGivesTheSameBits(t *testing.T) {
	r := setup(t)
	want := filepath.Join(t.TempDir(), "whole")
	whole := execute(t, r, want)
	for stop := int64(1); stop < whole.Steps; stop += 2 {
		dir := filepath.Join(t.TempDir(), "stopped")
		ctx, cancel := context.WithCancel(context.Background())
		seen := int64(0)
		watch := ObserverFunc(func(e Event) {
			if _, ok := e.(Stepped); ok {
				if seen++; seen == stop {
					cancel()
				}
			}
		})
		again := load(t, filepath.Join(r.Dir(), "small.yaml"))
		_, err := Run(ctx, again, Options{Dir: dir, Observer: watch, Now: ticking()})
		cancel()
		if !errors.Is(err, ErrInterrupted) {
			t.Fatalf("stopped after %d steps: error %v", stop, err)
		}
		again = load(t, filepath.Join(r.Dir(), "small.yaml"))
		s, err := Run(context.Background(), again, Options{Dir: dir, Resume: true, Now: ticking()})
		if err != nil {
			t.Fatalf("resumed after %d steps: %v", stop, err)
		}
		if s.WeightsDigest != whole.WeightsDigest {
			t.Errorf("resumed after %d steps: weights %s, want %s", stop, s.WeightsDigest, whole.WeightsDigest)
		}
		if diff := cmp.Diff(entries(t, want), entries(t, dir)); diff != "" {
			t.Errorf("resumed after %d steps: the record differs: %s", stop, diff)
		}
		if s.Steps != whole.Steps || s.Tokens != whole.Tokens || s.LossFirst != whole.LossFirst {
			t.Errorf("resumed after %d steps: summary %+v, want %+v", stop, s, whole)
		}
	}
}

// A finished run that is resumed is left as it is.
func TestResumeOfAFinishedRun(t *testing.T) {
	r := setup(t)
	dir := filepath.Join(t.TempDir(), "run")
	a := execute(t, r, dir)
	b, err := Run(context.Background(), load(t, filepath.Join(r.Dir(), "small.yaml")), Options{Dir: dir, Resume: true, Now: ticking()})
	if err != nil {
		t.Fatal(err)
	}
	if a.WeightsDigest != b.WeightsDigest || a.Steps != b.Steps {
		t.Errorf("summary %+v, want %+v", b, a)
	}
}

func TestWrongUseIsRefused(t *testing.T) {
	r := setup(t)
	dir := filepath.Join(t.TempDir(), "run")
	try := func(r *recipe.Recipe, resume bool, want string) {
		t.Helper()
		_, err := Run(context.Background(), r, Options{Dir: dir, Resume: resume, Now: ticking()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
	try(r, true, "holds no run to resume")
	execute(t, r, dir)
	try(r, false, "already holds a run")
	other := load(t, filepath.Join(r.Dir(), "small.yaml"))
	other.Seed = 99
	try(other, true, "the recipe differs")
	lock, err := durable.Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	try(r, true, "in use")
}

// Changed data under a resumed run must be noticed.
func TestResumeNoticesOtherData(t *testing.T) {
	r := setup(t)
	dir := filepath.Join(t.TempDir(), "run")
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Run(ctx, r, Options{Dir: dir, Now: ticking(), Observer: ObserverFunc(func(e Event) {
		if s, ok := e.(Stepped); ok && s.Result.Step == 2 {
			cancel()
		}
	})})
	cancel()
	if !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	name := filepath.Join(r.Dir(), "data", "text.txt")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, bytes.Replace(text, []byte("the"), []byte("teh"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	again := load(t, filepath.Join(r.Dir(), "small.yaml"))
	if _, err := Run(context.Background(), again, Options{Dir: dir, Resume: true, Now: ticking()}); err == nil || !strings.Contains(err.Error(), "other data") {
		t.Errorf("error is %v", err)
	}
}

func TestCheckPredictsAndRefuses(t *testing.T) {
	r := setup(t)
	c, err := Check(context.Background(), r, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Stages) != 2 || c.Stages[1].Steps == 0 || c.Stages[0].HeldOut == 0 || c.MemoryBytes == 0 || c.DiskBytes == 0 {
		t.Errorf("check found %+v", c)
	}
	r.Stages[0].Data.Files = []string{"data/absent.txt"}
	if _, err := Check(context.Background(), r, t.TempDir()); err == nil || !strings.Contains(err.Error(), "absent.txt") {
		t.Errorf("a missing file: error is %v", err)
	}
	r.Model.Init = "llama3-8b"
	want := `model: arch: model_type is "llama", want "deepseek_v4" or "deepseek_v3"`
	if _, err := Check(context.Background(), r, t.TempDir()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a model that cannot be trained: error is %v", err)
	}
}
