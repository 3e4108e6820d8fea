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

	"github.com/temper-ml/temper/compute/dtype"
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/posttrain/opd"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/recipe/demo"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

// distilling is a run of one stage that learns from two teachers.
const distilling = `
name: distilling
model:
  init: tiny-v4
  set: {hidden_size: 32, num_attention_heads: 2, head_dim: 16, qk_rope_head_dim: 8, q_lora_rank: 16, o_lora_rank: 16,
        index_n_heads: 2, index_head_dim: 16, n_routed_experts: 4, moe_intermediate_size: 24}
tokenizer: {file: tokenizer.json}
stages:
  - name: merge
    method: distill
    data: {files: [rows.jsonl], sequence: 96, rows: 4, hold_out: 0.2}
    steps: 7
    micro_rows: 2
    lr: {name: constant, peak: 1e-2}
    eval: {every: 3}
    distill:
      ahead: 3
      teachers:
        - {name: odd, load: teachers/odd, where: {domain: odd}}
        - {name: even, load: teachers/even, weight: 0.5}
checkpoint: {every: 2, keep: 1}
`

// class writes a distilling run's files, teachers of two widths among them.
func class(t *testing.T) *recipe.Recipe {
	t.Helper()
	dir := t.TempDir()
	tok, err := tokenizer.Train(slices.Values([]string{demo.Text(1, 60)}), tokenizer.TrainOptions{VocabSize: 512, MinFrequency: 2, Special: tokenizer.V4Specials(), PreTokenizer: "deepseek"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := tok.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	for i := range 60 {
		fmt.Fprintf(&rows, `{"prompt": "What is after %d?", "response": "That is %d.", "domain": "%s"}`+"\n", i, i+1, []string{"even", "odd"}[i%2])
	}
	for name, text := range map[string]string{"tokenizer.json": string(text), "rows.jsonl": rows.String(), "distilling.yaml": distilling} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := load(t, filepath.Join(dir, "distilling.yaml"))
	student, err := Architecture(r, tok)
	if err != nil {
		t.Fatal(err)
	}
	teacher(t, filepath.Join(dir, "teachers", "odd"), student, 24, 5, text)
	teacher(t, filepath.Join(dir, "teachers", "even"), student, 40, 6, text)
	return r
}

// teacher writes a model with opinions: its head is that of a fresh one, many times over.
func teacher(t *testing.T, dir string, like *arch.Config, width int, seed uint64, tok []byte) {
	t.Helper()
	c := *like
	c.HiddenSize = width
	m, err := deepseek.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	m.Init(seed)
	for _, p := range m.Params() {
		if p.Role == arch.Head {
			kernel.Scale(p.Data, 20)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	o := hf.Options{DType: dtype.F32, Files: map[string][]byte{TokenizerName: tok}}
	err = hf.WriteSlices(durabletest.NoSync(durable.OS), dir, &c, o, func(x *arch.Tensor) ([]float32, error) { return m.Param(x.Name).Data, nil })
	if err != nil {
		t.Fatal(err)
	}
}

func TestDistillStage(t *testing.T) {
	r := class(t)
	dir := filepath.Join(t.TempDir(), "run")
	var read []Taught
	s, err := Run(context.Background(), r, Options{Dir: dir, Now: ticking(), Observer: ObserverFunc(func(e Event) {
		if e, ok := e.(Taught); ok {
			read = append(read, e)
		}
	})})
	if err != nil {
		t.Fatal(err)
	}
	m := s.Stages[0].Metrics
	for _, name := range []string{"held_out/divergence", "held_out/divergence.even", "held_out/divergence.odd"} {
		if !(m[name] < .9*m[name+"_before"]) || !(m[name] > 0) {
			t.Errorf("%s goes from %v to %v", name, m[name+"_before"], m[name])
		}
	}
	if m["held_out_loss"] == 0 || s.LossLast > .9*s.LossFirst {
		t.Errorf("loss goes from %v to %v, metrics %v", s.LossFirst, s.LossLast, m)
	}
	holds(t, dir)
	_, es := log(t, dir)
	stage := of[*record.Stage](es)[0]
	if got := slices.Sorted(maps.Keys(stage.Teachers)); !slices.Equal(got, []string{"even", "odd"}) || stage.Teachers["even"] == stage.Teachers["odd"] {
		t.Errorf("teachers on record are %v", stage.Teachers)
	}
	steps := of[*record.Step](es)
	want := []string{"balance", "divergence", "divergence.even", "divergence.odd", "indexer", "lm", "mtp"}
	if got := slices.Sorted(maps.Keys(steps[0].Losses)); !slices.Equal(got, want) {
		t.Errorf("losses %v, want %v", got, want)
	}
	if s.LossFirst != steps[0].Losses["divergence"] {
		t.Errorf("the summary begins with %v, the stage with %v", s.LossFirst, steps[0].Losses)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "cache", "teachers")); len(left) > 0 {
		t.Errorf("what teachers said is left behind: %v", left)
	}
	// Seven steps, three at a time, and what is held out, once: each by two teachers.
	if len(read) != 8 {
		t.Errorf("teachers read %d times, want 8: %+v", len(read), read)
	}
	other := class2(t, r, func(s *recipe.Stage) {
		s.MicroRows, s.Distill.Ahead, s.Distill.Tokens, s.Distill.MemoryMiB = 4, 1, 1, 0
	})
	threads := kernel.SetThreads(3)
	defer kernel.SetThreads(threads)
	if d := cmp.Diff(entries(t, dir), entries(t, other)); d != "" {
		t.Errorf("other micro-batches, cache and threads: %s", d)
	}
}

// class2 carries a changed recipe out somewhere else.
func class2(t *testing.T, r *recipe.Recipe, change func(*recipe.Stage)) string {
	t.Helper()
	again := load(t, filepath.Join(r.Dir(), "distilling.yaml"))
	change(&again.Stages[0])
	dir := filepath.Join(t.TempDir(), "other")
	execute(t, again, dir)
	return dir
}

// A run that is stopped after any step, or while teachers read, and resumed has the
// same record as one that was not.
func TestDistillResumes(t *testing.T) {
	r := class(t)
	want := filepath.Join(t.TempDir(), "whole")
	execute(t, r, want)
	for stop := 1; stop < 16; stop += 4 {
		dir := filepath.Join(t.TempDir(), "stopped")
		ctx, cancel := context.WithCancel(context.Background())
		seen := 0
		watch := ObserverFunc(func(e Event) {
			switch e.(type) {
			case Stepped, Taught:
				if seen++; seen == stop {
					cancel()
				}
			}
		})
		_, err := Run(ctx, load(t, filepath.Join(r.Dir(), "distilling.yaml")), Options{Dir: dir, Observer: watch, Now: ticking()})
		cancel()
		if !errors.Is(err, ErrInterrupted) {
			t.Fatalf("stopped at event %d: error %v", stop, err)
		}
		if _, err := Run(context.Background(), load(t, filepath.Join(r.Dir(), "distilling.yaml")), Options{Dir: dir, Resume: true, Now: ticking()}); err != nil {
			t.Fatalf("resumed after event %d: %v", stop, err)
		}
		if d := cmp.Diff(entries(t, want), entries(t, dir)); d != "" {
			t.Errorf("stopped at event %d: %s", stop, d)
		}
	}
}

// A teacher that no memory holds is refused before it is loaded.
func TestTeachersAreAffordable(t *testing.T) {
	c, err := arch.Builtin("deepseek-v4-pro")
	if err != nil {
		t.Fatal(err)
	}
	if Available() == 0 {
		t.Skip("this machine does not tell its memory")
	}
	if err := affordable(&opd.Teacher{Name: "vast", Config: c}); err == nil || !strings.Contains(err.Error(), `teacher "vast" has`) {
		t.Errorf("%v, want it refused", err)
	}
}

// A resumed run refuses a teacher that is not the one that it began with, and a run
// any whose ids have another meaning.
func TestTeachersRefused(t *testing.T) {
	r := class(t)
	dir := filepath.Join(t.TempDir(), "run")
	ctx, cancel := context.WithCancel(context.Background())
	watch := ObserverFunc(func(e Event) {
		if s, ok := e.(Stepped); ok && s.Result.Step == 2 {
			cancel()
		}
	})
	if _, err := Run(ctx, r, Options{Dir: dir, Observer: watch, Now: ticking()}); !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	tok, err := tokenizer.Load(filepath.Join(r.Dir(), "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := tok.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	student, err := Architecture(r, tok)
	if err != nil {
		t.Fatal(err)
	}
	even := filepath.Join(r.Dir(), "teachers", "even")
	again := func() error {
		_, err := Run(context.Background(), load(t, filepath.Join(r.Dir(), "distilling.yaml")), Options{Dir: dir, Resume: true, Now: ticking()})
		return err
	}
	teacher(t, even, student, 40, 7, text)
	if err := again(); err == nil || !strings.Contains(err.Error(), `teacher "even" was loaded as sha256:`) || !strings.Contains(err.Error(), "its files have changed") {
		t.Errorf("another teacher: %v", err)
	}
	check := func() error {
		_, err := Check(context.Background(), load(t, filepath.Join(r.Dir(), "distilling.yaml")), t.TempDir())
		return err
	}
	for what, c := range map[string]struct {
		spoil func() error
		want  string
	}{
		"tokens": {func() error {
			return os.WriteFile(filepath.Join(even, TokenizerName), []byte(strings.Replace(string(text), "<｜User｜>", "<｜Usus｜>", -1)), 0o644)
		}, `"<｜Usus｜>", the student's is "<｜User｜>"`},
		"no tokenizer": {func() error { return os.Remove(filepath.Join(even, TokenizerName)) }, "tokenizer.json is missing: it tells that ids mean the same"},
		"context": {func() error {
			c := *student
			c.MaxPositions = 64
			teacher(t, even, &c, 40, 6, text)
			return nil
		}, "reads at most 64 tokens"},
		"vocabulary": {func() error {
			c := *student
			c.VocabSize += 8
			teacher(t, even, &c, 40, 6, text)
			return nil
		}, "a vocabulary of 520 tokens, the student one of 512"},
		"weights": {func() error { return os.Remove(filepath.Join(even, "model.safetensors")) }, `teacher "even": hf`},
		"gone":    {func() error { return os.RemoveAll(even) }, "no such file"},
	} {
		teacher(t, even, student, 40, 6, text)
		if err := check(); err != nil {
			t.Fatal(err)
		}
		if err := c.spoil(); err != nil {
			t.Fatal(err)
		}
		if err := check(); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `teacher "even"`) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
	teacher(t, even, student, 40, 6, text)
	if err := again(); err != nil {
		t.Errorf("with the teachers as they were: %v", err)
	}
	rows := filepath.Join(r.Dir(), "rows.jsonl")
	text, err = os.ReadFile(rows)
	if err != nil {
		t.Fatal(err)
	}
	yaml := strings.Replace(distilling, "weight: 0.5}", "where: {domain: [even]}}", 1)
	for name, text := range map[string]string{rows: strings.Replace(string(text), `"odd"`, `"law"`, 1), filepath.Join(r.Dir(), "distilling.yaml"): yaml} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := check(); err == nil || !strings.Contains(err.Error(), `rows.jsonl:2: no teacher for it: its domain is "law"`) {
		t.Errorf("a row that nobody teaches: %v", err)
	}
}
