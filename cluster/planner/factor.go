package planner

import "slices"

// divisors returns the divisors of n that are at most limit, ascending.
func divisors(n, limit int) []int {
	var low, high []int
	for d := 1; d <= n/d; d++ {
		if n%d != 0 {
			continue
		}
		if d <= limit {
			low = append(low, d)
		}
		if e := n / d; e != d && e <= limit {
			high = append(high, e)
		}
	}
	slices.Reverse(high)
	return append(low, high...)
}

// wanted keeps the values that a wish list names; an empty list wishes for all.
func wanted(values, wish []int) []int {
	if len(wish) == 0 {
		return values
	}
	var out []int
	for _, v := range values {
		if slices.Contains(wish, v) {
			out = append(out, v)
		}
	}
	return out
}
