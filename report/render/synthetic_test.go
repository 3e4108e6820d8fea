package render

import (
	"fmt"
	"math"
	"testing"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/report/record"
)

// shape is the size of a synthetic run.
type shape struct {
	steps                  int64
	ranks, blocks, experts int
	model                  string // of arch.Builtin
	// every is the steps between checkpoints; crash the steps after which the run
	// dies, to go on from the last checkpoint, 0 for never.
	every, crash int64
}

// small has a bit of everything.
var small = shape{steps: 120, ranks: 4, blocks: 3, experts: 8, model: "tiny-v4", every: 20, crash: 70}

// large is as many ranks, blocks and experts as the largest runs have.
var large = shape{steps: 400, ranks: 2048, blocks: 61, experts: 384, model: "deepseek-v4-pro", every: 100, crash: 270}

// log writes the entries of a synthetic run.
type log struct {
	t     *testing.T
	f     *Filler
	shape shape
	index int64
	now   int64   // ms
	flops float64 // of a token
}

// tokens are those of a step.
const tokens = 900_000

// t0 is 2026-03-01 08:00 UTC.
const t0 = 1772352000000

// synthetic is the run of a base and an RL stage, filled as a record's is. The
// crash is in the second stage; an evaluation stands at every checkpoint.
func synthetic(t *testing.T, s shape) *Run {
	t.Helper()
	m := manifest()
	m.Run, m.Ranks, m.Started, m.Seed = "synthetic", s.ranks, t0-90_000, 42
	m.Mesh = record.Mesh{Tensor: 1, Pipeline: 1, Context: 1, Expert: s.ranks, Data: s.ranks}
	m.Precision = record.Precision{Parameters: "fp32", Linear: "bf16", Attention: "bf16", Communication: "bf16"}
	c, err := arch.Builtin(s.model)
	if err != nil {
		t.Fatal(err)
	}
	m.Architecture = string(c.MarshalHF())
	m.Recipe = fmt.Sprintf("name: synthetic\nseed: 42\nstages:\n- name: base\n  steps: %d\n  lr: {peak: 0.001}\n", s.steps/2)
	ranks := make([]int, s.ranks)
	m.Hosts, m.Links = nil, nil
	for i := range ranks {
		ranks[i] = i
		if i%8 == 0 {
			m.Hosts = append(m.Hosts, record.Host{Name: fmt.Sprintf("node-%03d", i/8), CPU: "AMD EPYC", Features: []string{"avx2", "fma"}, Cores: 96, Memory: 1 << 40, Kernel: "6.8"})
		}
		m.Links = append(m.Links, record.Link{From: i, To: (i + 1) % s.ranks, Bandwidth: 4e10 - 1e7*float64(i%100), Latency: 4e-6})
	}
	m.Devices = []record.Device{{Name: "H800", Ranks: ranks, Peak: map[string]float64{"bf16": 7e14, "fp32": 6e13}, Bandwidth: 3e12}}
	perToken := c.FLOPs(arch.Work{Lengths: []int{3000}, MTP: true}).PerToken()
	m.Devices[0].Peak["bf16"] = perToken * tokens / 12 / 0.42 / float64(s.ranks)
	l := &log{t: t, f: NewFiller(m), shape: s, now: t0, flops: perToken}
	l.add(&record.Begin{Total: 1_600_000_000_000, Active: 49_000_000_000})
	for stage := range 2 {
		l.stage(stage)
	}
	l.add(&record.End{Status: "complete", Steps: s.steps, Weights: record.SHA256([]byte("w"))})
	return l.f.Run()
}

func (l *log) add(b record.Body) {
	l.index++
	if err := l.f.Add(record.NewEntry(l.index, l.now, b)); err != nil {
		l.t.Fatal(err)
	}
}

