package operator

import (
	"slices"

	"github.com/temper-ml/temper/model/arch"
)

// builder writes down one part of a model, operator by operator, in the order of
// the forward pass. Each forward operator adds what the backward pass does about
// it, and what must be kept until then.
type builder struct {
	c     *arch.Config
	layer int
	s     Sharding
	n     Numbers
	e     *Engine

	tokens int64 // of one TP group
	mine   int64 // of one rank where sequence parallelism splits them, else the same
	module Module

	out          BlockWork
	input_, wgrd [][]Operator // backward, one group per forward operator
}

func newBuilder(c *arch.Config, layer int, s Sharding, n Numbers) *builder {
	b := &builder{c: c, layer: layer, s: s, n: n, e: n.Engine}
	b.tokens = int64(n.MicroBatch) * int64(n.Seq) / int64(s.CP)
	b.mine = b.tokens
	if s.Sequence {
		b.mine /= int64(s.TP)
	}
	return b
}

// work closes the lists: the backward pass runs the groups in reverse.
func (b *builder) work() *BlockWork {
	for _, g := range slices.Backward(b.input_) {
		b.out.BackwardInput = append(b.out.BackwardInput, g...)
	}
	for _, g := range slices.Backward(b.wgrd) {
		b.out.BackwardWeight = append(b.out.BackwardWeight, g...)
	}
	return &b.out
}

// act is the size in bytes of one activation value between products.
func (b *builder) act() float64 { return b.e.Weights.Bytes() }

// size returns the bytes of n activation values.
func (b *builder) size(n int64) int64 { return n * int64(b.act()) }

// keep notes a tensor that the forward pass keeps unless module is recomputed.
func (b *builder) keep(name string, bytes int64, drop Module) {
	if bytes > 0 {
		b.out.Saved = append(b.out.Saved, Saved{Name: name, Bytes: bytes, Drop: drop | Whole})
	}
}

// instead notes a tensor that is kept only because module is recomputed from it.
func (b *builder) instead(name string, bytes int64, only Module) {
	if bytes > 0 {
		b.out.Saved = append(b.out.Saved, Saved{Name: name, Bytes: bytes, Drop: Whole, Only: only})
	}
}

// forward appends one operator and its answers in the backward pass.
func (b *builder) forward(op Operator, input, weight []Operator) {
	op.Module |= b.module
	op.Copies = max(1, op.Copies)
	op.Launches = max(1, op.Launches)
	b.out.Forward = append(b.out.Forward, op)
	for _, list := range [][]Operator{input, weight} {
		for i := range list {
			list[i].Copies = op.Copies
			list[i].Launches = max(1, list[i].Launches)
		}
	}
	b.input_ = append(b.input_, input)
	b.wgrd = append(b.wgrd, weight)
}

// linear is one matrix product with a weight: rows x k by k x n.
type linear struct {
	name, part string
	rows, n, k int64
	batch      int64 // independent products (output groups); 0 = 1
	class      Class // Product, or GroupedProduct over batch experts
	dtype      DType
	copies     int
	detached   bool // no gradient of the input is needed
}

// product appends a matrix product with its two gradients.
func (b *builder) product(l linear) {
	l.batch = max(1, l.batch)
	if l.dtype == "" {
		l.dtype = b.n.DType
	}
	fwd := b.multiply(l, l.rows, l.n, l.k, b.act())
	input := b.multiply(l, l.rows, l.k, l.n, b.act())
	weight := b.multiply(l, l.n, l.k, l.rows, 2*b.e.Gradient.Bytes())
	b.quantise(l.name, l.dtype, l.batch*l.rows*l.k)
	var in []Operator
	if !l.detached {
		in = []Operator{input}
	}
	if l.dtype.Quantised() {
		in = append(b.quantised(l.name, l.batch*l.rows*l.n), in...)
	}
	b.forward(fwd, in, []Operator{weight})
}

// multiply describes batch products of m x k by k x n; out is what a value of the
// result costs in bytes.
func (b *builder) multiply(l linear, m, n, k int64, out float64) Operator {
	bt := float64(l.batch)
	in := l.dtype.Bytes()
	return Operator{
		Name: l.name, Part: l.part, Class: l.class, Batch: l.batch, M: m, N: n, K: k, DType: l.dtype, Copies: l.copies,
		FLOPs: 2 * bt * float64(m) * float64(n) * float64(k),
		Bytes: bt * (float64(in*(float64(m*k)+float64(n*k))) + float64(out*float64(m*n))),
	}
}

