package schedule

import (
	"testing"

	"pgregory.net/rapid"
)

// Per stage, compute, blocking sends, exposed communication and bubble add up to
// the makespan, to the last bit.
func TestStageTimesAddUpExactly(t *testing.T) {
	var p Pipeline
	out := Timeline{Brief: true}
	rapid.Check(t, func(t *rapid.T) {
		s := drawShape(t)
		d := drawDurations(t, s)
		if err := p.Reset(s); err != nil {
			t.Fatal(err)
		}
		if err := p.Time(d, &out); err != nil {
			t.Fatal(err)
		}
		for stage, u := range out.Stages {
			if sum := u.Busy + u.Send + u.Wait + u.Bubble; sum != out.Makespan {
				t.Fatalf("%v, stage %d: %+v add up to %v, the makespan is %v", s, stage, u, sum, out.Makespan)
			}
			if u.Busy < 0 || u.Send < 0 || u.Wait < 0 || u.Bubble < 0 {
				t.Fatalf("%v, stage %d: %+v", s, stage, u)
			}
		}
	})
}

// An action starts at the very moment at which its stage is free and its inputs
// are there: not earlier, and not later. That is the longest path.
func TestActionsStartWhenTheirInputsArrive(t *testing.T) {
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
		type key struct {
			back                bool
			stage, chunk, micro int
		}
		send := func(stage, chunk, to int) float64 { // of the forward leaving a chunk
			if to == stage {
				return 0
			}
			return tick(d.Send[stage*s.Chunks+chunk])
		}
		type place struct{ stage, n int }
		where := map[key]place{}
		for stage, order := range p.Compute {
			for n, a := range order {
				for _, h := range a.halves() {
					if h.Op != BackwardWeight {
						where[key{h.Op != Forward, stage, int(h.Chunk), int(h.Micro)}] = place{stage, n}
					}
				}
			}
		}
		// arrival of a message at its receiver, whose sender's action ends at the
		// given place, less the hold of a blocking send that the end includes
		arrival := func(from place, flight, hold float64) float64 {
			return out.End[from.stage][from.n] - hold + flight
		}
		hold := func(from place) float64 { // of all blocking sends of an action
			if !d.Blocking {
				return 0
			}
			most := 0.0
			for _, h := range p.Compute[from.stage][from.n].halves() {
				if to, _, ok := s.Next(from.stage, int(h.Chunk)); ok && h.Op == Forward {
					most = max(most, send(from.stage, int(h.Chunk), to))
				}
				if to, c, ok := s.Previous(from.stage, int(h.Chunk)); ok && (h.Op == Backward || h.Op == BackwardInput) {
					most = max(most, send(to, c, from.stage))
				}
			}
			return most
		}
		for stage, order := range p.Compute {
			free := 0.0
			for n, a := range order {
				want := free
				for _, h := range a.halves() {
					chunk, micro := int(h.Chunk), int(h.Micro)
					if from, c, ok := s.Previous(stage, chunk); ok && h.Op == Forward {
						at := where[key{false, from, c, micro}]
						want = max(want, arrival(at, send(from, c, stage), hold(at)))
					}
					if from, c, ok := s.Next(stage, chunk); ok && (h.Op == Backward || h.Op == BackwardInput) {
						at := where[key{true, from, c, micro}]
						want = max(want, arrival(at, send(stage, chunk, from), hold(at)))
					}
				}
				if got := out.Start[stage][n]; got != want {
					t.Fatalf("%v, stage %d, action %d, %v: starts at %v, its stage and inputs are ready at %v", s, stage, n, a, got, want)
				}
				free = out.End[stage][n]
			}
		}
	})
}

// A longer action never shortens the step.
func TestMakespanGrowsWithEveryDuration(t *testing.T) {
	var p Pipeline
	var before, after Timeline
	rapid.Check(t, func(t *rapid.T) {
		s := drawShape(t)
		d := drawDurations(t, s)
		if err := p.Reset(s); err != nil {
			t.Fatal(err)
		}
		if err := p.Time(d, &before); err != nil {
			t.Fatal(err)
		}
		lists := [][]float64{d.Forward, d.Input, d.Weight, d.Send}
		list := rapid.SampledFrom(lists).Draw(t, "list")
		list[rapid.IntRange(0, len(list)-1).Draw(t, "index")] += 0.5
		if err := p.Time(d, &after); err != nil {
			t.Fatal(err)
		}
		if after.Makespan < before.Makespan {
			t.Fatalf("%v: makespan %v became %v", s, before.Makespan, after.Makespan)
		}
	})
}

func TestTimeAllocatesNothingWhenUsedAgain(t *testing.T) {
	for _, s := range []Shape{{OneFOneB, 8, 1, 32, 0}, {Interleaved, 4, 3, 16, 0}, {DualPipe, 8, 2, 32, 0}} {
		var p Pipeline
		if err := p.Reset(s); err != nil {
			t.Fatal(err)
		}
		d := NewDurations(s)
		var out Timeline
		run := func() {
			if err := p.Time(d, &out); err != nil {
				t.Fatal(err)
			}
		}
		run()
		if n := testing.AllocsPerRun(10, run); n != 0 {
			t.Errorf("%v: Time allocates %v times", s, n)
		}
	}
}
