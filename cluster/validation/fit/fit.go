// Package fit finds the few constants of a model from measurements of it.
//
// A problem has parameters with a Gaussian prior each, and rows with one
// residual each: the logarithm of predicted over measured. The solver minimises
//
//	sum over rows of Weight * rho(residual / Noise)  +  sum over parameters of ((theta - Prior) / Sigma)^2 / 2
//
// where rho is the square near zero and grows only linearly far from it, so
// that a row that the model cannot explain bends nothing. The method is
// Levenberg-Marquardt on a Jacobian by differences, polished by a search along
// the axes for kinks. It is small, uses no randomness, and gives the same bits
// for the same input.
package fit

import (
	"fmt"
	"math"
)

// Parameter is one constant, in the scale in which its prior is Gaussian
// (for most, the logarithm of what the model uses).
type Parameter struct {
	Name         string
	Prior, Sigma float64
	Lower, Upper float64 // hard bounds; both 0: none
}

// Problem is a set of measurements and a model with parameters.
type Problem struct {
	Parameters []Parameter
	// Weight of each row: its number of independent observations, at most 1.
	Weight []float64
	// Noise is the residual that is expected of a row, and the size from which
	// a residual counts as an outlier.
	Noise float64
	// Residuals sets out[i] to the residual of row rows[i] under theta.
	Residuals func(theta []float64, rows []int, out []float64) error
	// Affects reports whether a parameter can change a row at all; nil means
	// that each can. It only saves work.
	Affects func(parameter, row int) bool
}

// Result is a fitted problem.
type Result struct {
	Theta      []float64
	StdErr     []float64   // of the posterior; equal to Sigma where the rows say nothing
	Covariance [][]float64 // posterior
	Residuals  []float64   // of every row of the problem, fitted or not
	Jacobian   [][]float64 // row by row, at Theta
	Loss       float64
	Start      float64 // the loss before
	Iterations int
}

// Learned is the share of a parameter's prior variance that the rows removed:
// 0 where they say nothing about it, near 1 where they determine it.
func (r *Result) Learned(p *Problem, parameter int) float64 {
	sigma := p.Parameters[parameter].Sigma
	return math.Max(0, 1-float64(r.StdErr[parameter]*r.StdErr[parameter])/float64(sigma*sigma))
}

// Check reports what makes a problem unsolvable.
func (p *Problem) Check() error {
	if len(p.Weight) == 0 {
		return fmt.Errorf("fit: no rows")
	}
	if p.Noise <= 0 || math.IsNaN(p.Noise) {
		return fmt.Errorf("fit: noise %v, want above 0", p.Noise)
	}
	for i, w := range p.Weight {
		if w < 0 || math.IsNaN(w) || math.IsInf(w, 0) {
			return fmt.Errorf("fit: weight of row %d is %v, want 0 or more", i, w)
		}
	}
	for _, q := range p.Parameters {
		if !(q.Sigma > 0) || math.IsInf(q.Sigma, 0) || math.IsNaN(q.Prior) {
			return fmt.Errorf("fit: %s: prior %v with sigma %v, want a finite prior and a sigma above 0", q.Name, q.Prior, q.Sigma)
		}
		if q.bounded() && !(q.Lower < q.Upper) {
			return fmt.Errorf("fit: %s: bounds %v to %v, want lower below upper", q.Name, q.Lower, q.Upper)
		}
	}
	return nil
}

func (q *Parameter) bounded() bool { return q.Lower != 0 || q.Upper != 0 }

// clamp brings x inside the bounds.
func (q *Parameter) clamp(x float64) float64 {
	if !q.bounded() {
		return x
	}
	return math.Min(math.Max(x, q.Lower), q.Upper)
}

// rho is the pseudo-Huber loss of r in units of noise, and its weight
// rho'(z)/z, by which a step of least squares sees the row.
func rho(r, noise float64) (loss, weight float64) {
	z := r / noise
	root := math.Sqrt(1 + float64(z*z))
	return root - 1, 1 / root
}

// loss is the objective for residuals at theta.
func (p *Problem) loss(theta, residuals []float64) float64 {
	sum := 0.0
	for i, r := range residuals {
		if p.Weight[i] > 0 {
			l, _ := rho(r, p.Noise)
			sum += float64(p.Weight[i] * l)
		}
	}
	for i, q := range p.Parameters {
		z := (theta[i] - q.Prior) / q.Sigma
		sum += float64(z*z) / 2
	}
	return sum
}

// Priors returns the prior of each parameter: where a fit starts by default.
func (p *Problem) Priors() []float64 {
	theta := make([]float64, len(p.Parameters))
	for i, q := range p.Parameters {
		theta[i] = q.Prior
	}
	return theta
}
