package rollout

import (
	"context"
	"testing"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/generate"
)

// BenchmarkSample is a round with its file and its verdicts, BenchmarkEngine the same
// answers by the engine alone.
func BenchmarkSample(b *testing.B) {
	m, o := tiny(b)
	tokens := int64(0)
	for n := int64(0); b.Loop(); n++ {
		o.Dir = b.TempDir()
		s, err := NewSampler(o)
		if err != nil {
			b.Fatal(err)
		}
		r, err := s.Sample(context.Background(), m, policyOf, n, 0)
		if err != nil {
			b.Fatal(err)
		}
		tokens += r.Sums().Tokens
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
}

func BenchmarkEngine(b *testing.B) {
	m, o := tiny(b)
	tokens := 0
	for b.Loop() {
		e, err := generate.New(m, generate.Options{Context: o.Questions.Longest() + o.Config.MaxTokens, Sequences: 32})
		if err != nil {
			b.Fatal(err)
		}
		var requests []generate.Request
		for c := range int64(o.Config.Prompts) {
			for k := range o.Config.Group {
				requests = append(requests, o.Questions.request(&Answer{Question: o.Questions.At(c), Cursor: c, Sample: k}, &o.Config, o.Seed))
			}
		}
		results, err := e.Run(context.Background(), requests, nil)
		if err != nil {
			b.Fatal(err)
		}
		for i := range results {
			tokens += len(results[i].Tokens)
		}
	}
	b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
}

func tiny(b *testing.B) (*deepseek.Model, Options) {
	cfg, err := arch.Builtin("tiny-v4")
	if err != nil {
		b.Fatal(err)
	}
	m := modelOf(b, cfg)
	o := options(b)
	o.Config.Prompts, o.Config.Group, o.Config.MaxTokens, o.Config.Sequences = 8, 8, 64, 32
	return m, o
}
