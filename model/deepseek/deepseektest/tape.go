package deepseektest

import (
	"fmt"
	"math"
	"slices"
)

// Tensor is a dense row-major array of float64 on a tape. Grad has the length of Data once a gradient has reached it.
type Tensor struct {
	Shape []int
	Data  []float64
	Grad  []float64
	back  func(dy []float64) // adds this node's contribution to the gradients of its inputs; nil for constants and leaves
	leaf  bool
	track bool // whether a gradient may flow into or through this tensor
}

// Dim is the size of axis i; negative i counts from the last axis.
func (x *Tensor) Dim(i int) int {
	if i < 0 {
		i += len(x.Shape)
	}
	return x.Shape[i]
}

// Tape records operations in the order they run; Backward replays them in reverse.
type Tape struct {
	nodes  []*Tensor
	sides  [][]int8 // of every ReLU and clamp so far
	replay [][]int8 // taken instead of comparing, when set
	kink   float64  // smallest distance of an input from the kink of a ReLU or clamp
}

// NewTape returns an empty tape.
func NewTape() *Tape { return &Tape{kink: infinity} }

// Input is a leaf whose gradient is wanted.
func (t *Tape) Input(data []float64, shape ...int) *Tensor {
	x := t.Const(data, shape...)
	x.leaf, x.track = true, true
	return x
}

// Const is a value through which no gradient flows.
func (t *Tape) Const(data []float64, shape ...int) *Tensor {
	if n := product(shape); n != len(data) {
		panic(fmt.Sprintf("deepseektest: %d values for shape %v, want %d", len(data), shape, n))
	}
	return &Tensor{Shape: slices.Clone(shape), Data: data}
}

// Detach is the value of x with no path back to it (a stop-gradient).
func (t *Tape) Detach(x *Tensor) *Tensor { return &Tensor{Shape: x.Shape, Data: x.Data} }

// node makes the result of an operation on inputs; back is dropped when no input wants a gradient.
func (t *Tape) node(shape []int, data []float64, back func(dy []float64), inputs ...*Tensor) *Tensor {
	y := &Tensor{Shape: slices.Clone(shape), Data: data}
	for _, x := range inputs {
		if x.track {
			y.track, y.back = true, back
			t.nodes = append(t.nodes, y)
			break
		}
	}
	return y
}

// grad returns the buffer into which contributions to x are added, or nil when x wants none.
func (x *Tensor) grad() []float64 {
	if !x.track {
		return nil
	}
	if x.Grad == nil {
		x.Grad = make([]float64, len(x.Data))
	}
	return x.Grad
}

// Backward adds to the Grad of every leaf the derivative of the scalar loss. It may be called once per tape.
func (t *Tape) Backward(loss *Tensor) {
	if len(loss.Data) != 1 {
		panic(fmt.Sprintf("deepseektest: backward from shape %v, want one value", loss.Shape))
	}
	if !loss.track {
		return
	}
	loss.grad()[0] = 1
	for i := len(t.nodes) - 1; i >= 0; i-- {
		y := t.nodes[i]
		if y.Grad != nil {
			y.back(y.Grad)
		}
	}
	t.nodes = nil
}

func product(shape []int) int {
	n := 1
	for _, s := range shape {
		n *= s
	}
	return n
}

// strides of a row-major array of this shape.
func strides(shape []int) []int {
	st := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		st[i] = n
		n *= shape[i]
	}
	return st
}

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
