package stepbench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/train"
)

// RunReplay measures what it costs to record choices and to replay them: forward and
// backward passes of the rows in memory at once, and log-probabilities, with the
// choices given against without, in turns; decoding that records against decoding that
// does not, likewise; and the size of what is recorded. Nothing else should run on the
// machine.
func RunReplay(ctx context.Context, o Options) ([]Result, error) {
	cfg, err := o.model()
	if err != nil {
		return nil, err
	}
	c, src := o.config(), rows{o.MicroRows, o.Sequence, cfg.VocabSize}
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
	recompute, err := deepseek.ParseRecompute(o.Recompute)
	if err != nil {
		return nil, err
	}
	r := &replays{m: m, step: deepseek.StepOptions{LMScale: 1, MTPScale: 0.3, BalanceScale: 1e-4, Recompute: recompute}}
	for i := range o.Steps + 1 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := r.sample(src, int64(i)); err != nil {
			return nil, err
		}
	}
	out := r.results()
	for _, n := range []int{1, 8} {
		rs, err := recordingDecode(ctx, m, n, o)
		if err != nil {
			return nil, err
		}
		out = append(out, rs...)
	}
	return out, nil
}

// model returns the architecture that is measured.
func (o *Options) model() (*arch.Config, error) {
	if o.Model != nil {
		return o.Model, nil
	}
	return arch.Builtin("bench-v4")
}

// replays are samples of passes, the first of which does not count.
type replays struct {
	m                                *deepseek.Model
	step                             deepseek.StepOptions
	free, given, freeLogP, givenLogP []float64
	memory, coded, encode, decode    []float64 // of routes: bytes a token, seconds a token
}

// sample records the choices of a step's rows and measures passes with and without.
func (r *replays) sample(src rows, step int64) error {
	list, err := src.Rows(step)
	if err != nil {
		return err
	}
	free := &deepseek.Batch{}
	for _, row := range list {
		at := len(free.Tokens)
		free.Tokens = append(free.Tokens, row.Tokens...)
		free.Labels = append(free.Labels, row.Labels...)
		free.Segments = append(free.Segments, deepseek.Segment{Start: at, End: len(free.Tokens)})
	}
	given := *free
	if given.Routes, err = r.record(list); err != nil {
		return err
	}
	train := func(b *deepseek.Batch) error { _, err := r.m.TrainStep(b, r.step); return err }
	logp := func(b *deepseek.Batch) error { _, err := r.m.LogProbs(b); return err }
	for _, x := range []struct {
		to  *[]float64
		run func(b *deepseek.Batch) error
		b   *deepseek.Batch
	}{{&r.free, train, free}, {&r.given, train, &given}, {&r.freeLogP, logp, free}, {&r.givenLogP, logp, &given}} {
		start := time.Now()
		if err := x.run(x.b); err != nil {
			return err
		}
		*x.to = append(*x.to, time.Since(start).Seconds())
	}
	return r.size(given.Routes)
}

// record returns the choices for all tokens of rows but their last.
func (r *replays) record(list []train.Row) ([]*deepseek.Routes, error) {
	size, err := deepseek.CacheSizeOf(r.m.Config(), deepseek.CacheOptions{Context: len(list[0].Tokens)})
	if err != nil {
		return nil, err
	}
	c, err := r.m.NewCache(deepseek.CacheOptions{Context: len(list[0].Tokens), Bytes: int64(size.Pages(len(list[0].Tokens))) * size.PageBytes})
	if err != nil {
		return nil, err
	}
	var out []*deepseek.Routes
	for _, row := range list {
		s := c.NewSequence()
		s.Routes = r.m.NewRoutes()
		if err := c.Extend([]deepseek.Extension{{Sequence: s, Tokens: row.Tokens[:len(row.Tokens)-1]}}, nil); err != nil {
			return nil, err
		}
		out = append(out, s.Routes)
		s.Free()
	}
	return out, nil
}

