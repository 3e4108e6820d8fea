package fit

import (
	"fmt"
	"math"
)

// Fold is what a fit without one group of rows says about that group.
type Fold struct {
	Group     int
	Rows      []int
	Theta     []float64
	Residuals []float64 // of Rows, under Theta
	Deviation []float64 // of Rows: what the uncertainty of Theta alone makes of the prediction
}

// foldJacobians bounds the Jacobians of a fold beside that of the fit of all
// rows.
const foldJacobians = 2

// LeaveOut refits the problem without each group in turn, starting from the
// fit of all rows, and predicts the group. group[i] is the group of row i. The
// fit of all rows is close: a fold first steps with its Jacobian, then with some
// of its own.
func LeaveOut(p *Problem, full *Result, group []int) ([]Fold, error) {
	if len(group) != len(p.Weight) {
		return nil, fmt.Errorf("fit: %d groups for %d rows", len(group), len(p.Weight))
	}
	groups := 0
	for _, g := range group {
		groups = max(groups, g+1)
	}
	folds := make([]Fold, 0, groups)
	for g := 0; g < groups; g++ {
		f, err := leaveOne(p, full, group, g)
		if err != nil {
			return nil, err
		}
		folds = append(folds, f)
	}
	return folds, nil
}

// leaveOne refits without group g.
func leaveOne(p *Problem, full *Result, group []int, g int) (Fold, error) {
	f := Fold{Group: g}
	rest := *p
	rest.Weight = make([]float64, len(p.Weight))
	for i, w := range p.Weight {
		if group[i] == g {
			f.Rows = append(f.Rows, i)
			continue
		}
		rest.Weight[i] = w
	}
	// What does not move a row at the fit of all rows does not move it nearby.
	rest.Affects = func(parameter, row int) bool { return full.Jacobian[row][parameter] != 0 }
	s, err := newSolver(&rest, full.Theta)
	if err != nil {
		return f, err
	}
	s.jacobian = full.Jacobian
	for n := 0; ; n++ {
		before, damping := s.loss, 1e-3
		if _, err := s.descend(&damping); err != nil {
			return f, err
		}
		if n == foldJacobians || n > 0 && before-s.loss < 1e-3*(1+before) {
			break
		}
		s.jacobian = nil
		if err := s.differentiate(); err != nil {
			return f, err
		}
	}
	r := &Result{Theta: s.theta, Residuals: s.residuals, Jacobian: s.jacobian, Covariance: s.covariance()}
	f.Theta = r.Theta
	for _, i := range f.Rows {
		f.Residuals = append(f.Residuals, r.Residuals[i])
		f.Deviation = append(f.Deviation, r.Deviation(i))
	}
	return f, nil
}

// Deviation is the standard deviation of row i's residual that comes from the
// uncertainty of the parameters.
func (r *Result) Deviation(i int) float64 {
	sum := 0.0
	for j, x := range r.Jacobian[i] {
		for k, y := range r.Jacobian[i] {
			sum += float64(x * y * r.Covariance[j][k])
		}
	}
	return math.Sqrt(math.Max(0, sum))
}
