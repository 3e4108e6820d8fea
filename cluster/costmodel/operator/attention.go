package operator

import (
	"github.com/temper-ml/temper/model/arch"
)

// start keeps the block's input, which every form of recomputation needs.
func (b *builder) start() {
	n := b.size(b.mine * b.width())
	b.out.Saved = append(b.out.Saved, Saved{Name: "block input", Bytes: n})
	b.boundary()
}

// boundary notes what a pipeline hands on.
func (b *builder) boundary() {
	b.out.Boundary = b.size(b.mine * b.width())
	b.out.Sent = b.out.Boundary / int64(b.copies)
}

// width is the number of values per token between blocks: all residual streams.
func (b *builder) width() int64 {
	return int64(max(1, b.c.HCMult)) * int64(b.c.HiddenSize)
}

// attention appends the attention sublayer of any kind.
func (b *builder) attention() {
	b.inside = Attend
	switch b.c.Kind(b.layer) {
	case arch.MLA:
		b.latentAttention()
	case arch.GQA:
		b.groupedAttention()
	default:
		b.streamedAttention()
	}
	b.inside = 0
}

// groupedAttention appends causal attention with NumKVHeads groups of heads.
func (b *builder) groupedAttention() {
	c, tp := b.c, int64(b.s.TP)
	d, h, g, w := int64(c.HiddenSize), int64(c.NumHeads), int64(c.NumKVHeads), int64(c.HeadDim)
	b.attnNorm()
	b.enterTP("attn.query")
	b.product(linear{name: "attn.query", part: "wq", rows: b.tokens, n: h * w / tp, k: d})
	b.product(linear{name: "attn.key", part: "wkv", rows: b.tokens, n: 2 * g * w / tp, k: d, again: 0.5})
	b.joinWeights()
	b.matrix(1, h*w, d)
	b.matrix(2, g*w, d)
	b.bias(c.HasQKVBias(), (h+2*g)*w)
	if c.HasQKNorm() {
		b.norm("q_norm", b.tokens, h*w/tp, w)
		b.norm("k_norm", b.tokens, g*w/tp, w)
		b.keep("queries and keys, not normed", b.size(b.tokens*(h+g)*w/tp), PerOp)
	}
	b.bias(c.HasSinks(), h)
	if !c.HasLearnedPositions() {
		b.rope((h + g) * w / tp)
	}
	b.keepHeads(h*w/tp, g*w/tp, g*w/tp)
	b.exchangeKV(2 * g * w / tp)
	if window := c.LayerWindow(b.layer); window > 0 {
		b.core("attn.window", h/tp, w, w, b.spread(windowKeys(int64(b.n.Seq), int64(window))))
	} else {
		b.core("attn.full", h/tp, w, w, b.spread(causalKeys(int64(b.n.Seq))))
	}
	b.outputProduct(h*w, c.HasOutputBias())
}

// joinWeights turns the last two products into one launch with one weight: the engines
// hold query, key and value in one matrix.
func (b *builder) joinWeights() {
	n := len(b.out.Weights)
	if n < 2 {
		return
	}
	q, kv := b.out.Weights[n-2], b.out.Weights[n-1]
	b.out.Weights = append(b.out.Weights[:n-2], Shape{q.Rows + kv.Rows, q.Cols})
}

// outputProduct appends the product that brings heads back to the residual stream.
func (b *builder) outputProduct(heads int64, bias bool) {
	d := int64(b.c.HiddenSize)
	b.product(linear{name: "attn.output", part: "wo", rows: b.tokens, n: d, k: heads / int64(b.s.TP), again: 1})
	b.matrix(1, d, heads)
	b.whole(boolTimes(bias, d), 1)
	b.leaveTP("attn.output")
	b.residual("attention")
}

func boolTimes(has bool, n int64) int64 {
	if has {
		return n
	}
	return 0
}

// keepHeads keeps what attention reads; with per-operator recomputation only every
// second product stays, so keys are formed again.
func (b *builder) keepHeads(q, k, v int64) {
	b.keep("queries", b.size(b.tokens*q), Up)
	b.keep("keys", b.size(b.tokens*k), Up|PerOp)
	b.keep("values", b.size(b.tokens*v), Up)
}

// attnNorm appends the norm before attention and keeps its output.
func (b *builder) attnNorm() {
	d := int64(b.c.HiddenSize)
	b.module = Norms | PerOp
	b.norm("attn_norm", b.mine, d, d)
	b.module = 0
	b.keepInput("attention norm output", b.mine*d, Norms|PerOp, false)
}

