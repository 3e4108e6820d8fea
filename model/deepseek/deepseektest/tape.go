package deepseektest

import (
	"fmt"
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
