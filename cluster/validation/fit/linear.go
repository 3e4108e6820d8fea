package fit

import "math"

// covariance is the inverse of the normal matrix at the current point.
func (s *solver) covariance() [][]float64 {
	a, _ := s.normal()
	return inverse(a)
}

// inverse inverts a symmetric positive definite matrix. The priors make every
// normal matrix one, so a failure can only be an overflow; it gives NaN.
func inverse(a [][]float64) [][]float64 {
	n := len(a)
	out := make([][]float64, n)
	for i := range out {
		out[i] = make([]float64, n)
	}
	l, ok := cholesky(a)
	e := make([]float64, n)
	for j := 0; j < n; j++ {
		if !ok {
			for i := range out {
				out[i][j] = math.NaN()
			}
			continue
		}
		clear(e)
		e[j] = 1
		x := substitute(l, e)
		for i := range x {
			out[i][j] = x[i]
		}
	}
	return out
}

// solve returns x with a x = b for a symmetric positive definite a.
func solve(a [][]float64, b []float64) ([]float64, bool) {
	l, ok := cholesky(a)
	if !ok {
		return nil, false
	}
	return substitute(l, b), true
}

// cholesky returns the lower factor of a, or false if a is not positive definite.
func cholesky(a [][]float64) ([][]float64, bool) {
	n := len(a)
	l := make([][]float64, n)
	for i := range l {
		l[i] = make([]float64, n)
		for j := 0; j <= i; j++ {
			sum := a[i][j]
			for k := 0; k < j; k++ {
				sum -= float64(l[i][k] * l[j][k])
			}
			if i != j {
				l[i][j] = sum / l[j][j]
				continue
			}
			if !(sum > 0) || math.IsInf(sum, 0) {
				return nil, false
			}
			l[i][i] = math.Sqrt(sum)
		}
	}
	return l, true
}

// substitute solves l lᵀ x = b.
func substitute(l [][]float64, b []float64) []float64 {
	n := len(l)
	x := make([]float64, n)
	for i := 0; i < n; i++ {
		sum := b[i]
		for k := 0; k < i; k++ {
			sum -= float64(l[i][k] * x[k])
		}
		x[i] = sum / l[i][i]
	}
	for i := n - 1; i >= 0; i-- {
		sum := x[i]
		for k := i + 1; k < n; k++ {
			sum -= float64(l[k][i] * x[k])
		}
		x[i] = sum / l[i][i]
	}
	return x
}
