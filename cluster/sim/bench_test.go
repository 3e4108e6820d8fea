package sim

import (
	"fmt"
	"runtime"
	"testing"
)

// BenchmarkStep simulates one step of a model of 61 routed layers over 8
// stages, 32 ranks to an expert group, at a fixed global batch of 16,384
// sequences: so the number of instructions stays, and one more case keeps the
// micro-batches of a rank instead, so that it grows.
func BenchmarkStep(b *testing.B) {
	y := toy{stages: 8, ep: 32, layers: 8, attention: 9e9, experts: 7e9, route: 3e9, send: 5e8, reduce: 4e11, update: 9e10}
	for _, ranks := range []int{256, 512, 1024, 2048, 4096, 8192} {
		y.width = ranks / y.stages
		for _, micro := range []int{16384 / y.width, 60} {
			y.micro = micro
			b.Run(fmt.Sprintf("ranks=%d/micro=%d", ranks, micro), func(b *testing.B) { benchmark(b, y.program(b), nil) })
		}
	}
	y.width, y.micro, y.shared, y.portRanks = 256, 64, 4e8, 8
	b.Run("ranks=2048/micro=64/ports", func(b *testing.B) { benchmark(b, y.program(b), nil) })
	b.Run("ranks=2048/micro=64/disturbed", func(b *testing.B) {
		benchmark(b, y.program(b), &Faults{
			Slow:    []Slow{{Target{Ranks: []int{77}}, 1.3}},
			Jitter:  []Jitter{{Distribution: "lognormal", RelativeDeviation: 0.02}},
			Routing: &Routing{Zipf: 0.3, Variation: 0.2},
		})
	})
}

func benchmark(b *testing.B, p *Program, f *Faults) {
	instructions := 0
	for _, code := range p.Stages {
		instructions += len(code) * p.block()
	}
	var m runtime.MemStats
	for b.Loop() {
		r, err := p.Run(f)
		if err != nil {
			b.Fatal(err)
		}
		if len(r.CriticalPath().Segments) == 0 {
			b.Fatal("no path")
		}
		runtime.ReadMemStats(&m)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(instructions), "ns/instruction")
	b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-process")
}

// BenchmarkPro simulates one step of DeepSeek-V4-Pro, block by block, at a fixed
// global batch of 15,360 sequences and at a fixed batch of each rank.
func BenchmarkPro(b *testing.B) {
	for _, devices := range []int{512, 1024, 2048, 4096, 8192} {
		for _, batch := range []int{15360, 64 * devices / 8} {
			s := pro
			s.devices, s.workload.GlobalBatch = devices, batch
			b.Run(fmt.Sprintf("devices=%d/batch=%d", devices, batch), func(b *testing.B) {
				m, step := s.step(b)
				p, err := New(m, step, Options{})
				if err != nil {
					b.Fatal(err)
				}
				benchmark(b, p, nil)
			})
		}
	}
}
