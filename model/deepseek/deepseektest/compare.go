package deepseektest

import "math"

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
