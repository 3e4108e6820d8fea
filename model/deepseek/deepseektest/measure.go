package deepseektest

import (
	"math"
)

// Compare is the largest difference between two arrays and the root of the summed squared differences relative to want's
// norm: the second is the number to hold against a bound, as it does not depend on the size of single elements.
func Compare(got []float32, want []float64) (worst, relative float64) {
	var diff, norm float64
	for i, w := range want {
		e := float64(got[i]) - w
		worst = math.Max(worst, math.Abs(e))
		diff += float64(e * e)
		norm += float64(w * w)
	}
	if norm == 0 {
		return worst, math.Sqrt(diff)
	}
	return worst, math.Sqrt(diff / norm)
}

// Derivative is f'(0) by central differences at steps h, h/2 and h/4, extrapolated twice (Richardson): each extrapolation
// cancels the next even power of the step. The bound adds what is left of the truncation error, no more than the change made
// by the last extrapolation, and the rounding of f itself, ulps units in the last place of its value divided by the smallest
// step and multiplied by 4, above the sum of the extrapolation's weights (64+20+1)/45 < 2 times the two evaluations.
func Derivative(f func(x float64) float64, h, ulps float64) (value, bound float64) {
	size := 0.0
	central := func(h float64) float64 {
		a, b := f(h), f(-h)
		size = math.Max(size, math.Max(math.Abs(a), math.Abs(b)))
		return (a - b) / (2 * h)
	}
	d0, d1, d2 := central(h), central(h/2), central(h/4)
	r0, r1 := d1+(d1-d0)/3, d2+(d2-d1)/3
	value = r1 + (r1-r0)/15
	const epsilon = 1.0 / (1 << 52)
	return value, math.Abs(value-r1) + 4*ulps*epsilon*size/(h/4)
}
