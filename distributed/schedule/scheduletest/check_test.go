package scheduletest

import (
	"context"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/distributed/schedule"
)

// Two steps on many ranks leave the weights that two steps on one rank leave,
// bit for bit: for every schedule and ZeRO stage on a mesh that uses every axis.
func TestEveryScheduleAndZeroStage(t *testing.T) {
	for _, k := range schedule.Kinds() {
		for zero := range 4 {
			t.Run(fmt.Sprintf("%s/zero%d", k, zero), func(t *testing.T) {
				t.Parallel()
				s := spec(k)
				s.Zero = zero
				p, err := schedule.NewProgram(s)
				if err != nil {
					t.Fatal(err)
				}
				if err := Check(context.Background(), p); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// The same for any small spec.
func TestEverySpec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpec(t)
		p, err := schedule.NewProgram(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := Check(context.Background(), p); err != nil {
			t.Fatalf("%v, %v, split %v: %v", s.Shape(), s.Mesh, s.Split, err)
		}
	})
}

// Ranks hold as many microbatches between forward and backward as the closed
// form says.
func TestRanksHoldWhatTheScheduleSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpec(t)
		s.Mesh.TP, s.Mesh.CP, s.Mesh.DP, s.Mesh.EP, s.Mesh.ETP, s.Sequence = 1, 1, 1, 1, 1, false
		p, err := schedule.NewProgram(s)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Run(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		for stage, n := range r.InFlight {
			if want := s.Shape().PeakInFlight(stage); n != want {
				t.Fatalf("%v: stage %d holds %d, want %d", s.Shape(), stage, n, want)
			}
		}
	})
}

// Degrees that do not divide the toy model are refused.
func TestDegreesThatDoNotFit(t *testing.T) {
	s := spec(schedule.OneFOneB)
	s.Mesh.TP, s.Mesh.DP = 3, 4
	_, err := Run(context.Background(), program(t, s))
	if want := "scheduletest: tp is 3, must divide 4"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
