package replay_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/recipe/demo"
	"github.com/temper-ml/temper/recipe/execution"
	"github.com/temper-ml/temper/recipe/replay"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
)

// micro is a run of two stages of a few milliseconds a step that has every kind
// of layer, slots, micro-batches, evaluations, and checkpoints that are kept.
const micro = `
name: micro
model:
  init: tiny-v4
  set: {hidden_size: 16, num_attention_heads: 2, head_dim: 16, qk_rope_head_dim: 8, q_lora_rank: 8, o_lora_rank: 8,
        index_n_heads: 1, index_head_dim: 16, n_routed_experts: 4, moe_intermediate_size: 16}
tokenizer:
  train: {files: [data/text.txt], vocab_size: 512, single_digits: true}
stages:
  - name: base
    method: cpt
    data: {files: [data/text.txt], separator: "\n\n", sequence: 48, rows: 4, hold_out: 0.02}
    steps: 5
    gradient_slots: 2
    micro_rows: 2
    optimizer: {name: muon}
    lr: {name: cosine, peak: 1e-2, warmup: 1}
    eval: {every: 2, rows: 1}
  - name: sft
    method: sft
    data: {files: [data/questions.jsonl], format: pair, sequence: 48, rows: 3}
    steps: 4
    micro_rows: 2
    optimizer: {name: adamw}
    lr: {name: wsd, peak: 5e-3, warmup: 1, decay: 2}
    eval: {suites: {units: {file: data/held_out.jsonl}}}
checkpoint: {every: 2, keep: 1, keep_every: 2}
record: {digest_period: 2}
`

// run is a finished run of a recipe.
type run struct {
	root string // has data/, micro.yaml and run/
	dir  string
	key  *runlog.Key
}

