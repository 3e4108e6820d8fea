package order

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/distributed/schedule"
)

// drawShape draws a legal pipeline.
func drawShape(t *rapid.T) schedule.Shape {
	s := schedule.Shape{Kind: rapid.SampledFrom(schedule.Kinds()).Draw(t, "kind"), Stages: rapid.IntRange(1, 9).Draw(t, "stages"), Chunks: 1}
	s.Micro = rapid.IntRange(1, 40).Draw(t, "micro")
	switch s.Kind {
	case schedule.Interleaved:
		s.Stages, s.Chunks = s.Stages+1, rapid.IntRange(2, 5).Draw(t, "chunks")
		s.Micro = s.Stages + rapid.IntRange(0, 60).Draw(t, "more")
	case schedule.ZBV, schedule.DualPipe, schedule.DualPipeV:
		s.Stages, s.Chunks = 2*s.Stages, 2
		s.Micro = 2*s.Stages + 2*rapid.IntRange(0, 20).Draw(t, "extra")
	}
	return s
}

// drawPasses draws durations by position, and the same as schedule reads them.
func drawPasses(t *rapid.T, s schedule.Shape) ([]Passes, *schedule.Durations) {
	value := rapid.Float64Range(1e-6, 1)
	d := make([]Passes, s.Positions())
	uniform := rapid.Bool().Draw(t, "uniform")
	for q := range d {
		if uniform && q > 0 {
			d[q] = d[0]
		} else {
			d[q] = Passes{Forward: value.Draw(t, "forward"), Input: value.Draw(t, "input"), Weight: value.Draw(t, "weight"), Send: value.Draw(t, "send") / 10}
			d[q].Backward = d[q].Input + d[q].Weight
		}
	}
	return d, spread(d, s, rapid.Float64Range(0.5, 1).Draw(t, "overlap"))
}

// spread writes durations by position as durations by stage and chunk, and fills
// in the pairs.
func spread(d []Passes, s schedule.Shape, overlap float64) *schedule.Durations {
	out := schedule.NewDurations(s)
	for stage := range s.Stages {
		for c := range s.Chunks {
			i, p := stage*s.Chunks+c, &d[s.Position(stage, c)]
			out.Forward[i], out.Backward[i], out.Input[i], out.Weight[i], out.Send[i] = p.Forward, p.Backward, p.Input, p.Weight, p.Send
			if s.Chunks == 2 && s.Kind.SplitsBackward() {
				other := &d[s.Position(stage, 1-c)]
				p.Pair = overlap * (p.Forward + other.Backward)
				out.Pair[i] = p.Pair
			}
		}
	}
	if s.Kind == schedule.DualPipe { // chunk 1 goes the other way: its send leaves position q for q+1 as well
		for stage := range s.Stages {
			out.Pair[stage*2+1] = d[s.Position(stage, 1)].Pair
		}
	}
	for q := range d {
		stage, chunk := s.Place(q)
		if n, _, ok := s.Next(stage, chunk); !ok || n == stage {
			d[q].Send = 0
		}
	}
	if !s.Kind.SplitsBackward() || s.Chunks != 2 {
		out.Pair = nil
	}
	return out
}

// The bound is never above the time of the order it bounds, and not far below
// it where all stages are alike.
func TestBoundIsBelowTheTimeOfEveryOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawShape(t)
		d, durations := drawPasses(t, s)
		g, err := New(s)
		if err != nil {
			t.Fatal(err)
		}
		p, err := schedule.NewPipeline(s.Kind, s.Stages, s.Chunks, s.Micro)
		if err != nil {
			t.Fatal(err)
		}
		var line schedule.Timeline
		if err := p.Time(durations, &line); err != nil {
			t.Fatal(err)
		}
		for stage, bound := range stageEnds(g, d) {
			last := line.End[stage][len(line.End[stage])-1]
			if bound > last {
				t.Fatalf("%v: stage %d: bound %.9g above its end %.9g", s, stage, bound, last)
			}
		}
	})
}

func stageEnds(g *Order, d []Passes) []float64 {
	ends := make([]float64, g.Shape.Stages)
	g.Ends(d, make([]float64, len(d)), make([]float64, len(d)), ends)
	return ends
}

// What is alive at the moments a geometry keeps is the most that ever is,
// whatever the chunks weigh.
func TestGeometryKnowsTheWorstMoment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawShape(t)
		g, err := New(s)
		if err != nil {
			t.Fatal(err)
		}
		p, err := schedule.NewPipeline(s.Kind, s.Stages, s.Chunks, s.Micro)
		if err != nil {
			t.Fatal(err)
		}
		weights := make([]int64, s.Chunks)
		for c := range weights {
			weights[c] = int64(rapid.IntRange(0, 100).Draw(t, "weight"))
		}
		for stage := range s.Stages {
			if got, want := g.rows[stage].worst(weights), p.Peak(stage, weights, nil); got != want {
				t.Fatalf("%v: stage %d: %d alive, the order says %d", s, stage, got, want)
			}
		}
	})
}

// How tight the bound is on equal stages with cheap links: the fewer layouts
// need exact timing.
func TestBoundIsTightOnEqualStages(t *testing.T) {
	for _, c := range []struct {
		shape schedule.Shape
		least float64
	}{
		{schedule.Shape{Kind: schedule.OneFOneB, Stages: 8, Chunks: 1, Micro: 32}, 0.99},
		{schedule.Shape{Kind: schedule.Interleaved, Stages: 8, Chunks: 4, Micro: 32}, 0.98},
		{schedule.Shape{Kind: schedule.ZBH1, Stages: 8, Chunks: 1, Micro: 32}, 0.95},
		{schedule.Shape{Kind: schedule.ZBV, Stages: 8, Chunks: 2, Micro: 32}, 0.95},
		{schedule.Shape{Kind: schedule.DualPipe, Stages: 8, Chunks: 2, Micro: 32}, 0.9},
		{schedule.Shape{Kind: schedule.DualPipeV, Stages: 8, Chunks: 2, Micro: 32}, 0.9},
	} {
		d := make([]Passes, c.shape.Positions())
		for q := range d {
			d[q] = Passes{Forward: 0.010, Backward: 0.019, Input: 0.011, Weight: 0.008, Send: 0.0001}
		}
		durations := spread(d, c.shape, 0.8)
		g, err := New(c.shape)
		if err != nil {
			t.Fatal(err)
		}
		p, err := schedule.NewPipeline(c.shape.Kind, c.shape.Stages, c.shape.Chunks, c.shape.Micro)
		if err != nil {
			t.Fatal(err)
		}
		var line schedule.Timeline
		if err := p.Time(durations, &line); err != nil {
			t.Fatal(err)
		}
		share := slices.Max(stageEnds(g, d)) / line.Makespan
		t.Logf("%v: bound/time %.4f", c.shape, share)
		if share > 1 || share < c.least {
			t.Errorf("%v: bound is %.4f of the time, want %.2f to 1", c.shape, share, c.least)
		}
	}
}
