package deepseektest

import "math"

var infinity = math.Inf(1)

// Choices are the discrete decisions of one evaluation. An evaluation that replays them stays on the same smooth piece of the
// function, whatever its inputs: that piece has the same derivative at the point where the choices were made.
type Choices struct {
	// TopK lists, per site, the indices that each token chose: compressed entries under the attention's prefix, experts under
	// the router weight's name, groups under that name with "/groups". Segments follow one another.
	TopK map[string][][]int
	// Sides has one entry per ReLU or clamp in order: for each element -1 below, 0 inside, +1 above the limits.
	Sides [][]int8
}

// Kink is the smallest distance seen between an input of a ReLU or clamp and the point where its derivative jumps.
func (t *Tape) Kink() float64 { return t.kink }

// ReLU is max(x, 0), with derivative 0 at 0.
func (t *Tape) ReLU(x *Tensor) *Tensor { return t.limit(x, 0, infinity) }

// Clamp limits x to [lo, hi]; the gradient passes where lo <= x <= hi.
func (t *Tape) Clamp(x *Tensor, lo, hi float64) *Tensor { return t.limit(x, lo, hi) }

func (t *Tape) limit(x *Tensor, lo, hi float64) *Tensor {
	sides := make([]int8, len(x.Data))
	if t.replay != nil {
		copy(sides, t.replay[len(t.sides)])
	} else {
		for i, v := range x.Data {
			t.kink = min(t.kink, math.Abs(v-lo), math.Abs(v-hi))
			if v < lo || (lo == 0 && v == 0) {
				sides[i] = -1
			} else if v > hi {
				sides[i] = 1
			}
		}
	}
	t.sides = append(t.sides, sides)
	y := make([]float64, len(x.Data))
	for i, v := range x.Data {
		y[i] = [3]float64{lo, v, hi}[sides[i]+1]
	}
	return t.node(x.Shape, y, func(dy []float64) {
		dx := x.grad()
		for i := range dy {
			if sides[i] == 0 {
				dx[i] += dy[i]
			}
		}
	}, x)
}

// topK returns the k largest of score in ascending index order, ties to the lower index, and the gap between the last one
// taken and the first one left (infinite when nothing is left). Entries of -Inf are never taken.
func topK(score []float64, k int) (picked []int, gap float64) {
	taken := make([]bool, len(score))
	last := infinity
	for range k {
		best := -1
		for i, v := range score {
			if !taken[i] && !math.IsInf(v, -1) && (best < 0 || v > score[best]) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		taken[best], last = true, score[best]
	}
	gap = infinity
	for i, v := range score {
		if taken[i] {
			picked = append(picked, i)
		} else if !math.IsInf(v, -1) {
			gap = min(gap, last-v)
		}
	}
	return picked, gap
}
