package optim

import (
	"math"
	"strings"
	"testing"
)

func TestSchedules(t *testing.T) {
	const steps = 100
	wsd := LRSchedule{Name: "wsd", Peak: 1, Final: 0.1, Warmup: 10, Decay: 20}
	cos := LRSchedule{Name: "cosine", Peak: 2, Final: 0.2, Warmup: 4}
	lin := LRSchedule{Name: "linear", Peak: 1}
	flat := LRSchedule{Name: "constant", Peak: 3, Warmup: 2}
	for _, c := range []struct {
		s    LRSchedule
		step int64
		want float64
	}{
		{wsd, 0, 0.1},
		{wsd, 9, 1},
		{wsd, 79, 1},
		{wsd, 80, 1},
		{wsd, 99, 0.1},
		{cos, 3, 2},
		{cos, 4, 2},
		{cos, 4 + 95, 0.2},
		{cos, 4 + 19, 0.2 + 1.8*0.5*(1+math.Cos(math.Pi*19/95))},
		{lin, 0, 1},
		{lin, 99, 0},
		{lin, 33, 1 - 33.0/99},
		{flat, 0, 1.5},
		{flat, 99, 3},
	} {
		if err := c.s.Check(steps); err != nil {
			t.Errorf("%v: %v", c.s, err)
		}
		if got := c.s.At(c.step, steps); math.Abs(got-c.want) > 1e-15*(1+c.want) {
			t.Errorf("%s at step %d = %v, want %v", c.s.Name, c.step, got, c.want)
		}
	}
}

func TestCosineMatches(t *testing.T) {
	for i := range 1001 {
		y := float64(i) / 1000 * math.Pi / 2
		if got, want := cosine(y), math.Cos(y); math.Abs(got-want) > 4e-16 {
			t.Fatalf("cosine(%v) = %v, want %v", y, got, want)
		}
	}
}

func TestBadSchedulesAreRefused(t *testing.T) {
	for field, s := range map[string]LRSchedule{
		"lr.name":   {Name: "step", Peak: 1},
		"lr.peak":   {Name: "constant", Peak: math.NaN()},
		"lr.final":  {Name: "cosine", Peak: 1, Final: 2},
		"lr.warmup": {Name: "cosine", Peak: 1, Warmup: 101},
		"lr.decay":  {Name: "wsd", Peak: 1, Warmup: 90, Decay: 20},
	} {
		if err := s.Check(100); err == nil || !strings.HasPrefix(err.Error(), field+":") {
			t.Errorf("%+v: error %v does not begin with %s", s, err, field)
		}
	}
}
