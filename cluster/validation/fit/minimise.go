package fit

import (
	"fmt"
	"math"
	"slices"
)

// maxIterations bounds the accepted steps; a well-posed problem needs ten.
const maxIterations = 40

// small is the share of the loss below which a gain does not count.
const small = 1e-3

// solver is the state of one minimisation.
type solver struct {
	*Problem
	theta     []float64
	residuals []float64
	loss      float64
	jacobian  [][]float64
	all       []int
}

// Minimise fits the problem, starting at start (nil: the priors). When it has
// converged, it moves each parameter far, alone, and goes on from there if that
// is better: a parameter that only matters beyond a threshold has no slope on
// this side of it.
func Minimise(p *Problem, start []float64) (*Result, error) {
	s, err := newSolver(p, start)
	if err != nil {
		return nil, err
	}
	first := s.loss
	for round := 0; ; round++ {
		r, err := s.run(maxIterations)
		if err != nil || round == maxRounds {
			return r, err
		}
		r.Start = first
		moved, err := s.leap()
		if err != nil || !moved {
			return r, err
		}
	}
}

// maxRounds bounds how often a converged fit is left for a distant point.
const maxRounds = 4

// leap moves the one parameter whose move by one and a half standard deviations
// of its prior lowers the loss most.
func (s *solver) leap() (bool, error) {
	var best []float64
	least := s.loss - 0.01
	out := make([]float64, len(s.all))
	for j, q := range s.Parameters {
		for _, h := range []float64{-1.5, 1.5} {
			next := slices.Clone(s.theta)
			next[j] = q.clamp(next[j] + float64(h*q.Sigma))
			if err := s.Problem.Residuals(next, s.all, out); err != nil {
				return false, err
			}
			if loss := s.Problem.loss(next, out); loss < least {
				least, best = loss, next
			}
		}
	}
	if best == nil {
		return false, nil
	}
	return s.try(best)
}

// newSolver evaluates the starting point.
func newSolver(p *Problem, start []float64) (*solver, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if start == nil {
		start = p.Priors()
	}
	s := &solver{Problem: p, theta: slices.Clone(start), residuals: make([]float64, len(p.Weight))}
	for i := range s.theta {
		s.theta[i] = p.Parameters[i].clamp(s.theta[i])
	}
	for i := range p.Weight {
		s.all = append(s.all, i)
	}
	if err := p.Residuals(s.theta, s.all, s.residuals); err != nil {
		return nil, err
	}
	for i, r := range s.residuals {
		if math.IsNaN(r) || math.IsInf(r, 0) {
			return nil, fmt.Errorf("fit: the residual of row %d is %v at the start", i, r)
		}
	}
	s.loss = p.loss(s.theta, s.residuals)
	return s, nil
}

// run iterates to a minimum and describes it.
func (s *solver) run(iterations int) (*Result, error) {
	first := s.loss
	damping, n := 1e-3, 0
	for ; n < iterations; n++ {
		if err := s.differentiate(); err != nil {
			return nil, err
		}
		before := s.loss
		if _, err := s.descend(&damping); err != nil {
			return nil, err
		}
		if before-s.loss < small*(1+before) {
			damping = 1e-3
			if _, err := s.poll(); err != nil {
				return nil, err
			}
		}
		if before-s.loss < small*(1+before) {
			break
		}
	}
	if err := s.differentiate(); err != nil {
		return nil, err
	}
	cov := s.covariance()
	r := &Result{
		Theta: s.theta, Covariance: cov, Residuals: s.residuals, Jacobian: s.jacobian,
		Loss: s.loss, Start: first, Iterations: n,
	}
	for i := range cov {
		r.StdErr = append(r.StdErr, math.Sqrt(cov[i][i]))
	}
	return r, nil
}

