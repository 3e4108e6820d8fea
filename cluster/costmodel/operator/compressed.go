package operator

import (
	"github.com/temper-ml/temper/model/arch"
)

// streamedAttention appends the attention of DeepSeek-V4: one key = value for all
// heads, a sliding window, and compressed keys that all queries see (HCA) or an
// indexer picks (CSA).
func (b *builder) streamedAttention() {
	c, tp := b.c, int64(b.s.TP)
	h, w, q := int64(c.NumHeads), int64(c.HeadDim), int64(c.QLoraRank)
	b.attnNorm()
	b.narrow("attn.query", "wq_a", q)
	b.keep("query latent", b.size(b.mine*q), 0)
	b.norm("q_norm", b.mine, q, q)
	b.keepInput("query latent, normed", b.mine*q, Norms|PerOp, false)
	b.gatherLatent("attn.query", q)
	b.module = Up
	b.product(linear{name: "attn.query", part: "wq_b", rows: b.tokens, n: h * w / tp, k: q})
	b.matrix(1, h*w, q)
	b.norm("head_norm", b.tokens, h*w/tp, 0)
	b.rope(h * int64(c.RopeDim) / tp)
	b.module = 0
	b.keep("queries", b.size(b.tokens*h*w/tp), Up)
	b.narrow("attn.key", "wkv", w)
	b.norm("kv_norm", b.mine, w, w)
	b.keep("keys", 2*b.size(b.mine*w), PerOp)
	b.gatherLatent("attn.key", w)
	b.bias(true, h) // attention sinks
	b.compressedKeys()
	b.window()
	b.groupedOutput()
}

// window appends attention over the newest tokens and over compressed keys; the
// softmax is one.
func (b *builder) window() {
	c := b.c
	h, w := int64(c.NumHeads)/int64(b.s.TP), int64(c.HeadDim)
	n := int64(b.n.Seq)
	b.core("attn.window", h, w, w, b.spread(windowKeys(n, int64(c.SlidingWindow))))
	if c.Kind(b.layer) == arch.Window {
		return
	}
	pairs := b.spread(compressedPairs(n, int64(c.Ratio(b.layer)), b.topK()))
	op := Operator{
		Name: "attn.compressed", Part: "core", Class: Attention, Module: Core, DType: b.plainType(),
		Batch: int64(b.n.MicroBatch) * h, M: b.tokens / int64(b.n.MicroBatch), N: max(1, int64(pairs/float64(b.tokens))), K: w,
		FLOPs: 4 * float64(h*w) * pairs, Bytes: b.act() * float64(w) * pairs,
	}
	if b.topK() == 0 { // every query sees every visible key: tiles share them
		op.Bytes = 2 * b.act() * float64(b.tokens*h*w)
	}
	back := op
	back.FLOPs *= 2
	back.Bytes *= 3
	back.Extra = 2 * float64(h*w) * pairs
	if b.n.IndexerLoss && b.topK() > 0 { // probabilities once more, as the indexer's target
		back.Extra *= 2
	}
	b.forward(op, b.answer(back), nil)
}

// topK is how many compressed keys a query attends, 0 = all visible ones.
func (b *builder) topK() int64 {
	if b.c.Kind(b.layer) == arch.CSA {
		return int64(b.c.IndexTopK)
	}
	return 0
}

// compressedPairs sums min(topK, floor((t+1)/ratio)) over the n queries of a
// sequence; topK 0 means no limit.
func compressedPairs(n, ratio, topK int64) int64 {
	if topK > 0 && n >= topK*ratio {
		return compressedPairs(topK*ratio-1, ratio, 0) + topK*(n-topK*ratio+1)
	}
	m := n / ratio
	return ratio*m*(m-1)/2 + m*(n-m*ratio+1)
}

// compressedKeys appends the compressor of a layer, the exchange of its keys
// between context parallel ranks, and the indexer.
func (b *builder) compressedKeys() {
	c := b.c
	w := int64(c.HeadDim)
	if b.s.CP > 1 { // the window reaches into the neighbour's tokens
		b.message("cp", "window", CP, SendRecv, SendRecv, float64(b.size(2*int64(b.n.MicroBatch)*int64(c.SlidingWindow)*w)))
	}
	if c.Kind(b.layer) == arch.Window {
		return
	}
	b.compressor("compressor", "compressor", w, false)
	b.gatherKeys("compressed keys", w)
	if c.Kind(b.layer) == arch.CSA {
		b.indexer()
	}
}

// gatherKeys appends the all-gather of compressed keys over context parallel ranks.
func (b *builder) gatherKeys(part string, width int64) {
	if b.s.CP > 1 {
		keys := int64(b.n.MicroBatch) * (int64(b.n.Seq) / int64(b.c.Ratio(b.layer)))
		b.message("cp", part, CP, AllGather, ReduceScatter, float64(b.size(keys*width)))
	}
}

