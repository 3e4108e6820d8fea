package deepseek

import (
	"testing"
	"time"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/model/arch"
)

// BenchmarkTrainStep runs the bench model on 4 rows of 512 tokens and reports
// tokens per second and model FLOPs as a share of the measured FMA peak.
func BenchmarkTrainStep(b *testing.B) {
	cfg, err := arch.Builtin("bench-v4")
	if err != nil {
		b.Fatal(err)
	}
	m, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	m.Init(1)
	batch := randomBatch(cfg, 1, 512, 512, 512, 512)
	o := StepOptions{LMScale: 1.0 / 2044, MTPScale: 0.3 / 2040, BalanceScale: 1e-4 / 4}
	flops := cfg.FLOPs(batch.Work(o, cfg.NumMTP)).Total()
	mustStep(b, m, batch, o)
	peak, err := kernel.PeakFMA(kernel.Path(), kernel.Threads(), 300*time.Millisecond)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		mustStep(b, m, batch, o)
	}
	perSecond := float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(perSecond*float64(len(batch.Tokens)), "tokens/s")
	b.ReportMetric(100*perSecond*flops/peak, "%MFU")
	b.ReportMetric(peak/1e9, "peakGFLOP/s")
	b.ReportMetric(flops/1e9, "GFLOP/step")
}