// rope appends the rotation of so many values per token.
func (b *builder) rope(width int64) {
	bytes, launches := 2*b.act(), 2
	if !b.e.FusedRope && !b.e.Compiled { // in float32: cast, complex product, cast back
		bytes, launches = 20, 6
	}
	bytes *= float64(b.tokens * width)
	b.module |= PerOp
	b.vector("rope", "rope", bytes, bytes, launches)
	b.module &^= PerOp
}

// residual appends the addition of a sublayer's result to the residual stream.
func (b *builder) residual(part string) {
	values := b.mine * int64(b.c.HiddenSize)
	bytes := b.act() * float64(values)
	b.module |= PerOp
	b.vector("residual", part, 3*bytes, 2*bytes, 1)
	b.module &^= PerOp
	if b.c.ResidualDropout > 0 {
		b.keep(part+" dropout mask", values, 0)
	}
}

// causalKeys sums t+1 over the n queries of a sequence.
func causalKeys(n int64) int64 { return n * (n + 1) / 2 }

// windowKeys sums min(t+1, window) over the n queries of a sequence.
func windowKeys(n, window int64) int64 {
	w := min(n, window)
	return w*(w+1)/2 + (n-w)*w
}

// spread returns what one rank has of a sum over the queries of a sequence:
// context parallel ranks share it evenly, one piece of the front and one of the
// back each.
func (b *builder) spread(keys int64) float64 {
	return float64(b.n.MicroBatch) * float64(keys) / float64(b.s.CP)
}

// core appends scores and weighted sums for heads of width qk and v.
func (b *builder) core(name string, heads, qk, v int64, pairs float64) {
	op := Operator{
		Name: name, Part: "core", Class: Attention, Module: Core, DType: b.plainType(),
		Batch: int64(b.n.MicroBatch) * heads, M: b.tokens / int64(b.n.MicroBatch), N: int64(pairs / float64(b.tokens)), K: qk,
		FLOPs: 2 * float64(heads*(qk+v)) * pairs,
		Bytes: b.act() * float64(b.tokens*heads*(2*qk+2*v)),
	}
	back := op
	back.FLOPs *= 2
	back.Bytes *= 2
	b.keepInput("attention output", b.tokens*heads*v, 0, true)
	if b.e.FlashAttention {
		back.Extra = 2 * float64(heads*qk) * pairs
		b.keep("log-sum-exp", 4*b.tokens*heads, Core)
	} else {
		b.scores(&op, &back, heads)
	}
	b.forward(op, b.answer(back), nil)
	// Gradients of output, queries, keys and values, queries' in float32 while sums form.
	b.alive(b.size(b.tokens*heads*(2*v+2*qk)) + 4*b.tokens*heads*qk + b.gathered())
}

// scores accounts for score matrices that are written to memory.
func (b *builder) scores(op, back *Operator, heads int64) {
	n := b.tokens * heads * int64(b.n.Seq)
	// Forward: scores written, read and written by the softmax, read by the sums.
	// Backward: their gradient written, read with the softmax and written by its
	// gradient, read for queries and for keys, and the softmax for values. Dropout
	// reads, writes and keeps a mask on the way.
	forward, backward := 8, 14
	if b.c.AttentionDropout > 0 {
		forward, backward = forward+5, backward+5
	}
	op.Bytes += float64(int64(forward) * n)
	back.Bytes += float64(int64(backward) * n)
	op.Launches, back.Launches = 3, 5
	b.keep("softmax", 2*n, Core)
	if b.c.AttentionDropout > 0 {
		b.keep("attention dropout mask", n, Core)
		b.keep("softmax after dropout", 2*n, Core)
	}
}

// plainType is the format of products that fp8 training leaves alone.
func (b *builder) plainType() DType {
	if b.n.DType.Quantised() {
		return BF16
	}
	return b.n.DType
}

// exchangeKV appends the message that shows context parallel ranks each other's
// keys and values; width is their values per token. In the backward pass a ring
// carries them again, with their gradients.
func (b *builder) exchangeKV(width int64) {
	cp := int64(b.s.CP)
	if cp == 1 {
		return
	}
	mine := float64(b.size(b.tokens * width))
	if b.e.CP != SendRecv {
		b.message("cp", "keys", CP, AllGather, ReduceScatter, mine*float64(cp))
		return
	}
	b.message("cp", "keys", CP, SendRecv, SendRecv, mine*float64(cp-1))
	op, back, _ := b.last()
	op.Overlap, back[0].Overlap = true, true
	back[0].Payload *= 2
}
