// Package decodebench measures how fast an engine decodes: tokens a second at
// several batch sizes, and, for one sequence, the weights it reads a second
// against the bandwidth of memory, measured in turns with it.
package decodebench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/compute/kernel/kernelbench"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/internal/hugepages"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/generate"
)

// Options say what to measure.
type Options struct {
	Model   *arch.Config
	Load    func(*deepseek.Model) error // fills the weights; nil: random ones
	Prompt  int                         // tokens of each prompt
	Tokens  int                         // decoded in a sample, by each sequence
	Samples int
	Batches []int // sequences that decode together
	// Speculate drafts with the MTP block; then the tokens of a pass vary.
	Speculate bool
	// Latent keeps V3's latents only: see [generate.Options].
	Latent bool
}

// stream is how many numbers each of three arrays has that measure memory.
const stream = 1 << 25

// Run measures. Nothing else should run on the machine.
func Run(ctx context.Context, o Options) ([]kernelbench.Result, error) {
	if o.Prompt < 1 || o.Tokens < 1 || o.Samples < 1 || len(o.Batches) == 0 || slices.Min(o.Batches) < 1 {
		return nil, fmt.Errorf("decodebench: prompt, tokens, samples and batches must be at least 1, got %d, %d, %d and %v", o.Prompt, o.Tokens, o.Samples, o.Batches)
	}
	m, err := deepseek.NewFrozen(o.Model)
	if err != nil {
		return nil, err
	}
	m.Init(1)
	if o.Load != nil {
		if err := o.Load(m); err != nil {
			return nil, err
		}
	}
	var out []kernelbench.Result
	for _, n := range o.Batches {
		rs, err := batch(ctx, m, n, o)
		if err != nil {
			return nil, err
		}
		out = append(out, rs...)
	}
	return out, nil
}

// batch measures n sequences that decode together.
func batch(ctx context.Context, m *deepseek.Model, n int, o Options) ([]kernelbench.Result, error) {
	length := o.Prompt + (o.Samples+2)*o.Tokens*2
	e, err := generate.New(m, generate.Options{Sequences: n, Context: length, Speculate: o.Speculate, Latent: o.Latent})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	for i := range n {
		r := generate.Request{Prompt: Prompt(i, o.Prompt, m.Config().VocabSize), MaxTokens: length, IgnoreEOS: true}
		if _, err := e.Submit(r); err != nil {
			return nil, err
		}
	}
	steps := func(tokens int64) (rate float64, err error) {
		from, start := e.Stats().Generated, time.Now()
		for e.Stats().Generated < from+tokens {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			if _, err := e.Step(); err != nil {
				return 0, err
			}
		}
		return float64(e.Stats().Generated-from) / time.Since(start).Seconds(), nil
	}
	if _, err := steps(int64(n)); err != nil { // prompts
		return nil, err
	}
	if _, err := steps(int64(n * o.Tokens)); err != nil { // warm
		return nil, err
	}
	mem := newMemory()
	var rates, reads, all, busy []float64
	for range o.Samples {
		u := using()
		r, err := steps(int64(n * o.Tokens))
		if err != nil {
			return nil, err
		}
		rates, busy = append(rates, r), append(busy, u.share())
		reads, all = append(reads, mem.read()), append(all, mem.both())
	}
	name := fmt.Sprintf("decode/batch=%d", n)
	bytes := []float64{float64(e.Stats().CacheBytes + e.ScratchBytes())}
	out := []kernelbench.Result{summary(name, "token/s", 1, rates), summary(name+"/memory", "MB", 1e-6, bytes)}
	if kernelbench.Worked() > 0 {
		out = append(out, summary(name+"/cores at work", "%", 100, busy))
	}
	if n > 1 || o.Speculate {
		return out, nil
	}
	weights := WeightBytes(m)
	speed, mixed, read := summary(name+"/weights", "GB/s", weights*1e-9, rates), summary("memory", "GB/s", 1e-9, all), summary("memory/read", "GB/s", 1e-9, reads)
	return append(out, speed, mixed, read,
		ratio(name+"/share of memory", speed, mixed), ratio(name+"/share of memory/read", speed, read)), nil
}

// Prompt returns a prompt of random tokens, which the comparison with other
// programs reads too.
func Prompt(i, n, vocab int) []int32 {
	s := detrand.Key(1, "decodebench", uint64(i))
	p := make([]int32, n)
	for j := range p {
		p[j] = int32(s.Uint64nAt(uint64(j), uint64(vocab)))
	}
	return p
}

// WeightBytes returns how many bytes of weights one token reads: everything but
// the experts that it does not go to, other tokens' rows of tables, and MTP blocks.
func WeightBytes(m *deepseek.Model) float64 {
	c := m.Config()
	sum := 0.0
	for _, p := range m.Params() {
		n := float64(p.Len())
		switch {
		case p.Layer >= c.NumLayers:
			continue
		case p.Role == arch.Embed, p.Role == arch.GateHash:
			n = float64(p.Cols())
		case p.Expert >= 0:
			n *= float64(c.TopK) / float64(c.Experts)
		}
		sum += float64(4 * n)
	}
	return sum
}

// memory measures the bandwidth of memory.
type memory struct{ a, b, c []float32 }

func newMemory() *memory {
	fill := func() []float32 {
		x := make([]float32, stream)
		hugepages.Advise(x) // as the weights are
		for i := range x {
			x[i] = 1e-9
		}
		return x
	}
	return &memory{fill(), fill(), fill()}
}

// both returns bytes a second with three streams read and one written, as
// devicebench measures it.
func (m *memory) both() float64 {
	return rate(16*stream, func(lo, hi int) { kernel.MulAdd(m.a[lo:hi], m.b[lo:hi], m.c[lo:hi]) })
}

// read returns bytes a second with one stream read by each thread.
func (m *memory) read() float64 {
	return rate(4*stream, func(lo, hi int) { kernel.MaxAbs(m.b[lo:hi]) })
}

// rate returns the best of a few runs of f over all of the stream.
func rate(bytes float64, f func(lo, hi int)) float64 {
	best := 0.0
	for range 5 {
		start := time.Now()
		kernel.Parallel(stream, 1<<16, f)
		best = max(best, bytes/time.Since(start).Seconds())
	}
	return best
}

func summary(name, unit string, scale float64, xs []float64) kernelbench.Result {
	xs = slices.Clone(xs)
	slices.Sort(xs)
	n := len(xs)
	return kernelbench.Result{Name: name, Unit: unit, N: n, Value: xs[n-1] * scale, Min: xs[0] * scale, Median: (xs[(n-1)/2] + xs[n/2]) / 2 * scale}
}

// ratio compares the best, and the medians, of two quantities.
func ratio(name string, a, b kernelbench.Result) kernelbench.Result {
	return kernelbench.Result{Name: name, Unit: "%", N: a.N, Value: 100 * a.Value / b.Value, Min: 100 * a.Min / b.Value, Median: 100 * a.Median / b.Median}
}
