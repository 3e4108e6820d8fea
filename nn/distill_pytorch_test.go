package nn

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// distillGolden is testdata/distill.json: make_distill.py says what is in it.
type distillGolden struct {
	Vocab         int
	X, W, Entropy []float32
	Labels        []int32
	Widths        []int
	Heads, States [][]float32
	Lessons       []struct {
		Teacher []int32
		Weight  []float32
	}
	Cases []struct {
		Kind      string
		Beta      float32
		K         int
		Objective float64
		Values    [][]float64
		Dx, Dw    []float64
	}
}

// TestDistillMatchesPyTorch holds values and gradients to autograd's, in float64.
func TestDistillMatchesPyTorch(t *testing.T) {
	text, err := os.ReadFile("testdata/distill.json")
	if err != nil {
		t.Fatal(err)
	}
	var g distillGolden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	rows := len(g.Labels)
	width := len(g.X) / rows
	for _, c := range g.Cases {
		d := &Distillation{States: g.States}
		for d.Kind.String() != c.Kind {
			d.Kind++
		}
		d.Beta, d.K = c.Beta, c.K
		for j, n := range g.Widths {
			d.Teachers = append(d.Teachers, Teacher{Name: "teacher", Linear: Linear{Weight: Weight{Data: g.Heads[j]}, In: n, Out: g.Vocab}})
		}
		for _, l := range g.Lessons {
			lesson := Lesson{Teacher: l.Teacher, Coef: l.Weight, State: make([]int32, rows)}
			for i := range rows {
				lesson.State[i] = int32(i)
			}
			d.Lessons = append(d.Lessons, lesson)
		}
		if err := d.Check(g.Vocab, rows); err != nil {
			t.Fatal(err)
		}
		for _, limit := range []int{0, 900} {
			h := &Head{Linear: Linear{Weight: Weight{Data: g.W, Grad: make([]float32, len(g.W))}, In: width, Out: g.Vocab}, MaxLogits: limit}
			out, dx := newDistilled(rows, len(d.Lessons)), make([]float32, len(g.X))
			h.Distill(&out, dx, g.X, g.Labels, g.Entropy, rows, d, &Pass{Arena: NewArena()})
			for k, want := range c.Values {
				near(t, c.Kind+" values", out.Divergences[k], want)
			}
			near(t, c.Kind+" dx", dx, c.Dx)
			near(t, c.Kind+" dw", h.Grad, c.Dw)
		}
	}
}

// near allows for the roundings of about sixty terms of a few units each.
func near(t *testing.T, what string, got []float32, want []float64) {
	t.Helper()
	for i, w := range want {
		if math.Abs(float64(got[i])-w) > 64*0x1p-24*(1+math.Abs(w)) {
			t.Errorf("%s: %d is %g, want %g", what, i, got[i], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d numbers, want %d", what, len(got), len(want))
	}
}
