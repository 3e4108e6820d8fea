package operator

import (
	"slices"
	"sync"

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

	tokens int64  // of one TP group
	mine   int64  // of one rank where sequence parallelism splits them, else the same
	copies int    // ranks that repeat what runs over mine
	module Module // of the operators that follow
	inside Module // of operators and kept tensors that follow: the sublayer they are in

	out BlockWork
	*draft
}

// draft is what a builder writes before it knows how much it will be. Searches
// build many thousands of works, so drafts are used again.
type draft struct {
	input, weight [][]Operator // of the backward pass, one group per forward operator
	groups        []Operator   // what short groups point into
	list          []Operator   // the forward pass
	saved         []Saved
}

var drafts = sync.Pool{New: func() any { return new(draft) }}

// answer returns a group of one operator.
func (d *draft) answer(op Operator) []Operator {
	n := len(d.groups)
	d.groups = append(d.groups, op)
	return d.groups[n : n+1 : n+1]
}

func newBuilder(c *arch.Config, layer int, s Sharding, n Numbers) *builder {
	b := &builder{c: c, layer: layer, s: s, n: n, e: n.Engine, copies: 1, draft: drafts.Get().(*draft)}
	b.input, b.weight, b.groups = b.input[:0], b.weight[:0], b.groups[:0]
	b.out.Forward, b.out.Saved = b.list[:0], b.saved[:0]
	b.tokens = int64(n.MicroBatch) * int64(n.Seq) / int64(s.CP)
	b.mine = b.tokens
	if s.Sequence {
		b.mine /= int64(s.TP)
	} else {
		b.copies = s.TP
	}
	return b
}

// work closes the lists: the backward pass runs the groups in reverse.
func (b *builder) work() *BlockWork {
	b.out.BackwardInput, b.out.BackwardWeight = reversed(b.input), reversed(b.weight)
	b.list, b.saved = b.out.Forward, b.out.Saved
	b.out.Forward, b.out.Saved = slices.Clone(b.list), slices.Clone(b.saved)
	drafts.Put(b.draft)
	out := b.out
	return &out
}

// reversed joins groups, the last one first.
func reversed(groups [][]Operator) []Operator {
	n := 0
	for _, g := range groups {
		n += len(g)
	}
	out := make([]Operator, 0, n)
	for _, g := range slices.Backward(groups) {
		out = append(out, g...)
	}
	return out
}

// act is the size in bytes of one activation value between products.
func (b *builder) act() float64 { return b.e.Weights.Bytes() }

// size returns the bytes of n activation values.
func (b *builder) size(n int64) int64 { return int64(float64(n) * b.act()) }

// keep notes a tensor that the forward pass keeps unless one of the modules in
// drop is recomputed.
func (b *builder) keep(name string, bytes int64, drop Module) {
	if bytes > 0 {
		b.out.Saved = append(b.out.Saved, Saved{Name: name, Bytes: bytes, Drop: drop | b.inside | Whole})
	}
}

// keepInput notes the input of products, which engines may keep in fp8; also says
// whether something else needs the same tensor in full.
func (b *builder) keepInput(name string, values int64, drop Module, also bool) {
	if !b.e.FP8Saved || !b.n.DType.Quantised() {
		b.keep(name, b.size(values), drop)
		return
	}
	if also {
		b.keep(name, b.size(values), drop)
		name += ", fp8"
	}
	bytes := values
	if b.n.DType == MXFP8 {
		bytes += values / 32 // scales
	}
	b.keep(name, bytes, drop)
}

// instead notes a tensor that is kept only because module is recomputed from it.
func (b *builder) instead(name string, bytes int64, only Module) {
	if bytes > 0 {
		b.out.Saved = append(b.out.Saved, Saved{Name: name, Bytes: bytes, Drop: b.inside | Whole, Only: only})
	}
}

// alive notes how much a moment of the backward pass holds beyond what was kept.
func (b *builder) alive(bytes int64) { b.out.BackwardPeak = max(b.out.BackwardPeak, bytes) }

// forward appends one operator and its answers in the backward pass.
func (b *builder) forward(op Operator, input, weight []Operator) {
	op.Module |= b.module | b.inside
	op.settle(1)
	b.out.Forward = append(b.out.Forward, op)
	b.backward(op.Copies, input, weight)
}

// backward appends one group to the backward pass.
func (b *builder) backward(copies int, input, weight []Operator) {
	for _, list := range [][]Operator{input, weight} {
		for i := range list {
			list[i].settle(copies)
		}
	}
	b.input = append(b.input, input)
	b.weight = append(b.weight, weight)
}

// settle replaces counts that were left out.
func (o *Operator) settle(copies int) {
	o.Copies = max(o.Copies, copies)
	o.Launches = max(o.Launches, 1)
}

// vector appends a pointwise operator that moves so many bytes in the forward and
// in the backward pass, in so many kernels each.
func (b *builder) vector(name, part string, forward, backward float64, launches int) {
	op := Operator{Name: name, Part: part, Class: Vector, DType: b.e.Weights, Bytes: forward, Launches: launches}
	back := op
	back.Bytes = backward
	b.forward(op, b.answer(back), nil)
}

// message appends a collective and its pattern on the way back; either may be
// [NoPattern].
func (b *builder) message(name, part string, axis Axis, forward, backward Pattern, payload float64) {
	op := Operator{Name: name, Part: part, Class: Collective, Axis: axis, Pattern: forward, Payload: payload, DType: b.e.Weights}
	var back []Operator
	if backward != NoPattern {
		back = b.answer(op)
		back[0].Pattern = backward
	}
	if forward == NoPattern {
		b.backward(1, back, nil)
		return
	}
	b.forward(op, back, nil)
}

// last returns the newest forward operator and its answers.
func (b *builder) last() (op *Operator, input, weight []Operator) {
	return &b.out.Forward[len(b.out.Forward)-1], b.input[len(b.input)-1], b.weight[len(b.weight)-1]
}

// norm appends a norm over rows of the given width; values is the size of its
// weight, 0 if it has none.
func (b *builder) norm(part string, rows, width, values int64) {
	bytes, launches := 2*b.act(), 1
	if !b.e.FusedNorms { // in float32: cast, square, mean, scale, cast back, weight
		bytes, launches = 34, 6
	}
	bytes *= float64(rows * width)
	b.vector("norm", part, bytes, 2*bytes, launches)
	b.whole(values, 1)
	if b.c.HasLearnedPositions() { // LayerNorm has a bias as well
		b.whole(values, 1)
	}
}