// quantise appends the kernel that scales the input of an fp8 product, and its
// transpose for the gradient of the weight.
func (b *builder) quantise(name string, d DType, values int64) {
	if d.Quantised() {
		b.forward(b.quantised(name, values)[0], nil, nil)
	}
}

func (b *builder) quantised(name string, values int64) []Operator {
	return []Operator{{Name: name, Part: "quantise", Class: Vector, DType: BF16, Bytes: 4 * float64(values), Launches: 1}}
}

// vector appends a pointwise operator that moves so many bytes in the forward and
// in the backward pass, in so many kernels each.
func (b *builder) vector(name, part string, forward, backward float64, launches int) {
	op := Operator{Name: name, Part: part, Class: Vector, DType: b.e.Weights, Bytes: forward, Launches: launches}
	back := op
	back.Bytes = backward
	b.forward(op, []Operator{back}, nil)
}

// message appends a collective; backward is its pattern on the way back.
func (b *builder) message(name, part string, axis Axis, forward, backward Pattern, payload float64) {
	if payload <= 0 {
		return
	}
	op := Operator{Name: name, Part: part, Class: Collective, Axis: axis, Pattern: forward, Payload: payload, DType: b.e.Weights}
	var back []Operator
	if backward != NoPattern {
		o := op
		o.Pattern = backward
		back = []Operator{o}
	}
	if forward == NoPattern {
		b.input_ = append(b.input_, back)
		b.wgrd = append(b.wgrd, nil)
		for i := range back {
			back[i].Copies, back[i].Launches = 1, 1
		}
		return
	}
	b.forward(op, back, nil)
}

// enterTP brings the tokens of a TP group together before matrices split by
// columns: an all-gather with sequence parallelism; without it nothing, but the
// gradients must be summed on the way back.
func (b *builder) enterTP(name string) {
	if b.s.TP == 1 {
		return
	}
	whole := float64(b.size(b.tokens * int64(b.c.HiddenSize)))
	if !b.s.Sequence {
		b.message(name, "tp.enter", TP, NoPattern, AllReduce, whole)
		return
	}
	b.message(name, "tp.enter", TP, AllGather, ReduceScatter, whole)
	// The gradient of the weight needs the gathered input again.
	b.wgrd[len(b.wgrd)-1] = []Operator{{
		Name: name, Part: "tp.again", Class: Collective, Axis: TP, Pattern: AllGather, Payload: whole,
		DType: b.e.Weights, Copies: 1, Launches: 1, Overlap: b.e.AsyncTP,
	}}
}

// leaveTP sums the partial results after matrices split by rows.
func (b *builder) leaveTP(name string) {
	if b.s.TP == 1 {
		return
	}
	whole := float64(b.size(b.tokens * int64(b.c.HiddenSize)))
	if !b.s.Sequence {
		b.message(name, "tp.leave", TP, AllReduce, NoPattern, whole)
		return
	}
	b.message(name, "tp.leave", TP, ReduceScatter, AllGather, whole)
}

// weight counts a matrix split over TP; muon says that Muon trains it.
func (b *builder) weight(rows, cols int64, muon bool) {
	p := Parameters{Split: rows * cols / int64(b.s.TP)}
	b.count(p, rows*cols, muon)
}

// whole counts a matrix or vector that every TP rank holds.
func (b *builder) whole(values int64, muon bool) {
	b.count(Parameters{Replicated: values}, values, muon)
}

func (b *builder) count(p Parameters, largest int64, muon bool) {
	if muon {
		p.Muon, p.Largest = p.Dense(), largest
	}
	b.out.Parameters = b.out.Parameters.Add(p)
}

// norm appends a norm over rows of the given width, with its weight.
func (b *builder) norm(part string, rows, width int64) {
	launches := 1
	if !b.e.FusedNorms {
		launches = 6
	}
	bytes := 2 * b.act() * float64(rows*width)
	b.vector("norm", part, bytes, 2*bytes, launches)
	b.whole(width, false)
	if biased(b.c) {
		b.whole(width, false)
	}
}
