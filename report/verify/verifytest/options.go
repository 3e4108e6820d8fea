package verifytest

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// Options decide a run.
type Options struct {
	Seed   uint64
	Stages []StageOptions
	// Architecture is the config.json, empty for tiny-v4.
	Architecture string
	// CheckpointEvery and EvaluateEvery are numbers of steps; 0: at ends only.
	CheckpointEvery, EvaluateEvery int64
	// Recoveries is how often a run crashes and goes on from a checkpoint,
	// Pauses how often it is stopped in good order, in each stage.
	Recoveries, Pauses int
	// Skips makes one step of each stage one that was not finite.
	Skips bool
	// Period is the manifest's DigestPeriod.
	Period int64
	// SignEvery is how many steps lie between heads, beside those at checkpoints.
	SignEvery int64
	// Step is about the wall time of a step, 0 for a second.
	Step time.Duration
	// Files makes checkpoints, tokenizer and model, whose digests then are real.
	Files bool
	// Unfinished leaves out the end, Unsigned the last head.
	Unfinished, Unsigned bool
}

// StageOptions decide a stage.
type StageOptions struct {
	Name, Method           string
	Steps, Batch, Sequence int64
	LR                     record.Schedule
}

// Default is a small run with everything in it.
func Default() Options {
	return Options{
		Seed: 1, CheckpointEvery: 10, EvaluateEvery: 8, Recoveries: 1, Pauses: 1, Skips: true, Period: 1, SignEvery: 5, Files: true,
		Stages: []StageOptions{
			{"base", "cpt", 32, 4, 64, record.Schedule{Kind: "wsd", Peak: 1e-3, Final: 1e-5, Warmup: 4, Decay: 8}},
			{"tune", "sft", 24, 2, 96, record.Schedule{Kind: "cosine", Peak: 2e-4, Final: 1e-6, Warmup: 3}},
		},
	}
}

// Key makes the same key of a number every time.
func Key(n byte) *runlog.Key {
	text, _, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{n}, 32)), "temper")
	must(err)
	k, err := runlog.ParseKey(text)
	must(err)
	return k
}

// recipe is the recipe's text, as far as records are recomputed from it.
func (o *Options) recipe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "name: synthetic\nseed: %d\nmodel:\n  init: tiny-v4\nstages:\n", o.Seed)
	for _, s := range o.Stages {
		fmt.Fprintf(&b, "  - name: %s\n    method: %s\n    data:\n      sequence: %d\n      rows: %d\n    steps: %d\n    gradient_slots: 1\n    micro_rows: 1\n", s.Name, s.Method, s.Sequence, s.Batch, s.Steps)
		fmt.Fprintf(&b, "    optimizer:\n      name: adamw\n    lr:\n      name: %s\n      peak: %v\n      final: %v\n      warmup: %d\n      decay: %d\n", s.LR.Kind, s.LR.Peak, s.LR.Final, s.LR.Warmup, s.LR.Decay)
		fmt.Fprintf(&b, "    loss:\n      mtp: 0.3\n      indexer: 0.01\n    non_finite: skip\n    eval:\n      every: %d\n", o.EvaluateEvery)
	}
	return b.String()
}

// rate is a learning rate by the textbook formulas' rounding that the trainer has.
func rate(l record.Schedule, s, steps int64) float64 {
	if s < l.Warmup {
		return l.Peak * (float64(s+1) / float64(l.Warmup))
	}
	start := l.Warmup
	if l.Kind == "wsd" {
		start = steps - l.Decay
	}
	if l.Kind == "constant" || s < start {
		return l.Peak
	}
	x := 1.0
	if last := steps - 1 - start; last > 0 {
		x = min(1, float64(s-start)/float64(last))
	}
	if l.Kind == "linear" {
		return l.Final + float64((l.Peak-l.Final)*(1-x))
	}
	y := x * (math.Pi / 2)
	y2, c := y*y, 1.0
	for k := 26; k >= 2; k -= 2 {
		c = 1 - float64(y2/float64(k*(k-1))*c)
	}
	return l.Final + float64((l.Peak-l.Final)*float64(c*c))
}
