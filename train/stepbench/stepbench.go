// Package stepbench measures whole optimizer steps: tokens a second, the share
// of the machine's multiply-add peak, where the time goes, and peak memory
// against what train.PlanMemory predicts.
//
// The peak is measured between the steps, since clocks drift: the share is the
// step's operations over its time, over the best peak seen.
package stepbench

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/train"
	"github.com/temper-ml/temper/train/optim"
)

// Options say what to measure.
type Options struct {
	// Model is the architecture; nil is the built-in bench-v4.
	Model *arch.Config
	// Rows of Sequence tokens make a step; MicroRows of them are in memory at once.
	Rows, Sequence, MicroRows int
	// Steps are measured, after one that is not.
	Steps int
	// Optimizer is adamw or muon; Recompute is none, selective or full.
	Optimizer, Recompute string
	// Digest, if not 0, takes digests of every step with this period.
	Digest int
	// Record, if not nil, is given every step to put on record. Its time is measured.
	Record func(*train.Result) error
	// Load, if not empty, fills the parameters instead of a random initialisation.
	Load func(*deepseek.Model) error
	// Trace, if not nil, is filled with every step, measured or not.
	Trace *Trace
}

// Result is one measured quantity over N steps.
type Result struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	N      int     `json:"n"`
}

// rows is a Source of random tokens, all supervised.
type rows struct{ n, length, vocab int }

func (r rows) Rows(step int64) ([]train.Row, error) {
	out := make([]train.Row, r.n)
	for i := range out {
		out[i] = Row(step, i, r.length, r.vocab)
	}
	return out, nil
}

// Row returns row i of a step: random tokens, one segment, all supervised. The
// comparison with other programs reads the same tokens.
func Row(step int64, i, length, vocab int) train.Row {
	s := detrand.Key(1, "stepbench", uint64(step), uint64(i))
	r := data.Row{Tokens: make([]int32, length), Mask: make([]bool, length), Segments: []data.Segment{{Start: 0, End: length}}}
	for j := range r.Tokens {
		r.Tokens[j], r.Mask[j] = int32(s.Uint64nAt(uint64(j), uint64(vocab))), j > 0
	}
	return train.NewRow(&r)
}

func (o *Options) config() train.Config {
	c := train.Config{
		Steps: int64(o.Steps + 1), Slots: 1, MicroRows: o.MicroRows, Recompute: o.Recompute, NonFinite: "stop",
		Optimizer: optim.Default(), LR: optim.LRSchedule{Name: "constant", Peak: 1e-4},
		Loss: train.Loss{MTP: 0.3, Balance: 1e-4}, Router: train.Router{Train: true, BiasRate: 0.001},
	}
	c.Optimizer.Name = o.Optimizer
	c.Optimizer.AdamW.Epsilon = 1e-8
	return c
}

// Run measures. Nothing else should run on the machine.
func Run(ctx context.Context, o Options) ([]Result, error) {
	cfg, err := o.model()
	if err != nil {
		return nil, err
	}
	src, c := rows{o.Rows, o.Sequence, cfg.VocabSize}, o.config()
	if err := fits(c, cfg, src); err != nil {
		return nil, err
	}
	m, err := deepseek.New(cfg)
	if err != nil {
		return nil, err
	}
	m.Init(1)
	if o.Load != nil {
		if err := o.Load(m); err != nil {
			return nil, err
		}
	}
	t, err := train.New(c, m, src, o.Rows, time.Now)
	if err != nil {
		return nil, err
	}
	if o.Digest > 0 {
		if err := t.Digest(o.Digest); err != nil {
			return nil, err
		}
	}
	s := &samples{}
	for i := range o.Steps + 1 {
		peak, err := kernel.PeakFMA(kernel.Path(), kernel.Threads(), 30*time.Millisecond)
		if err != nil {
			return nil, err
		}
		r, err := t.Step(ctx)
		if err != nil {
			return nil, err
		}
		if o.Trace != nil {
			done, err := src.Rows(r.Step)
			if err != nil {
				return nil, err
			}
			o.Trace.add(done, &r)
		}
		var recording time.Duration
		if o.Record != nil {
			mark := time.Now()
			if err := o.Record(&r); err != nil {
				return nil, err
			}
			recording = time.Since(mark)
		}
		if i == 0 {
			s.first = r.LM
			continue
		}
		s.add(&r, peak)
		if o.Record != nil {
			s.record(&r, recording)
		}
	}
	return s.results(c, cfg, src)
}