// compressor appends one token compressor that makes keys of width dim; tokens
// after the last full block contribute to none.
func (b *builder) compressor(name, part string, dim int64, detached bool) {
	c := b.c
	d, ratio := int64(c.HiddenSize), int64(c.Ratio(b.layer))
	width := dim
	if ratio == 4 { // two overlapping blocks
		width *= 2
	}
	full := int64(b.n.Seq) / ratio * ratio
	share := float64(full) / float64(b.n.Seq) * float64(b.mine)
	b.product(linear{name: name, part: part, rows: b.mine, n: 2 * width, k: d, dtype: b.plainType(), copies: b.copies, detached: detached, untrained: detached && !b.n.IndexerLoss})
	op, input, weight := b.last()
	for _, list := range [][]Operator{{*op}, input, weight} {
		for i := range list {
			list[i].FLOPs = 2 * share * float64(2*width) * float64(d)
		}
	}
	op.FLOPs = 2 * share * float64(2*width) * float64(d)
	pool := Operator{
		Name: name, Part: part + " pool", Class: Vector, DType: FP32, Copies: b.copies,
		FLOPs: 2 * share * float64(width), Bytes: 8 * share * float64(width),
	}
	if blocks := full / ratio; blocks > 0 && width > dim { // the first block has none before it to overlap with
		pool.FLOPs *= 1 - float64(dim)/float64(blocks*width)
	}
	back := pool
	back.Bytes *= 2
	back.FLOPs *= 2
	var answer []Operator
	if !detached || b.n.IndexerLoss {
		answer = []Operator{back}
	}
	b.forward(pool, answer, nil)
	b.wholeMatrix(width, d)
	b.wholeMatrix(width, d)
	b.whole(ratio*width+dim, 1) // position bias and norm
	b.keep(part+" values and weights", 4*b.mine*2*width, PerOp)
	b.keep(part+" keys", 2*b.size(b.mine*dim/ratio), 0)
}

// indexer appends the scores that pick compressed keys. Its inputs are detached:
// its own loss asks for gradients of its weights and of the selected scores.
func (b *builder) indexer() {
	c := b.c
	heads, w, n := int64(c.IndexHeads), int64(c.IndexHeadDim), int64(b.n.Seq)
	ratio := int64(c.Ratio(b.layer))
	untrained := !b.n.IndexerLoss
	b.product(linear{name: "indexer", part: "wq_b", rows: b.mine, n: heads * w, k: int64(c.QLoraRank), copies: b.copies, detached: true, untrained: untrained})
	b.product(linear{name: "indexer", part: "weights", rows: b.mine, n: heads, k: int64(c.HiddenSize), dtype: b.plainType(), copies: b.copies, detached: true, untrained: untrained})
	b.wholeMatrix(heads*w, int64(c.QLoraRank))
	b.quantised(heads * w * int64(c.QLoraRank))
	b.wholeMatrix(heads, int64(c.HiddenSize))
	b.compressor("indexer", "indexer compressor", w, true)
	b.gatherKeys("indexer keys", w)
	share := 1.0
	if b.s.Sequence {
		share = float64(b.s.TP)
	}
	visible := b.spread(compressedPairs(n, ratio, 0)) / share
	attended := b.spread(compressedPairs(n, ratio, b.topK())) / share
	each := float64(heads*w + heads)
	op := Operator{
		Name: "indexer", Part: "scores", Class: Attention, DType: b.plainType(), Copies: b.copies,
		Batch: int64(b.n.MicroBatch), M: b.mine / int64(b.n.MicroBatch), N: max(1, int64(visible/float64(b.mine))), K: heads * w,
		FLOPs: 2 * each * visible, Bytes: float64(b.act()*float64(b.mine*heads*w)) + float64(8*visible), Launches: 2,
	}
	var back []Operator
	if b.n.IndexerLoss {
		back = []Operator{op}
		back[0].FLOPs = 4 * each * attended
		back[0].Bytes = float64(2*b.act()*float64(b.mine*heads*w)) + float64(12*attended)
		b.keep("index queries", b.size(b.mine*heads*(w+1)), PerOp)
		b.keep("index scores", int64(8*attended), PerOp)
	}
	b.forward(op, back, nil)
	b.keep("chosen keys", 4*b.mine*min(b.topK(), n/ratio), 0)
	if b.s.TP > 1 && b.s.Sequence {
		b.message("indexer", "tp.chosen", TP, AllGather, NoPattern, 4*float64(b.tokens*min(b.topK(), n/ratio)))
	}
}

// groupedOutput appends the output projection in two steps, the first of which
// runs per group of heads.
func (b *builder) groupedOutput() {
	c, tp := b.c, int64(b.s.TP)
	d, h, w := int64(c.HiddenSize), int64(c.NumHeads), int64(c.HeadDim)
	g, r := int64(c.OGroups), int64(c.OLoraRank)
	b.rope(h * int64(c.RopeDim) / tp)
	b.product(linear{name: "attn.output", part: "wo_a", rows: b.tokens, n: r, k: h * w / g, batch: g / tp})
	b.matrix(1, g*r, h*w/g)
	b.keepInput("output latent", b.tokens*g*r/tp, PerOp, false)
	b.product(linear{name: "attn.output", part: "wo_b", rows: b.tokens, n: d, k: g * r / tp})
	b.matrix(1, d, g*r)
	b.leaveTP("attn.output")
}
