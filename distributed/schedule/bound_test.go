package schedule

import (
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// drawShape draws a legal shape of any kind.
func drawShape(t *rapid.T) Shape {
	s := Shape{Kind: rapid.SampledFrom(Kinds()).Draw(t, "kind"), Chunks: 1}
	s.Stages = rapid.IntRange(1, 9).Draw(t, "stages")
	s.Micro = rapid.IntRange(1, 60).Draw(t, "micro")
	switch s.Kind {
	case Interleaved:
		s.Stages = max(s.Stages, 2)
		s.Chunks = rapid.IntRange(2, 5).Draw(t, "chunks")
		s.Micro = max(s.Micro, s.Stages)
		if rapid.Bool().Draw(t, "grouped") {
			s.Group = rapid.IntRange(s.Stages, s.Micro).Draw(t, "group")
			s.Group = s.nearestGroup()
		}
	case ZBV:
		s.Stages, s.Chunks = max(s.Stages, 2), 2
	case DualPipe, DualPipeV:
		s.Stages, s.Chunks = max(2, s.Stages/2*2), 2
		s.Micro = max(s.Micro/2*2, 2*s.Stages)
	}
	return s
}

// drawDurations draws uneven durations.
func drawDurations(t *rapid.T, s Shape) *Durations {
	d := NewDurations(s)
	spread := rapid.SampledFrom([]float64{0, 0.1, 1, 5}).Draw(t, "spread")
	send := rapid.SampledFrom([]float64{0, 0.05, 1}).Draw(t, "send")
	vary := func(what string) float64 { return 1 + float64(spread*rapid.Float64Range(0, 1).Draw(t, what)) }
	for i := range d.Forward {
		d.Forward[i], d.Input[i], d.Weight[i] = vary("f"), vary("i"), vary("w")
		d.Backward[i], d.Pair[i] = d.Input[i]+d.Weight[i], 1.6*vary("p")
		d.Send[i] = float64(send * vary("s"))
	}
	if rapid.Bool().Draw(t, "sum") {
		d.Backward, d.Pair = nil, nil
	}
	d.Blocking = rapid.Bool().Draw(t, "blocking")
	return d
}

func TestLowerBoundNeverExceedsTheMakespan(t *testing.T) {
	var p Pipeline
	var out Timeline
	rapid.Check(t, func(t *rapid.T) {
		s := drawShape(t)
		d := drawDurations(t, s)
		if err := p.Reset(s); err != nil {
			t.Fatal(err)
		}
		if err := p.Time(d, &out); err != nil {
			t.Fatal(err)
		}
		bound := s.LowerBound(d)
		if bound > out.Makespan {
			t.Fatalf("%v: lower bound %v exceeds the makespan %v", s, bound, out.Makespan)
		}
		ends := s.LowerEnds(d, nil)
		for stage, end := range ends {
			if last := out.End[stage][len(out.End[stage])-1]; end > last {
				t.Fatalf("%v: stage %d cannot end before %v, and ends at %v", s, stage, end, last)
			}
		}
		if len(ends) != s.Stages || slices.Max(ends) != bound {
			t.Fatalf("%v: lower bound %v, ends %v", s, bound, ends)
		}
	})
}

func TestNoBoundsForWhatTimeRefuses(t *testing.T) {
	s := Shape{Kind: OneFOneB, Stages: 2, Chunks: 1, Micro: 4}
	if ends := s.LowerEnds(&Durations{}, nil); !slices.Equal(ends, []float64{0, 0}) || s.LowerBound(&Durations{}) != 0 {
		t.Errorf("no durations, but ends %v", ends)
	}
	s.Chunks = 3
	if ends := s.LowerEnds(NewDurations(s), nil); !slices.Equal(ends, []float64{0, 0}) {
		t.Errorf("illegal shape, but ends %v", ends)
	}
	s.Stages = -1
	if ends := s.LowerEnds(&Durations{}, nil); len(ends) != 0 {
		t.Errorf("-1 stages end at %v", ends)
	}
}

// With even durations and free sends the bound is the makespan itself, so a
// search that knows it need not time the pipeline.
func TestLowerBoundIsExactForEvenDurations(t *testing.T) {
	var p Pipeline
	var out Timeline
	rapid.Check(t, func(t *rapid.T) {
		s := drawShape(t)
		seconds := rapid.SampledFrom([]float64{0.25, 1, 1.5, 2})
		forward := seconds.Draw(t, "forward")
		d := uniform(s, forward, seconds.Draw(t, "input"), seconds.Draw(t, "weight"))
		if s.Kind == ZBV { // whose pattern is made for equal thirds
			d = uniform(s, forward, forward, forward)
		}
		if err := p.Reset(s); err != nil {
			t.Fatal(err)
		}
		if err := p.Time(d, &out); err != nil {
			t.Fatal(err)
		}
		if bound := s.LowerBound(d); bound != out.Makespan {
			t.Fatalf("%v: lower bound %v, makespan %v", s, bound, out.Makespan)
		}
	})
}

// With blocks of about equal cost and sends that take a fiftieth of a forward,
// as real layouts have them, little is left between bound and makespan.
func TestLowerBoundIsTight(t *testing.T) {
	var p Pipeline
	var out Timeline
	rapid.Check(t, func(t *rapid.T) {
		s := drawShape(t)
		d := NewDurations(s)
		for i := range d.Forward {
			v := 1 + rapid.Float64Range(0, 0.05).Draw(t, "cost")
			d.Forward[i], d.Input[i], d.Weight[i], d.Send[i] = v, v, v, 0.02
		}
		d.Backward, d.Pair = nil, nil
		d.Blocking = rapid.Bool().Draw(t, "blocking")
		if err := p.Reset(s); err != nil {
			t.Fatal(err)
		}
		if err := p.Time(d, &out); err != nil {
			t.Fatal(err)
		}
		if bound := s.LowerBound(d); bound < 0.96*out.Makespan {
			t.Fatalf("%v: lower bound %v is more than 4 %% below the makespan %v", s, bound, out.Makespan)
		}
	})
}

func TestBoundsAndPeaksFromSeveralGoroutines(t *testing.T) {
	shapes := []Shape{{OneFOneB, 6, 1, 40, 0}, {Interleaved, 6, 3, 42, 0}, {ZBV, 6, 2, 41, 0}, {DualPipe, 6, 2, 44, 0}}
	want := make([]float64, len(shapes))
	for i, s := range shapes {
		want[i] = s.LowerBound(uniform(s, 1, 2, 3))
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i, s := range shapes {
				s.Micro += 12 // another size of the same skeleton
				s.LowerBound(uniform(s, 1, 1, 1))
				s.Peak(1, make([]int64, s.Chunks), nil)
				s.Micro -= 12
				if got := s.LowerBound(uniform(s, 1, 2, 3)); got != want[i] {
					t.Errorf("%v: %v, want %v", s, got, want[i])
				}
			}
		})
	}
	group.Wait()
}
