package schedule

import (
	"testing"

	"pgregory.net/rapid"
)

func TestPeakInFlightIsThatOfTheReplay(t *testing.T) {
	var p Pipeline
	rapid.Check(t, func(t *rapid.T) {
		s := drawShape(t)
		if err := p.Reset(s); err != nil {
			t.Fatal(err)
		}
		ones := make([]int64, s.Chunks)
		for c := range ones {
			ones[c] = 1
		}
		for stage := range s.Stages {
			want := p.Peak(stage, ones, nil)
			if got := s.PeakInFlight(stage); int64(got) != want {
				t.Fatalf("%v, stage %d: %d in flight, the replay has %d", s, stage, got, want)
			}
		}
	})
}

func TestShapePeakIsThatOfTheReplay(t *testing.T) {
	var p Pipeline
	rapid.Check(t, func(t *rapid.T) {
		s := drawShape(t)
		if err := p.Reset(s); err != nil {
			t.Fatal(err)
		}
		full, kept := make([]int64, s.Chunks), make([]int64, s.Chunks)
		for c := range full {
			full[c] = rapid.Int64Range(0, 1000).Draw(t, "full")
			kept[c] = rapid.Int64Range(0, full[c]).Draw(t, "kept")
		}
		if rapid.Bool().Draw(t, "whole") {
			kept = nil
		}
		for stage := range s.Stages {
			if got, want := s.Peak(stage, full, kept), p.Peak(stage, full, kept); got != want {
				t.Fatalf("%v, stage %d, full %v, kept %v: peak %d, the replay has %d", s, stage, full, kept, got, want)
			}
		}
	})
}

// The closed forms of the papers, in microbatches of a whole stage.
func TestPeaksInClosedForm(t *testing.T) {
	const p, m = 8, 64
	for v := 2; v <= 8; v++ {
		// Stage 0 of interleaved 1F1B: p*(1 + (p-1)/(p*v)) microbatches of v chunks.
		if got, want := PeakInFlight(Interleaved, p, v, m, 0), p*v+p-1; got != want {
			t.Errorf("interleaved with %d chunks: %d chunks in flight, want %d", v, got, want)
		}
	}
	for stage := range p {
		if got := PeakInFlight(OneFOneB, p, 1, m, stage); got != p-stage {
			t.Errorf("1f1b: %d in flight on stage %d, want %d", got, stage, p-stage)
		}
		if got := PeakInFlight(ZBV, p, 2, m, stage); got != 2*p {
			t.Errorf("zb-v: %d chunks in flight on stage %d, want %d: as many as 1f1b on stage 0", got, stage, 2*p)
		}
		if got := PeakInFlight(DualPipe, p, 2, m, stage); got != p+1 {
			t.Errorf("dualpipe: %d in flight on stage %d, want %d", got, stage, p+1)
		}
	}
	for _, bad := range []Shape{{OneFOneB, 4, 2, 8, 0}, {DualPipe, 3, 2, 8, 0}, {"?", 1, 1, 1, 0}, {}} {
		if got := PeakInFlight(bad.Kind, bad.Stages, bad.Chunks, bad.Micro, 0); got != 0 {
			t.Errorf("%v: %d in flight, want 0 for an illegal shape", bad, got)
		}
	}
	if got := (Shape{OneFOneB, 4, 1, 8, 0}).Peak(4, []int64{1}, nil); got != 0 {
		t.Errorf("stage 4 of 4 holds %d", got)
	}
	if got := (Shape{OneFOneB, 4, 1, 8, 0}).Peak(0, nil, nil); got != 0 {
		t.Errorf("no weights weigh %d", got)
	}
}
