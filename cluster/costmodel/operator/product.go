package operator

// linear is one matrix product with a weight: rows x k by k x n, batch times.
type linear struct {
	name, part string
	rows, n, k int64
	batch      int64 // independent products (output groups); 0 = 1
	dtype      DType // "" = that of the products
	copies     int
	detached   bool    // no gradient of the input is wanted
	untrained  bool    // no gradient at all
	plain      bool    // the weight's gradient is not added in place
	again      float64 // share of it that the choice by operator runs again
}

// product appends a matrix product with its two gradients.
func (b *builder) product(l linear) {
	l.batch = max(1, l.batch)
	if l.dtype == "" {
		l.dtype = b.n.DType
	}
	fwd := b.multiply(l, l.rows, l.n, l.k, b.act())
	module := b.module
	if l.dtype.Quantised() { // the choice by operator knows products of plain formats only
		l.again = 1
	}
	if l.again > 0 {
		b.module |= PerOp
		fwd.Share = l.again
	}
	defer func() { b.module = module }()
	var input, weight []Operator
	if !l.untrained {
		weight = b.answer(b.multiply(l, l.n, l.k, l.rows, 2*b.e.Gradient.Bytes()))
		if !l.detached {
			input = b.answer(b.multiply(l, l.rows, l.k, l.n, b.act()))
		}
	}
	if l.dtype.Quantised() {
		b.forward(b.quantise(l.name, l.batch*l.rows*l.k), nil, nil)
		input = append([]Operator{b.quantise(l.name, l.batch*l.rows*l.n)}, input...)
	}
	b.forward(fwd, input, weight)
	if b.e.FusedGradients && l.dtype == b.n.DType && !l.plain {
		b.out.Weights = append(b.out.Weights, Shape{l.n, l.k})
	}
}

// multiply describes batch products of m x k by k x n; out is what a value of the
// result costs in bytes.
func (b *builder) multiply(l linear, m, n, k int64, out float64) Operator {
	batch, in := float64(l.batch), l.dtype.Bytes()
	return Operator{
		Name: l.name, Part: l.part, Class: Product, Batch: l.batch, M: m, N: n, K: k, DType: l.dtype, Copies: l.copies,
		FLOPs: 2 * batch * float64(m) * float64(n) * float64(k),
		Bytes: batch * (float64(in*float64(m*k+n*k)) + float64(out*float64(m*n))),
	}
}

// quantise is the kernel that scales the operand of an fp8 product, in both
// orientations.
func (b *builder) quantise(name string, values int64) Operator {
	return Operator{Name: name, Part: "quantise", Class: Vector, DType: BF16, Bytes: 4 * float64(values)}
}

// enterTP brings the tokens of a TP group together before matrices split by
// columns: an all-gather with sequence parallelism; without it nothing, but the
// gradients must be summed on the way back. The gradient of the weight needs the
// gathered input again.
func (b *builder) enterTP(name string) {
	if b.s.TP == 1 {
		return
	}
	whole := float64(b.size(b.tokens * int64(b.c.HiddenSize)))
	if !b.s.Sequence {
		b.message(name, "tp.enter", TP, NoPattern, AllReduce, whole)
		b.mark()
		return
	}
	module := b.module
	b.module |= PerOp
	b.message(name, "tp.enter", TP, AllGather, ReduceScatter, whole*b.gatherShare())
	b.module = module
	b.mark()
	_, input, _ := b.last()
	input[0].Payload = whole
	if b.e.KeepsGathered {
		return
	}
	again := b.out.Forward[len(b.out.Forward)-1]
	again.Part = "tp.again"
	b.weight[len(b.weight)-1] = []Operator{again}
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
	_, input, _ := b.last()
	input[0].Payload *= b.gatherShare()
	b.mark()
}

// gatherShare is the size of an all-gather of TP over that of the tensor in the
// weights' format: engines gather operands of fp8 products after scaling them,
// where one scale serves the whole tensor.
func (b *builder) gatherShare() float64 {
	if b.e.FP8Gather && b.n.DType == FP8 && b.n.Scaling == "tensorwise" {
		return FP8.Bytes() / b.act()
	}
	return 1
}

// mark says of the newest messages whether the engine runs them beside products.
func (b *builder) mark() {
	if !b.e.AsyncTP && !b.e.OverlapTP {
		return
	}
	op, input, weight := b.last()
	op.Overlap = op.Class == Collective && b.e.AsyncTP
	for _, list := range [][]Operator{input, weight} {
		for i := range list {
			list[i].Overlap = true
		}
	}
}

// gathered is what a moment of the backward pass holds because TP ranks need each
// other's tokens: the input and the gradient, both whole.
func (b *builder) gathered() int64 {
	if b.s.TP == 1 || !b.s.Sequence {
		return 0
	}
	return 2 * b.size(b.tokens*int64(b.c.HiddenSize))
}
