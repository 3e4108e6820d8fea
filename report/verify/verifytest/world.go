package verifytest

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/digest"
)

// world is what a synthetic run computes: every number of a step, without the
// times, follows from its place.
type world struct {
	o      Options
	config *arch.Config
	stages []world1
}

// world1 is a stage of a world.
type world1 struct {
	batches []batch // of an epoch, in the order of the first
	skipped map[int64]bool
}

// batch is what a step is computed from.
type batch struct {
	examples, tokens, supervised int64
	flops                        float64
	load                         *record.Load
	table                        [][]int64
}

// epochSteps are the steps of an epoch of every stage.
const epochSteps = 8

func newWorld(o Options, c *arch.Config) *world {
	w := &world{o: o, config: c}
	for i, s := range o.Stages {
		st := world1{skipped: map[int64]bool{}}
		for b := range epochSteps {
			st.batches = append(st.batches, w.batch(uint64(i), uint64(b), s))
		}
		if o.Skips {
			st.skipped[s.Steps/2] = true
		}
		w.stages = append(w.stages, st)
	}
	return w
}

// batch packs keyed documents into rows.
func (w *world) batch(stage, b uint64, s StageOptions) batch {
	r := detrand.Key(w.o.Seed, "verifytest.batch", stage, b)
	var at uint64
	draw := func(n int64) int64 { at++; return int64(r.Uint64nAt(at, uint64(n))) }
	var out batch
	work := arch.Work{MTP: true, IndexerLoss: true, Supervised: make([]int64, 1+w.config.NumMTP)}
	for range s.Batch {
		for left := s.Sequence - draw(s.Sequence/4+1); left > 0; {
			n := min(left, 2+draw(s.Sequence))
			left -= n
			work.Lengths = append(work.Lengths, int(n))
			out.examples++
			out.tokens += n
			labels := draw(n)
			out.supervised += labels
			work.Supervised[0] += labels
			if w.config.NumMTP > 0 {
				work.Supervised[1] += max(0, labels-1)
			}
		}
	}
	if out.supervised == 0 {
		out.supervised, work.Supervised[0] = 1, 1
	}
	out.flops = w.config.FLOPs(work).Total()
	w.route(&out, draw)
	return out
}

// route spreads the tokens over experts.
func (w *world) route(b *batch, draw func(int64) int64) {
	for i := range w.config.Blocks() {
		if !w.config.IsMoE(i) {
			continue
		}
		counts := make([]int64, w.config.Experts)
		tokens := b.tokens
		if w.config.IsMTP(i) {
			tokens -= tokens / 10
		}
		for range tokens { // neighbouring experts, so that a token goes to different ones
			first := draw(int64(w.config.Experts))
			for k := range w.config.TopK {
				counts[(int(first)+k)%w.config.Experts]++
			}
		}
		b.table = append(b.table, counts)
	}
	if len(b.table) > 0 {
		b.load = record.NewLoad(b.table)
	}
}

// at returns the batch of a step: each epoch has its own order.
func (w *world) at(stage int, step int64) *batch {
	order := detrand.Key(w.o.Seed, "verifytest.order", uint64(stage), uint64(step/epochSteps)).Permutation(epochSteps)
	return &w.stages[stage].batches[order[step%epochSteps]]
}

// updates is how many updates the parameters have had, and how many of them in
// the stage.
func (w *world) updates(stage int, taken int64) (all, own int64) {
	for i := range stage + 1 {
		n := taken
		if i < stage {
			n = w.o.Stages[i].Steps
		}
		own = n
		for s := range w.stages[i].skipped {
			if s < n {
				own--
			}
		}
		all += own
	}
	return all, own
}