// differentiate fills the Jacobian by central differences. The step is a tenth
// of the prior's width: a step's duration is made of maxima, and a slope across
// a kink says more than the slope on one side of it.
func (s *solver) differentiate() error {
	if s.jacobian == nil {
		s.jacobian = make([][]float64, len(s.all))
		for i := range s.jacobian {
			s.jacobian[i] = make([]float64, len(s.theta))
		}
	}
	moved := slices.Clone(s.theta)
	up, down := make([]float64, len(s.all)), make([]float64, len(s.all))
	for j := range s.Parameters {
		rows := s.affected(j)
		h := 0.1 * s.Parameters[j].Sigma
		above, below := s.Parameters[j].clamp(s.theta[j]+h), s.Parameters[j].clamp(s.theta[j]-h)
		moved[j] = above
		if err := s.Problem.Residuals(moved, rows, up[:len(rows)]); err != nil {
			return err
		}
		moved[j] = below
		if err := s.Problem.Residuals(moved, rows, down[:len(rows)]); err != nil {
			return err
		}
		for k, i := range rows {
			s.jacobian[i][j] = (up[k] - down[k]) / (above - below)
		}
		moved[j] = s.theta[j]
	}
	return nil
}

// affected lists the rows that parameter j can change.
func (s *solver) affected(j int) []int {
	if s.Affects == nil {
		return s.all
	}
	var rows []int
	for _, i := range s.all {
		if s.Affects(j, i) {
			rows = append(rows, i)
		}
	}
	return rows
}

// normal builds the matrix and the gradient of the weighted least squares.
func (s *solver) normal() (a [][]float64, g []float64) {
	n := len(s.theta)
	a, g = make([][]float64, n), make([]float64, n)
	for j, q := range s.Parameters {
		a[j] = make([]float64, n)
		a[j][j] = 1 / float64(q.Sigma*q.Sigma)
		g[j] = (s.theta[j] - q.Prior) / float64(q.Sigma*q.Sigma)
	}
	for i, row := range s.jacobian {
		if s.Weight[i] == 0 {
			continue
		}
		_, w := rho(s.residuals[i], s.Noise)
		w *= s.Weight[i] / float64(s.Noise*s.Noise)
		for j, x := range row {
			if x == 0 {
				continue
			}
			g[j] += float64(w * x * s.residuals[i])
			for k := 0; k <= j; k++ {
				a[j][k] += float64(w * x * row[k])
			}
		}
	}
	for j := range a {
		for k := 0; k < j; k++ {
			a[k][j] = a[j][k]
		}
	}
	return a, g
}

// descend steps with one Jacobian as long as that pays: a step costs one
// evaluation, a Jacobian one for each parameter.
func (s *solver) descend(damping *float64) (bool, error) {
	moved := false
	for n := 0; n < 6; n++ {
		before := s.loss
		better, err := s.step(damping)
		if err != nil || !better {
			return moved, err
		}
		moved = true
		if before-s.loss < small*(1+before) {
			break
		}
	}
	return moved, nil
}

// step tries damped steps until one lowers the loss.
func (s *solver) step(damping *float64) (bool, error) {
	a, g := s.normal()
	for try := 0; try < 8; try++ {
		m := make([][]float64, len(a))
		for i := range a {
			m[i] = slices.Clone(a[i])
			m[i][i] *= 1 + *damping
		}
		delta, ok := solve(m, g)
		if ok {
			next := slices.Clone(s.theta)
			for i := range next {
				next[i] = s.Parameters[i].clamp(next[i] - delta[i])
			}
			if better, err := s.try(next); err != nil || better {
				*damping = math.Max(*damping/5, 1e-6)
				return better, err
			}
		}
		*damping *= 6
	}
	return false, nil
}

// try moves to next if the loss is lower there.
func (s *solver) try(next []float64) (bool, error) {
	out := make([]float64, len(s.all))
	if err := s.Problem.Residuals(next, s.all, out); err != nil {
		return false, err
	}
	loss := s.Problem.loss(next, out)
	if !(loss < s.loss) {
		return false, nil
	}
	s.theta, s.residuals, s.loss = next, out, loss
	return true, nil
}

// poll tries each parameter alone, in both directions, for the kinks that a
// maximum of several times puts into a step's duration.
func (s *solver) poll() (bool, error) {
	moved := false
	for j, q := range s.Parameters {
		for _, h := range []float64{0.3, -0.3, 0.1, -0.1, 0.03, -0.03} {
			next := slices.Clone(s.theta)
			next[j] = q.clamp(next[j] + float64(h*q.Sigma))
			better, err := s.try(next)
			if err != nil {
				return moved, err
			}
			if better {
				moved = true
				break
			}
		}
	}
	return moved, nil
}