// files writes the data of the micro run and a recipe.
func files(t testing.TB, root, text string) string {
	t.Helper()
	train, held := demo.Questions(1, 5)
	for name, text := range map[string]string{
		"data/text.txt": demo.Text(1, 30), "data/questions.jsonl": demo.JSONL(train[:60]),
		"data/held_out.jsonl": demo.JSONL(held), "micro.yaml": text,
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(root, "micro.yaml")
}

// train carries out a recipe, computed in a certain way.
func train(t testing.TB, root, text string, way replay.Way, overrides ...string) *run {
	t.Helper()
	r, err := recipe.Load(files(t, root, text), overrides)
	if err != nil {
		t.Fatal(err)
	}
	key, err := runlog.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	defer compute(t, way)()
	x := &run{root: root, dir: filepath.Join(root, "run"), key: key}
	o := execution.Options{Dir: x.dir, Key: key, Now: time.Now, FS: durabletest.NoSync(durable.OS)}
	if _, err := execution.Run(context.Background(), r, o); err != nil {
		t.Fatal(err)
	}
	return x
}

// compute makes kernels compute in a way and returns what undoes it.
func compute(t testing.TB, way replay.Way) func() {
	t.Helper()
	if way.SIMD == "" {
		way.SIMD = kernel.Path()
	}
	simd, err := kernel.SetPath(way.SIMD)
	if err != nil {
		t.Fatal(err)
	}
	threads := kernel.SetThreads(max(way.Threads, 1))
	return func() {
		kernel.SetThreads(threads)
		_, _ = kernel.SetPath(simd)
	}
}

// shared is one honest micro run, made once, which no test may change.
var shared = sync.OnceValue(func() func(t testing.TB) *run {
	var x *run
	return func(t testing.TB) *run {
		if x == nil {
			root, err := os.MkdirTemp("", "temper-micro-")
			if err != nil {
				t.Fatal(err)
			}
			x = train(t, root, micro, replay.Way{Threads: 2})
		}
		return x
	}
})()

// open reads the record of a run and prepares its replay.
func (x *run) open(t testing.TB, o replay.Options) *replay.Replayer {
	t.Helper()
	l, checks := verify.Form(x.dir, runlog.Trust{})
	for _, c := range checks {
		if c.Result != verify.Pass {
			t.Errorf("%s: %s: %s", c.Name, c.Result, c.Evidence)
		}
	}
	r, err := replay.Open(l, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestStartsAreTheBeginningAndKeptCheckpoints(t *testing.T) {
	r := shared(t).open(t, replay.Options{})
	starts, err := r.Starts(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := []verify.Position{{Stage: 0, Step: 0}, {Stage: 0, Step: 2}, {Stage: 0, Step: 4}, {Stage: 0, Step: 5}, {Stage: 1, Step: 0}, {Stage: 1, Step: 2}, {Stage: 1, Step: 4}}
	if len(starts) != len(want) {
		t.Fatalf("starts %v, want %v", starts, want)
	}
	for i := range want {
		if starts[i] != want[i] {
			t.Fatalf("starts %v, want %v", starts, want)
		}
	}
}

// judge verifies a run as temper verify does.
func (x *run) judge(t testing.TB, trust runlog.Trust, plan verify.Plan, o replay.Options) *verify.Report {
	t.Helper()
	l, checks := verify.Form(x.dir, trust)
	checks = append(checks, l.Arithmetic()...)
	if l.Manifest == nil {
		return verify.NewReport(l, checks, nil)
	}
	failed := func(err error) *verify.Report {
		c := verify.Check{Name: "replay", Result: verify.Incomplete, Evidence: err.Error()}
		if errors.Is(err, verify.ErrState) {
			c.Result = verify.Fail
		}
		return verify.NewReport(l, checks, &verify.Replayed{Checks: []verify.Check{c}})
	}
	r, err := replay.Open(l, o)
	if err != nil {
		return failed(err)
	}
	defer r.Close()
	got, err := verify.Replay(context.Background(), l, r, plan)
	if err != nil {
		return failed(err)
	}
	return verify.NewReport(l, checks, got)
}

// says tells which checks did not pass.
func says(r *verify.Report) string {
	var b strings.Builder
	for _, c := range r.Checks {
		if c.Result != verify.Pass {
			fmt.Fprintf(&b, "%s: %s: %s\n", c.Result, c.Name, c.Evidence)
		}
	}
	return b.String()
}

func passes(t testing.TB, r *verify.Report, steps int64) {
	t.Helper()
	if r.Verdict != verify.Pass || r.ReplayedSteps != steps || r.Steps != 9 {
		t.Errorf("%s, %d of %d steps replayed, want %d:\n%s", r.Verdict, r.ReplayedSteps, r.Steps, steps, says(r))
	}
}

var all = verify.Plan{All: true}

func TestReplayOnEveryWay(t *testing.T) {
	x := shared(t)
	for _, simd := range kernel.Paths() {
		for i, way := range []replay.Way{{Threads: 1, Micro: 1}, {Threads: 3, Micro: 3, Recompute: "full"}, {Threads: 2, Micro: 2, Recompute: "selective"}} {
			way.SIMD = simd
			path, threads := kernel.Path(), kernel.Threads()
			r := x.judge(t, runlog.Trust{Verifier: x.key.Verifier()}, all, replay.Options{Way: way})
			passes(t, r, 9)
			if kernel.Path() != path || kernel.Threads() != threads {
				t.Fatalf("%s %d: kernels are left with %s and %d threads", simd, i, kernel.Path(), kernel.Threads())
			}
		}
	}
}

func TestSampledReplayBeginsAtCheckpoints(t *testing.T) {
	x := shared(t)
	for seed := range uint64(4) {
		r := x.judge(t, runlog.Trust{}, verify.Plan{Seed: seed}, replay.Options{})
		if r.Verdict != verify.Pass || r.ReplayedSteps < 2 || r.ReplayedSteps > 4 {
			t.Errorf("seed %d: %s, %d steps replayed\n%s", seed, r.Verdict, r.ReplayedSteps, says(r))
		}
	}
}

// tree lists what is in a directory, with contents, modes and times.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		all[path] = fmt.Sprintf("%v %v", info.Mode(), info.ModTime())
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all[path] += string(record.SHA256(b))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestNothingIsWrittenIntoTheRun(t *testing.T) {
	x := shared(t)
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	before := tree(t, x.root)
	passes(t, x.judge(t, runlog.Trust{}, all, replay.Options{}), 9)
	if after := tree(t, x.root); !maps.Equal(before, after) {
		t.Errorf("before %v\nafter %v", before, after)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("%v is left behind, %v", left, err)
	}
}

// clone copies a run, so that a test may change it.
func (x *run) clone(t testing.TB) *run {
	t.Helper()
	y := &run{root: t.TempDir(), key: x.key}
	y.dir = filepath.Join(y.root, "run")
	if err := os.CopyFS(y.root, os.DirFS(x.root)); err != nil {
		t.Fatal(err)
	}
	return y
}

// edit changes a file.
func edit(t testing.TB, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(b), 0o644); err != nil {
		t.Fatal(err)
	}
}

func flip(b []byte) []byte { b[len(b)/2] ^= 1; return b }

func TestChangedDataIsNamedAndNotUsed(t *testing.T) {
	x := shared(t).clone(t)
	data := filepath.Join(x.root, "data", "questions.jsonl")
	edit(t, data, flip)
	r := x.judge(t, runlog.Trust{}, all, replay.Options{})
	if r.Verdict != verify.Incomplete || !strings.Contains(says(r), data+": digest ") || !strings.Contains(says(r), "it was changed") {
		t.Errorf("%s\n%s", r.Verdict, says(r))
	}
	// The right files elsewhere do.
	passes(t, x.judge(t, runlog.Trust{}, all, replay.Options{Data: []string{shared(t).root}}), 9)
	passes(t, x.judge(t, runlog.Trust{}, all, replay.Options{Data: []string{filepath.Join(shared(t).root, "data")}}), 9)
	if err := os.RemoveAll(filepath.Join(x.root, "data")); err != nil {
		t.Fatal(err)
	}
	r = x.judge(t, runlog.Trust{}, all, replay.Options{})
	if r.Verdict != verify.Incomplete || !strings.Contains(says(r), "data/text.txt is not here") || !strings.Contains(says(r), "--data") {
		t.Errorf("%s\n%s", r.Verdict, says(r))
	}
}

// Where a stage's last checkpoint is not kept, the steps before it are the way
// to the next stage.
func TestStagesAreReachedWithoutTheirCheckpoints(t *testing.T) {
	x := shared(t).clone(t)
	if err := os.RemoveAll(filepath.Join(x.dir, "checkpoints", "00-base")); err != nil {
		t.Fatal(err)
	}
	passes(t, x.judge(t, runlog.Trust{}, all, replay.Options{}), 9)
	l, _ := verify.Form(x.dir, runlog.Trust{})
	r, err := replay.Open(l, replay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	seg := verify.Segment{From: verify.Position{Stage: 1}, To: 1}
	if n, _, err := r.Estimate([]verify.Segment{seg}); n != 6 || err != nil {
		t.Errorf("%d steps, %v, want 5 on the way and 1", n, err)
	}
	if n, _, err := r.Estimate([]verify.Segment{{To: 5}, seg}); n != 6 || err != nil {
		t.Errorf("%d steps, %v, want 6 as the first five are taken anyway", n, err)
	}
	taken := 0
	if err := r.Replay(context.Background(), seg, func(b record.Body) error { taken++; return nil }); err != nil || taken != 2 {
		t.Errorf("%d entries, %v, want an evaluation and a step", taken, err)
	}
}

func TestTokenizerIsTrainedAgain(t *testing.T) {
	r := shared(t).open(t, replay.Options{})
	if trains, err := r.Retrain(context.Background()); !trains || err != nil {
		t.Errorf("%v, %v", trains, err)
	}
}
