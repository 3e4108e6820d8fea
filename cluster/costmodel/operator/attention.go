package operator

import "github.com/temper-ml/temper/model/arch"

// input keeps the block's input, which every form of recomputation needs.
func (b *builder) input() {
	n := b.size(b.mine * b.width())
	b.out.Saved = append(b.out.Saved, Saved{Name: "block input", Bytes: n})
	b.out.Boundary = n
}

// width is the number of values per token between blocks: all residual streams.
func (b *builder) width() int64 {
	return int64(max(1, b.c.HCMult)) * int64(b.c.HiddenSize)
}

// attention appends the attention sublayer of any kind.
func (b *builder) attention() {
	switch {
	case b.c.Family == arch.V4:
		b.v4Attention()
	case b.c.Kind(b.layer) == arch.MLA:
		b.mla()
	default:
		b.gqa()
	}
}

// gqa appends causal attention with NumKVHeads groups.
func (b *builder) gqa() {
	c, tp := b.c, int64(b.s.TP)
	d, h, g, w := int64(c.HiddenSize), int64(c.NumHeads), int64(c.NumKVHeads), int64(c.HeadDim)
	b.attnNorm()
	b.enterTP("attn.query")
	b.product(linear{name: "attn.query", part: "wq", rows: b.tokens, n: h * w / tp, k: d})
	b.product(linear{name: "attn.key", part: "wkv", rows: b.tokens, n: 2 * g * w / tp, k: d})
	b.weight(h*w, d, true)
	b.weight(g*w, d, true)
	b.weight(g*w, d, true)
	b.rope((h + g) * w / tp)
	b.keep("queries, keys, values", b.size(b.tokens*(h+2*g)*w/tp), PerOp)
	b.exchangeKV(2 * g * w / tp)
	b.core("attn.full", h/tp, w, w, b.causal(), PerOp)
	b.product(linear{name: "attn.output", part: "wo", rows: b.tokens, n: d, k: h * w / tp})
	b.weight(d, h*w, true)
	b.leaveTP("attn.output")
	b.residual("attention")
}

// attnNorm appends the norm before attention and keeps its output.
func (b *builder) attnNorm() {
	d := int64(b.c.HiddenSize)
	b.module = Norms
	b.norm("attn_norm", b.mine, d)
	b.module = 0
	b.keep("attention norm output", b.size(b.mine*d), Norms|PerOp)
}

// rope appends the rotation of so many values per token.
func (b *builder) rope(width int64) {
	launches := 2
	if !b.e.FusedRope && !b.e.Compiled {
		launches = 10
	}
	bytes := 2 * b.act() * float64(b.tokens*width)
	b.vector("rope", "rope", bytes, bytes, launches)
}

// residual appends the addition of a sublayer's result to the residual stream.
func (b *builder) residual(part string) {
	bytes := 3 * b.act() * float64(b.mine*int64(b.c.HiddenSize))
	b.vector("residual", part, bytes, bytes/3*2, 1)
}

// causal returns the number of query-key pairs of one head on this rank, when
// context parallel ranks share the triangle evenly.
func (b *builder) causal() float64 {
	n := float64(b.n.Seq)
	return float64(b.n.MicroBatch) * n * (n + 1) / 2 / float64(b.s.CP)
}

// core appends scores and weighted sums for heads of width qk and v.
func (b *builder) core(name string, heads, qk, v int64, pairs float64, drop Module) {
	seq := b.tokens / int64(b.n.MicroBatch)
	op := Operator{
		Name: name, Part: "core", Class: Attention, Module: Core, DType: b.coreType(),
		Batch: int64(b.n.MicroBatch) * heads, M: seq, N: int64(pairs / float64(b.tokens)), K: qk,
		FLOPs: 2 * float64(heads*(qk+v)) * pairs,
		Bytes: b.act() * float64(b.tokens*heads*(qk+v)) * 2,
	}
	back := op
	back.FLOPs *= 2
	back.Bytes *= 2.5
	b.keep("attention output", b.size(b.tokens*heads*v), PerOp&^drop)
	if b.e.FlashAttention {
		back.Extra = 2 * float64(heads*qk) * pairs
		b.keep("log-sum-exp", 4*b.tokens*heads, Core)
	} else {
		b.scores(&op, &back, heads)
	}
	b.forward(op, []Operator{back}, nil)
}

// scores accounts for score matrices that are written to memory.
func (b *builder) scores(op, back *Operator, heads int64) {
	n := b.tokens * heads * int64(b.n.Seq)
	op.Bytes += float64(8 * n)
	back.Bytes += float64(10 * n)
	b.keep("softmax", 2*n, Core)
	b.keep("dropout mask", n, Core)
	b.keep("dropped softmax", 2*n, Core)
}

// coreType is the format attention computes in: the formats of fp8 stop before it.
func (b *builder) coreType() DType {
	if b.n.DType.Quantised() {
		return BF16
	}
	return b.n.DType
}

// exchangeKV appends the message that shows context parallel ranks each other's
// keys and values; width is their values per token.
func (b *builder) exchangeKV(width int64) {
	cp := int64(b.s.CP)
	if cp == 1 {
		return
	}
	mine := float64(b.size(b.tokens * width))
	if b.e.CP == SendRecv {
		b.message("cp", "keys", CP, SendRecv, SendRecv, mine*float64(cp-1))
		list := b.input_[len(b.input_)-1]
		list[0].Payload *= 2 // keys and values again, and their gradients
		list[0].Overlap = true
		b.out.Forward[len(b.out.Forward)-1].Overlap = true
		return
	}
	b.message("cp", "keys", CP, AllGather, ReduceScatter, mine*float64(cp))
}
