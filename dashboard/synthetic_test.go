package dashboard

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// synthetic writes the record of a run that never was, entry by entry.
type synthetic struct {
	t        testing.TB
	w        *runlog.Writer
	now      time.Time
	rng      *rand.Rand
	steps    [3]int64 // of the stages
	stage    int
	step     int64
	ranks    int
	blocks   int
	experts  int
	stepTime time.Duration
	counts   [][]int64
	from     int64
	tokens   int64
	examples int64
	taken    int64
}

func testKey(t testing.TB) *runlog.Key {
	t.Helper()
	k, err := runlog.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// begin starts a run in DIR with stages of the given steps.
func begin(t testing.TB, dir, name string, seed uint64, start time.Time, steps [3]int64) *synthetic {
	t.Helper()
	s := &synthetic{t: t, now: start, rng: rand.New(rand.NewPCG(seed, 1)), steps: steps, ranks: 16, blocks: 12, experts: 64, stepTime: 4200 * time.Millisecond}
	m := &record.Manifest{
		Run: name, Seed: seed, Started: start.UnixMilli(), Recipe: fmt.Sprintf("name: %s\nseed: %d\nmodel:\n  init: tiny-v4\nstages:\n  - name: base\n    method: cpt\n    lr: {kind: wsd, peak: 3e-4}\n  - name: tune\n    method: sft\n", name, seed),
		Model: map[string]record.Digest{}, Data: []record.File{{Path: "data/fineweb-00.jsonl", Digest: record.SHA256([]byte("a")), Bytes: 73_400_320, Rows: 61_212}},
		Program: record.Program{Version: "0.5.0", Revision: "9dd5ea7", Go: "go1.26.8", Modules: map[string]string{"golang.org/x/mod@v0.30.0": "h1:fDEXFVZ/fmCKProc/yAXXUijritrDzahmwwefnjoPFk="}, Build: map[string]string{"GOARCH": "amd64", "GOAMD64": "v3"}},
		Hosts:   []record.Host{{Name: "gpu7", CPU: "AMD EPYC 9R14", Features: []string{"avx2", "avx512f", "fma"}, Cores: 32, Memory: 128 << 30, Kernel: "6.8.0"}},
		Ranks:   s.ranks, Mesh: record.Mesh{Tensor: 1, Pipeline: 2, Context: 1, Expert: 8, Data: 8}, Links: []record.Link{{From: 0, To: 1, Bandwidth: 4.2e10, Latency: 2.1e-6}},
		Devices: []record.Device{{Name: "cpu", Ranks: []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, Peak: map[string]float64{"fp32": 3.1e12}}}, Clock: "system",
	}
	var err error
	s.w, err = runlog.Create(filepath.Join(dir, recordDir), m, testKey(t), runlog.Options{FS: durabletest.NoSync(durable.OS), Now: func() time.Time { return s.now }, Interval: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	s.add(&record.Begin{Total: 1_320_448, Active: 412_032})
	return s
}

func (s *synthetic) add(b record.Body) {
	s.t.Helper()
	if _, err := s.w.Append(b); err != nil {
		s.t.Fatal(err)
	}
}

var stageNames = [3]string{"base", "tune", "polish"}

// open begins the stage s.stage.
func (s *synthetic) open() {
	s.add(&record.Stage{
		Stage: s.stage, Name: stageNames[s.stage], Method: []string{"cpt", "sft", "sft"}[s.stage], Steps: s.steps[s.stage], Rows: 8192, Batch: 64, Micro: 4, Accumulation: 16, Sequence: 2048,
		Optimizer: "muon", LR: record.Schedule{Kind: "cosine", Peak: 3e-4, Final: 3e-5, Warmup: min(20, s.steps[s.stage])}, MTP: true,
	})
	s.counts, s.from = s.zero(), 0
}

func (s *synthetic) zero() [][]int64 {
	c := make([][]int64, s.blocks)
	for b := range c {
		c[b] = make([]int64, s.experts)
	}
	return c
}

// run takes n steps, opening stages as they come; done tells that all are taken.
func (s *synthetic) run(n int64) (done bool) {
	for range n {
		if s.step == s.steps[s.stage] {
			if s.stage == 2 || s.steps[s.stage+1] == 0 {
				return true
			}
			s.stage, s.step = s.stage+1, 0
		}
		if s.step == 0 {
			s.open()
		}
		s.take()
	}
	return false
}

// take takes a step.
func (s *synthetic) take() {
	progress := float64(s.taken) / 400
	lm := 1.9 + 7.4*math.Exp(-progress*2.2) - 0.35*float64(s.stage) + 0.05*s.rng.NormFloat64()
	for b, row := range s.counts {
		for e := range row {
			skew := 1 + 0.9*math.Exp(-progress)*math.Sin(float64(7*b+3*e))
			row[e] += int64(2048 * max(skew, 0.02) * (1 + 0.1*s.rng.NormFloat64()))
		}
	}
	wall := int64(float64(s.stepTime) * (1 + 0.03*s.rng.NormFloat64()))
	parts := func(f float64) int64 { return int64(float64(wall) * f) }
	t := record.Split{Wall: wall, Data: parts(.01), Forward: parts(.24), Backward: parts(.47), Communication: parts(.08), Bubble: parts(.05), Optimizer: parts(.11)}
	t.Other = t.Wall - t.Data - t.Forward - t.Backward - t.Communication - t.Bubble - t.Optimizer
	s.now = s.now.Add(time.Duration(wall))
	warm := min(1, float64(s.step+1)/20)
	body := &record.Step{
		Stage: s.stage, Step: s.step, Examples: 64, Tokens: 131072, Supervised: 98000, Batch: record.SHA256(fmt.Append(nil, "batch", s.taken)),
		Losses:   map[string]float64{"lm": lm, "mtp": lm * 1.12, "balance": 0.02 + 0.01*s.rng.Float64(), "indexer": 0.4 * math.Exp(-progress)},
		GradNorm: 0.4 + 3*math.Exp(-progress*3) + 0.08*s.rng.ExpFloat64(), LR: 3e-4 * warm * (0.1 + 0.9*math.Pow(math.Cos(math.Pi/2*float64(s.step)/float64(max(s.steps[s.stage], 1))), 2)),
		Load: record.NewLoad(s.counts), Parameters: record.SHA256(fmt.Append(nil, "parameters", s.taken, s.rng.Uint64())), Time: t, FLOPs: 9.1e13,
		MFU: 9.1e13 / 16 / 3.1e12 / time.Duration(wall).Seconds(), Convention: "temper", Memory: 11<<30 + s.taken<<12,
	}
	s.add(body)
	s.step, s.taken, s.tokens, s.examples = s.step+1, s.taken+1, s.tokens+body.Tokens, s.examples+body.Examples
}

// checkpoint writes what stands at one: routing, times, an evaluation.
func (s *synthetic) checkpoint() {
	s.add(&record.Routing{Stage: s.stage, From: s.from, To: s.step, Counts: s.counts})
	n := s.step - s.from
	times := &record.Times{Stage: s.stage, From: s.from, To: s.step}
	for r := range s.ranks {
		wall := n * int64(s.stepTime)
		f := func(x float64) int64 { return int64(x * float64(wall)) }
		slow := 1.0
		if r == 11 {
			slow = 1.12
		}
		sp := record.Split{Wall: wall, Data: f(.01), Forward: f(.23 * slow), Backward: f(.45 * slow), Optimizer: f(.10), Bubble: f(.05)}
		sp.Communication = (sp.Wall - sp.Data - sp.Forward - sp.Backward - sp.Optimizer - sp.Bubble) * 4 / 5
		sp.Other = sp.Wall - sp.Data - sp.Forward - sp.Backward - sp.Optimizer - sp.Bubble - sp.Communication
		times.Ranks = append(times.Ranks, record.RankTime{Rank: r, Split: sp})
	}
	s.add(times)
	s.now = s.now.Add(1900 * time.Millisecond)
	s.add(&record.Checkpoint{Stage: s.stage, Step: s.step, Path: fmt.Sprintf("checkpoints/%02d-%s/%06d", s.stage, stageNames[s.stage], s.step), Bytes: 15_845_376, Took: 19e8})
	right := int64(210 * (1 - math.Exp(-float64(s.taken)/150)))
	s.now = s.now.Add(5 * time.Second)
	s.add(&record.Evaluation{Stage: s.stage, Step: s.step, HeldOut: &record.HeldOut{Loss: 2.05 + 7*math.Exp(-float64(s.taken)/400*2.2), Tokens: 40960}, Suites: map[string]record.Score{"units": {Right: right, Total: 210}, "sums": {Right: right / 2, Total: 105}}, Took: 5e9})
	s.counts, s.from = s.zero(), s.step
}

// crash loses the last n steps.
func (s *synthetic) crash(n int64, evidence string) {
	s.add(&record.Fault{Fault: "crash", Rank: 3, Stage: s.stage, Step: s.step, Evidence: evidence})
	s.now = s.now.Add(90 * time.Second)
	s.add(&record.Recovery{Stage: s.stage, Step: s.step - n, Again: n, Cause: "process was killed"})
	s.step, s.taken = s.step-n, s.taken-n
}

// end closes the run.
func (s *synthetic) end(status string) {
	s.add(&record.End{Status: status, Steps: s.taken, Examples: s.examples, Tokens: s.tokens})
	s.close()
}

func (s *synthetic) close() {
	if err := errors.Join(s.w.Sign(), s.w.Close()); err != nil {
		s.t.Fatal(err)
	}
}

// whole writes a complete run with everything in it.
func whole(t testing.TB, dir, name string, seed uint64, start time.Time, steps [3]int64) *synthetic {
	s := begin(t, dir, name, seed, start, steps)
	every := max((steps[0]+steps[1]+steps[2])/8, 3)
	for n := int64(0); !s.run(1); n++ {
		if n%every == every-1 {
			s.checkpoint()
		}
		if n == 3*every+every/2 {
			s.crash(every/3, "rank 3: exit status 137 (killed)")
		}
	}
	s.checkpoint()
	s.add(&record.Note{Text: "evaluated by the night shift"})
	s.end("complete")
	return s
}