// size measures the compact form of routes.
func (r *replays) size(routes []*deepseek.Routes) error {
	tokens, memory, coded := 0, 0, 0
	var encode, decode time.Duration
	for _, x := range routes {
		tokens += x.Len()
		for _, lists := range [][][]int32{x.Experts, x.Picks, x.Starts} {
			for _, l := range lists {
				memory += 4 * len(l)
			}
		}
		start := time.Now()
		b, err := x.AppendBinary(nil, r.m.Config())
		if err != nil {
			return err
		}
		encode += time.Since(start)
		coded += len(b)
		start = time.Now()
		if _, err := deepseek.DecodeRoutes(b, r.m.Config(), x.Len()); err != nil {
			return err
		}
		decode += time.Since(start)
	}
	n := float64(tokens)
	r.memory, r.coded = append(r.memory, float64(memory)/n), append(r.coded, float64(coded)/n)
	r.encode, r.decode = append(r.encode, encode.Seconds()/n), append(r.decode, decode.Seconds()/n)
	return nil
}

func (r *replays) results() []Result {
	return []Result{
		smallest("step/free", "s", r.free[1:]), smallest("step/replayed", "s", r.given[1:]),
		inTurns("step/replayed over free", r.given[1:], r.free[1:]),
		smallest("logprobs/free", "s", r.freeLogP[1:]), smallest("logprobs/replayed", "s", r.givenLogP[1:]),
		inTurns("logprobs/replayed over free", r.givenLogP[1:], r.freeLogP[1:]),
		smallest("routes/memory", "B/token", r.memory[1:]), smallest("routes/coded", "B/token", r.coded[1:]),
		smallest("routes/encode", "s/token", r.encode[1:]), smallest("routes/decode", "s/token", r.decode[1:]),
	}
}

// inTurns compares samples pair by pair; the median is what counts.
func inTurns(name string, a, b []float64) Result {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	r := smallest(name, "times", ratios)
	r.Value = r.Median
	return r
}

// recordingDecode measures n sequences that decode together, recorded and not.
func recordingDecode(ctx context.Context, m *deepseek.Model, n int, o Options) ([]Result, error) {
	const prompt, tokens = 64, 16 // of a prompt, and of each sequence in a sample
	length := min(m.Config().MaxPositions, prompt+(o.Steps+3)*tokens)
	var engines [2]*generate.Engine
	for i := range engines {
		e, err := generate.New(m, generate.Options{Sequences: n, Context: length})
		if err != nil {
			return nil, err
		}
		defer e.Close()
		for j := range n {
			r := generate.Request{Prompt: Row(0, j, prompt, m.Config().VocabSize).Tokens, MaxTokens: length, IgnoreEOS: true, Routing: i == 1}
			if _, err := e.Submit(r); err != nil {
				return nil, err
			}
		}
		engines[i] = e
	}
	var seconds [2][]float64
	for sample := range o.Steps + 2 { // prompts and a warm one come first
		for i, e := range engines {
			from, start := e.Stats().Generated, time.Now()
			for e.Stats().Generated < from+int64(n*tokens) {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				busy, err := e.Step()
				if err != nil {
					return nil, err
				}
				if !busy {
					return nil, fmt.Errorf("stepbench: the model's %d positions end before %d samples of %d tokens: take fewer steps", m.Config().MaxPositions, o.Steps, tokens)
				}
			}
			if sample > 1 {
				seconds[i] = append(seconds[i], time.Since(start).Seconds()/float64(e.Stats().Generated-from))
			}
		}
	}
	name := fmt.Sprintf("decode/batch=%d", n)
	return []Result{
		smallest(name+"/free", "s/token", slices.Clone(seconds[0])), smallest(name+"/recorded", "s/token", seconds[1]),
		inTurns(name+"/recorded over free", seconds[1], seconds[0]),
	}, nil
}