// step is the entry of a step, without times.
func (w *world) step(stage int, n int64) *record.Step {
	b := w.at(stage, n)
	r := detrand.Key(w.o.Seed, "verifytest.step", uint64(stage), uint64(n))
	s := &record.Step{
		Stage: stage, Step: n, Examples: b.examples, Tokens: b.tokens, Supervised: b.supervised,
		Batch:  w.name("batch", uint64(stage), uint64(n)),
		Losses: map[string]float64{"lm": 2 + r.Float64At(0), "mtp": 3 + r.Float64At(1), "balance": 1 + r.Float64At(2)},
		LR:     rate(w.o.Stages[stage].LR, n, w.o.Stages[stage].Steps), GradNorm: 0.5 + r.Float64At(3),
		Load: b.load, FLOPs: b.flops, Convention: "temper",
	}
	if w.stages[stage].skipped[n] {
		s.Skipped, s.FLOPs, s.GradNorm, s.Losses, s.Load = "non-finite", 0, math.NaN(), map[string]float64{}, nil
	}
	all, own := w.updates(stage, n+1)
	s.Bias = w.name("bias", uint64(all))
	if w.o.Files {
		s.Bias = sum(w.biases(all), 1, 0)
	}
	switch {
	case w.o.Period == 0:
	case w.o.Files:
		s.Parameters, s.Optimizer = sum(w.parameters(all), w.o.Period, n), sum(w.optimizer(stage, own), w.o.Period, n)
	default:
		s.Parameters = w.name("parameters", uint64(all), uint64(n%w.o.Period))
		s.Optimizer = w.name("optimizer", uint64(stage), uint64(own), uint64(n%w.o.Period))
	}
	return s
}

// name is a digest of something that is not there.
func (w *world) name(what string, at ...uint64) record.Digest {
	text, _ := json.Marshal([]any{what, w.o.Seed, at})
	return record.SHA256(text)
}

// tensor is a synthetic tensor of a state.
type tensor struct {
	name   string
	values []float32
	ints   []int32
}

// parameters are the tensors after so many updates; a few blocks, so that tests
// are fast.
func (w *world) parameters(updates int64) []tensor {
	return append(w.tensors("", updates, "a.weight", "b.bias"), w.biases(updates)...)
}

// biases are those of the architecture's routers.
func (w *world) biases(updates int64) []tensor {
	var ts []tensor
	for _, t := range w.config.Tensors() {
		if t.Role == arch.GateBias {
			ts = append(ts, tensor{name: t.Name, values: []float32{float32(updates), float32(len(ts)), 0.5}})
		}
	}
	return ts
}

func (w *world) optimizer(stage int, updates int64) []tensor {
	return append(w.tensors("first/", updates, "a.weight", "b.bias"), tensor{name: "updates", ints: []int32{int32(updates), int32(updates >> 32)}})
}

func (w *world) tensors(prefix string, updates int64, names ...string) []tensor {
	var ts []tensor
	for i, name := range names {
		t := tensor{name: prefix + name, values: make([]float32, 1500-1400*i)}
		r := detrand.Key(w.o.Seed, "verifytest."+t.name, uint64(updates))
		for j := range t.values {
			t.values[j] = float32(r.Float64At(uint64(j)))
		}
		ts = append(ts, t)
	}
	return ts
}

// whole is the digest of a whole state.
func whole(ts []tensor) record.Digest { return sum(ts, 1, 0) }

// sum is the digest of the blocks of a state that the step covers.
func sum(ts []tensor, period, step int64) record.Digest {
	var list []digest.Tensor
	for _, t := range ts {
		list = append(list, digest.Tensor{Name: t.name, Integer: t.ints != nil, Size: int64(len(t.values) + len(t.ints))})
	}
	l, err := digest.NewLayout(list, int(period))
	must(err)
	s := digest.NewState(l)
	s.Reset(step)
	for _, t := range ts {
		if t.ints != nil {
			must(s.AddInts(t.name, 0, t.ints))
		} else {
			must(s.Add(t.name, 0, t.values))
		}
	}
	d, err := s.Sum()
	must(err)
	return record.Digest(d.String())
}

// must holds by construction.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("verifytest: %v", err))
	}
}
