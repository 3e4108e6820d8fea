package fit

import (
	"math"
	"testing"
)

// line is a problem with a known answer: residual = a + b x - y, where y was
// made with a = 0.3, b = -0.2; outliers are far away.
func lineProblem(outliers int) *Problem {
	var xs, ys, ws []float64
	for i := 0; i < 40; i++ {
		x := float64(i)/20 - 1
		y := 0.3 - float64(0.2*x) + float64(0.01*math.Sin(float64(7*i)))
		if i < outliers {
			y += 3
		}
		xs, ys, ws = append(xs, x), append(ys, y), append(ws, 1)
	}
	return &Problem{
		Parameters: []Parameter{{Name: "a", Sigma: 1}, {Name: "b", Sigma: 1}, {Name: "unused", Prior: 0.7, Sigma: 0.25}},
		Weight:     ws, Noise: 0.02,
		Residuals: func(theta []float64, rows []int, out []float64) error {
			for k, i := range rows {
				out[k] = theta[0] + float64(theta[1]*xs[i]) - ys[i]
			}
			return nil
		},
		Affects: func(p, _ int) bool { return p < 2 },
	}
}

func TestMinimiseFindsTheLine(t *testing.T) {
	for _, outliers := range []int{0, 6} {
		p := lineProblem(outliers)
		r, err := Minimise(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(r.Theta[0]-0.3) > 0.01 || math.Abs(r.Theta[1]+0.2) > 0.02 {
			t.Errorf("%d outliers: theta %v, want 0.3 and -0.2", outliers, r.Theta)
		}
		if r.Theta[2] != 0.7 || math.Abs(r.StdErr[2]-0.25) > 1e-9 || r.Learned(p, 2) > 1e-9 {
			t.Errorf("a parameter without rows moved: %v +- %v", r.Theta[2], r.StdErr[2])
		}
		if r.StdErr[0] > 0.01 || r.Learned(p, 0) < 0.99 {
			t.Errorf("standard error %v of a well determined parameter", r.StdErr[0])
		}
		if r.Loss >= r.Start {
			t.Errorf("loss %v did not fall from %v", r.Loss, r.Start)
		}
	}
}

func TestMinimiseRespectsBoundsAndPriors(t *testing.T) {
	p := lineProblem(0)
	p.Parameters[0].Lower, p.Parameters[0].Upper = -1, 0.1
	r, err := Minimise(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Theta[0] > 0.1 {
		t.Errorf("theta %v above its bound 0.1", r.Theta[0])
	}
	p = lineProblem(0)
	p.Parameters[0].Sigma = 1e-4
	if r, err = Minimise(p, nil); err != nil || math.Abs(r.Theta[0]) > 0.05 {
		t.Errorf("theta %v under a prior of 0 with sigma 1e-4 (%v)", r.Theta, err)
	}
}

// TestMinimiseLeapsOverAFlat gives a parameter that matters only beyond 1.
func TestMinimiseLeapsOverAFlat(t *testing.T) {
	p := &Problem{
		Parameters: []Parameter{{Name: "floor", Sigma: 0.8}},
		Weight:     []float64{1, 1, 1}, Noise: 0.02,
		Residuals: func(theta []float64, rows []int, out []float64) error {
			for k := range rows {
				out[k] = math.Max(1, theta[0]) - 1.5
			}
			return nil
		},
	}
	r, err := Minimise(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(r.Theta[0]-1.5) > 0.02 || r.Loss >= r.Start {
		t.Errorf("theta %v with a loss of %v from %v, want 1.5", r.Theta, r.Loss, r.Start)
	}
}

func TestMinimiseIsDeterministic(t *testing.T) {
	a, err := Minimise(lineProblem(3), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := Minimise(lineProblem(3), nil)
	for i := range a.Theta {
		if a.Theta[i] != b.Theta[i] || a.StdErr[i] != b.StdErr[i] {
			t.Fatalf("two fits differ: %v and %v", a.Theta, b.Theta)
		}
	}
}

func TestMinimiseRefusesBadProblems(t *testing.T) {
	for name, spoil := range map[string]func(*Problem){
		"no rows":  func(p *Problem) { p.Weight = nil },
		"noise":    func(p *Problem) { p.Noise = 0 },
		"weight":   func(p *Problem) { p.Weight[3] = math.NaN() },
		"sigma":    func(p *Problem) { p.Parameters[1].Sigma = 0 },
		"bounds":   func(p *Problem) { p.Parameters[1].Lower, p.Parameters[1].Upper = 2, 1 },
		"residual": func(p *Problem) { p.Parameters[1].Prior = math.Inf(1) },
	} {
		p := lineProblem(0)
		spoil(p)
		if _, err := Minimise(p, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestLeaveOutPredictsWithoutTheGroup(t *testing.T) {
	p := lineProblem(0)
	base := p.Residuals
	group := make([]int, len(p.Weight))
	for i := range group {
		group[i] = i % 4
	}
	// Group 2 is 0.5 off: only a fit without it can show that.
	p.Residuals = func(theta []float64, rows []int, out []float64) error {
		if err := base(theta, rows, out); err != nil {
			return err
		}
		for k, i := range rows {
			if group[i] == 2 {
				out[k] += 0.5
			}
		}
		return nil
	}
	full, err := Minimise(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	folds, err := LeaveOut(p, full, group)
	if err != nil {
		t.Fatal(err)
	}
	if len(folds) != 4 || len(folds[2].Rows) != 10 {
		t.Fatalf("folds %+v", folds)
	}
	if m := Median(folds[2].Residuals); math.Abs(m-0.5) > 0.02 {
		t.Errorf("median residual of the odd group %v, want 0.5", m)
	}
}

func TestSpreadSeparatesGroupsFromRows(t *testing.T) {
	var rs []float64
	var group []int
	for g, center := range []float64{-0.1, 0.1, 0.1, -0.1} {
		for i := 0; i < 41; i++ {
			rs = append(rs, center+float64(0.03*math.Sqrt2*math.Sin(float64(i))))
			group = append(group, g)
		}
	}
	s := NewSpread(rs, group)
	if math.Abs(s.Group-0.1) > 0.01 || s.Row < 0.02 || s.Row > 0.06 {
		t.Errorf("spread %+v, want 0.1 between and about 0.03 to 0.05 inside", s)
	}
}

func TestQuantiles(t *testing.T) {
	xs := []float64{4, 1, 3, 2}
	if got := Median(xs); got != 2.5 {
		t.Errorf("median %v, want 2.5", got)
	}
	if got := Quantile(xs, 1); got != 4 {
		t.Errorf("maximum %v, want 4", got)
	}
	if got := WeightedQuantile(xs, []float64{1, 1, 1, 97}, 0.9); got != 2 {
		t.Errorf("weighted quantile %v, want 2, which has nearly all the weight", got)
	}
}
