package deepseektest

import (
	"fmt"
	"math"
	"strconv"

	"github.com/temper-ml/temper/model/arch"
)

// Reference is one evaluation of a model: its parameters as leaves of a tape, and what was chosen on the way.
type Reference struct {
	Tape *Tape

	// Margin is the smallest gap, over all top-k choices, between the last taken and the first left. Exact ties do not count:
	// they come from scores that are exactly zero in any precision.
	Margin float64

	chosen map[string][][]int
	replay map[string][][]int
	c      *arch.Config
	params map[string][]float64
	leaves map[string]*Tensor
	frozen bool // no parameter wants a gradient
}

// New prepares an evaluation. Parameters are looked up by published name when a block first needs them, so a test of one
// block need give only that block's. A missing parameter or a wrong size panics; Run turns that into an error.
func New(c *arch.Config, params map[string][]float64) *Reference {
	return &Reference{
		Tape: NewTape(), Margin: infinity, chosen: map[string][][]int{},
		c: c, params: params, leaves: map[string]*Tensor{},
	}
}

// weight is the named parameter as a leaf. The shape stated by the equation that uses it must match the data given.
func (r *Reference) weight(name string, shape ...int) *Tensor {
	if leaf, ok := r.leaves[name]; ok {
		return r.Tape.Reshape(leaf, shape...)
	}
	leaf := r.Tape.Input(r.constant(name, shape...), shape...)
	leaf.track = !r.frozen
	r.leaves[name] = leaf
	return leaf
}

// constant is the named parameter's values without a gradient.
func (r *Reference) constant(name string, shape ...int) []float64 {
	data, ok := r.params[name]
	if !ok {
		panic(fmt.Sprintf("deepseektest: no parameter %q, want shape %v", name, shape))
	}
	if len(data) != product(shape) {
		panic(fmt.Sprintf("deepseektest: parameter %q has %d values, want shape %v", name, len(data), shape))
	}
	return data
}

// Gradients are the gradients of every parameter used, by name, after Tape.Backward.
func (r *Reference) Gradients() map[string][]float64 {
	g := make(map[string][]float64, len(r.leaves))
	for name, leaf := range r.leaves {
		if leaf.Grad == nil {
			g[name] = make([]float64, len(leaf.Data))
			continue
		}
		g[name] = leaf.Grad
	}
	return g
}

// Choices are the decisions made so far.
func (r *Reference) Choices() Choices { return Choices{TopK: r.chosen, Sides: r.Tape.sides} }

// Replay makes the evaluation, not begun yet, take these decisions. Missing sites and nil Sides are still decided.
func (r *Reference) Replay(c Choices) { r.replay, r.Tape.replay = c.TopK, c.Sides }

// choose takes the k best of score, or what is replayed, and records the choice under its site.
func (r *Reference) choose(site string, score []float64, k int) []int {
	var picked []int
	if rows, ok := r.replay[site]; ok {
		picked = rows[len(r.chosen[site])]
	} else {
		var gap float64
		picked, gap = topK(score, k)
		if gap > 0 {
			r.Margin = math.Min(r.Margin, gap)
		}
	}
	r.chosen[site] = append(r.chosen[site], picked)
	return picked
}

func itoa(i int) string { return strconv.Itoa(i) }