func (l *log) stage(stage int) {
	steps := l.shape.steps / 2
	name, method := "base", "cpt"
	if stage == 1 {
		name, method = "rl", "grpo"
	}
	l.add(&record.Stage{
		Stage: stage, Name: name, Method: method, Steps: steps, Rows: 4096, HeldOut: 128, Tokens: 4096 * 3000, Supervised: 4096 * 2000,
		Batch: 256, Micro: 1, Accumulation: 256 / int64(l.shape.ranks), Sequence: 4096, Optimizer: "muon", MTP: true,
		LR: record.Schedule{Kind: "cosine", Peak: 1e-3, Final: 1e-5, Warmup: min(5, steps)}, Data: record.SHA256([]byte(name)),
	})
	l.evaluate(stage, 0)
	crash := int64(0)
	if stage == 1 {
		crash = l.shape.crash - steps
	}
	saved, died := int64(0), false
	for s := int64(0); s < steps; s++ {
		l.step(stage, s)
		if (s+1)%l.shape.every == 0 || s+1 == steps {
			l.measured(stage, saved, s+1)
			saved = s + 1
			l.now += 15_000
			l.add(&record.Checkpoint{Stage: stage, Step: saved, Path: fmt.Sprintf("checkpoints/%02d-%s/%d", stage, name, saved), Bytes: 3 << 40, Took: 15e9})
			l.evaluate(stage, saved)
		}
		if crash > 0 && s+1 == crash && !died {
			died = true
			l.now += 230_000 // found by who goes on
			l.add(&record.Fault{Fault: "crash", Rank: l.shape.ranks - 1, Stage: stage, Step: s + 1, Evidence: "the process of the rank is gone"})
			l.now += 10_000
			l.add(&record.Recovery{Stage: stage, Step: saved, Again: s + 1 - saved, Cause: "crash"})
			s = saved - 1
		}
	}
}

func (l *log) step(stage int, s int64) {
	if stage == 1 {
		l.now += 9_000
		l.add(&record.Rollout{Stage: stage, Step: s, Prompts: 16, Generations: 256, Tokens: 300_000, Reward: 0.2 + 0.6*float64(s)/float64(l.shape.steps), Took: 9e9, Batch: record.SHA256(nil)})
	}
	slow := int64(2e9 * (1 + math.Sin(float64(s)*78.233)) * math.Max(0, math.Sin(float64(s)/3)))
	l.now += 12_000 + slow/1e6
	x := float64(s + int64(stage)*l.shape.steps/2)
	wiggle := math.Sin(x*12.9898) * 0.08
	l.add(&record.Step{
		Stage: stage, Step: s, Examples: 300, Tokens: tokens, Supervised: 600_000, Losses: map[string]float64{"lm": 1.4 + 2.5/math.Sqrt(1+x/4) + wiggle, "mtp": 2 + 2/math.Sqrt(1+x/4)},
		GradNorm: 1 + 3/(1+x/10) + 4*wiggle, LR: 1e-3 * (1 - x/float64(l.shape.steps+1)), FLOPs: l.flops * tokens, Convention: "temper",
		Memory: 70<<30 + s<<20, Load: record.NewLoad([][]int64{{100, 130 + int64(20*wiggle*x)}}), Bias: record.SHA256(nil), Batch: record.SHA256(nil),
		Time: record.Split{Wall: 12e9 + slow/1e6*1e6, Stall: slow / 1e6 * 1e6, Data: 2e8, Forward: 3e9, Backward: 6e9, Communication: 1e9, Optimizer: 1e9, Bubble: 5e8, Other: 3e8},
	})
}

// measured adds where tokens and time went since the last checkpoint.
func (l *log) measured(stage int, from, to int64) {
	n := to - from
	counts := make([][]int64, l.shape.blocks)
	for b := range counts {
		counts[b] = make([]int64, l.shape.experts)
		for e := range counts[b] {
			counts[b][e] = n * int64(1000+400*math.Sin(float64(b*31+e*7)))
		}
	}
	l.add(&record.Routing{Stage: stage, From: from, To: to, Counts: counts})
	ranks := make([]record.RankTime, l.shape.ranks)
	for i := range ranks {
		slow := int64(0)
		if i == l.shape.ranks/3 {
			slow = 1e9
		}
		noise := int64(1e8 * (1 + math.Sin(float64(i))))
		ranks[i] = record.RankTime{Rank: i, Split: record.Split{
			Wall: 12e9 * n, Data: 2e8 * n, Forward: (3e9 + slow) * n, Backward: (6e9 + noise) * n, Communication: (15e8 - slow - noise) * n, Optimizer: 1e9 * n, Other: 3e8 * n,
		}}
	}
	l.add(&record.Times{Stage: stage, From: from, To: to, Ranks: ranks})
}

func (l *log) evaluate(stage int, step int64) {
	l.now += 5_000
	x := float64(step+int64(stage)*l.shape.steps/2) / float64(l.shape.steps)
	l.add(&record.Evaluation{
		Stage: stage, Step: step, Took: 5e9, HeldOut: &record.HeldOut{Loss: 3.9 - 1.5*x, Tokens: 5000},
		Suites: map[string]record.Score{"math": {Right: int64(10 + 50*x), Total: 100}},
	})
}