// samples collects one value of each quantity per step.
type samples struct {
	first                                   float64
	seconds, tokens, peaks, model, optimize []float64
	digest, share                           []float64 // share is of the step without digests, in %
	recorded, overhead                      []float64 // overhead is that of digests and record together, as share
	flops                                   float64
}

func (s *samples) add(r *train.Result, peak float64) {
	sec := r.Time.Total.Seconds()
	s.seconds = append(s.seconds, sec)
	s.tokens = append(s.tokens, float64(r.Counts.Tokens)/sec)
	s.peaks = append(s.peaks, peak)
	s.model = append(s.model, r.Time.Model.Seconds())
	s.optimize = append(s.optimize, r.Time.Optimizer.Seconds())
	s.flops = r.FLOPs
	if d := r.Time.Digest.Seconds(); d > 0 {
		s.digest, s.share = append(s.digest, d), append(s.share, 100*d/(sec-d))
	}
}

// record adds what putting a step on record took.
func (s *samples) record(r *train.Result, took time.Duration) {
	digest := r.Time.Digest.Seconds()
	s.recorded = append(s.recorded, took.Seconds())
	s.overhead = append(s.overhead, 100*(digest+took.Seconds())/(r.Time.Total.Seconds()-digest))
}

func (s *samples) results(c train.Config, cfg *arch.Config, src rows) ([]Result, error) {
	peak := slices.Max(s.peaks)
	mfu := make([]float64, len(s.seconds))
	for i, sec := range s.seconds {
		mfu[i] = 100 * s.flops / sec / peak
	}
	out := []Result{
		largest("step/tokens", "token/s", s.tokens),
		largest("step/mfu", "% of peak", mfu),
		largest("step/peak", "FLOP/s", s.peaks),
		smallest("step/time", "s", s.seconds),
		smallest("step/model", "s", s.model),
		smallest("step/optimizer", "s", s.optimize),
		{Name: "step/flops", Value: s.flops, Unit: "FLOP", Min: s.flops, Median: s.flops, N: 1},
		{Name: "step/first_loss", Value: s.first, Unit: "nat", Min: s.first, Median: s.first, N: 1},
	}
	if len(s.digest) > 0 {
		share := smallest("step/digest_share", "% of the rest", s.share)
		share.Value = share.Median // the least is of a step that was slow for other reasons
		out = append(out, smallest("step/digest", "s", s.digest), share)
	}
	if len(s.recorded) > 0 {
		share := smallest("step/record_share", "% of the rest, with digests", s.overhead)
		share.Value = share.Median
		out = append(out, smallest("step/record", "s", s.recorded), share)
	}
	rs, err := src.Rows(0)
	if err != nil {
		return nil, err
	}
	plan, err := train.PlanMemory(c, cfg, [][]train.Row{rs}, 0, nil)
	if err != nil {
		return nil, err
	}
	predicted := float64(plan.Total())
	out = append(out, Result{"memory/predicted", predicted, "B", predicted, predicted, 1})
	if rss := peakRSS(); rss > 0 {
		out = append(out, Result{"memory/measured", rss, "B", rss, rss, 1}, Result{"memory/ratio", rss / predicted, "measured/predicted", rss / predicted, rss / predicted, 1})
	}
	return out, nil
}

// largest and smallest summarise samples by their best.
func largest(name, unit string, x []float64) Result {
	x = slices.Sorted(slices.Values(x))
	return Result{name, x[len(x)-1], unit, x[0], x[len(x)/2], len(x)}
}

func smallest(name, unit string, x []float64) Result {
	r := largest(name, unit, x)
	r.Value = r.Min
	return r
}

// peakRSS returns the most memory this process has had, in bytes; 0 if unknown.
func peakRSS() float64 { return procBytes("/proc/self/status", "VmHWM:") }

// procBytes reads a line in KiB of a file that the kernel writes; 0 if unknown.
func procBytes(path, name string) float64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == name {
			kib, _ := strconv.ParseFloat(f[1], 64)
			return kib * 1024
		}
	}
	return 0
}
