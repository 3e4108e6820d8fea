package schedule

import "testing"

// The largest schedule anybody is expected to ask for.
var large = Shape{Kind: Interleaved, Stages: 64, Chunks: 8, Micro: 1024}

func BenchmarkNewPipeline(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewPipeline(large.Kind, large.Stages, large.Chunks, large.Micro); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReset(b *testing.B) {
	for _, s := range []Shape{large, {OneFOneB, 16, 1, 128, 0}, {Interleaved, 16, 2, 128, 0}, {ZBV, 64, 2, 1024, 0}, {DualPipe, 64, 2, 1024, 0}} {
		b.Run(s.String(), func(b *testing.B) {
			b.ReportAllocs()
			var p Pipeline
			for b.Loop() {
				if err := p.Reset(s); err != nil {
					b.Fatal(err)
				}
			}
			reportActions(b, &p)
		})
	}
}

func reportActions(b *testing.B, p *Pipeline) {
	actions := 0
	for _, order := range p.Compute {
		actions += len(order)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(actions), "ns/action")
}

func BenchmarkTime(b *testing.B) {
	for _, s := range []Shape{large, {OneFOneB, 16, 1, 128, 0}, {Interleaved, 16, 2, 128, 0}, {ZBV, 16, 2, 128, 0}, {DualPipe, 16, 2, 128, 0}} {
		for _, brief := range []bool{true, false} {
			name := s.String()
			if brief {
				name += ", brief"
			}
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				var p Pipeline
				if err := p.Reset(s); err != nil {
					b.Fatal(err)
				}
				d := uniform(s, 1, 1, 1)
				out := Timeline{Brief: brief}
				for b.Loop() {
					if err := p.Time(d, &out); err != nil {
						b.Fatal(err)
					}
				}
				reportActions(b, &p)
			})
		}
	}
}

func BenchmarkLowerBound(b *testing.B) {
	for _, s := range []Shape{large, {OneFOneB, 16, 1, 128, 0}, {Interleaved, 16, 2, 128, 0}, {ZBV, 16, 2, 128, 0}, {DualPipe, 16, 2, 128, 0}} {
		b.Run(s.String(), func(b *testing.B) {
			b.ReportAllocs()
			d := uniform(s, 1, 1, 1)
			for b.Loop() {
				if s.LowerBound(d) == 0 {
					b.Fatal("no bound")
				}
			}
		})
	}
}
