package grpo

import (
	"fmt"
	"math"
)

// Advantages returns how much better each answer of one group is than its mean:
// (r - mean)/(std + 1e-6) with the unbiased standard deviation, or without the
// division if Normalise is "none". A group of one has its reward as advantage,
// and equal rewards give zeros. Rewards are added in their order.
func (c *Config) Advantages(rewards []float64) ([]float64, error) {
	a := make([]float64, len(rewards))
	mean := 0.0
	for i, r := range rewards {
		if r-r != 0 {
			return nil, fmt.Errorf("reward %d of %d is %v: a sample without a reward must be left out of its group", i, len(rewards), r)
		}
		mean += r
	}
	if len(rewards) == 1 {
		a[0] = rewards[0]
		return a, nil
	}
	mean /= float64(len(rewards))
	sum := 0.0
	for i, r := range rewards {
		a[i] = r - mean
		sum += float64(a[i] * a[i])
	}
	if Flat(rewards) {
		clear(a) // the mean of equal numbers may be rounded
		return a, nil
	}
	if c.Normalise == "group" {
		std := math.Sqrt(sum/float64(len(rewards)-1)) + 1e-6
		for i := range a {
			a[i] /= std
		}
	}
	return a, nil
}

// Flat reports whether a group teaches nothing: all rewards are equal. A group
// of one is never flat: its advantage is its reward.
func Flat(rewards []float64) bool {
	for _, r := range rewards[min(1, len(rewards)):] {
		if r != rewards[0] {
			return false
		}
	}
	return len(rewards) > 1
}
