package operator

import (
	"github.com/temper-ml/temper/model/arch"
)

// embedding appends the look-up of the input embedding, split over TP by rows.
func (b *builder) embedding() {
	c, d := b.c, int64(b.c.HiddenSize)
	bytes := b.act() * float64(b.tokens*d)
	b.vector("embedding", "look-up", 2*bytes, 3*bytes, 1)
	b.table(int64(c.VocabSize), d)
	if c.HasLearnedPositions() {
		b.whole(int64(c.MaxPositions)*d, 1)
	}
	b.leaveTP("embedding")
	b.keep("token ids", 8*b.tokens, 0)
	if c.EmbedDropout > 0 {
		b.keep("embedding dropout mask", b.mine*d, 0)
	}
	// The gradient of the table is formed whole, in the weights' format.
	b.out.Table = b.size(ceil(int64(c.VocabSize), int64(b.s.TP)) * d)
	b.boundary()
}

// head appends the final norm, the head and the loss, with their weights.
func (b *builder) head() {
	c, d := b.c, int64(b.c.HiddenSize)
	b.out.Saved = append(b.out.Saved, Saved{Name: "head input", Bytes: b.size(b.mine * b.width())})
	b.sharedHead()
	if !c.TieEmbeddings {
		b.table(int64(c.VocabSize), d)
	}
}

// sharedHead appends the same without the head's own weight.
func (b *builder) sharedHead() {
	c, d, tp := b.c, int64(b.c.HiddenSize), int64(b.s.TP)
	if c.Family == arch.V4 {
		b.mergeStreams()
	}
	b.norm("norm", b.mine, d, d)
	b.keep("head norm output", b.size(b.mine*d), 0)
	b.enterTP("head")
	vocab := ceil(int64(c.VocabSize), tp)
	b.product(linear{name: "head", part: "head", rows: b.tokens, n: vocab, k: d, dtype: b.plainType(), plain: true})
	if b.e.FusedGradients {
		b.out.Weights = append(b.out.Weights, Shape{vocab, d})
	}
	op, input, weight := b.last()
	for _, o := range []*Operator{op, &input[0], &weight[0]} { // the padding of an uneven split is not counted
		o.FLOPs = 2 * float64(b.tokens) * float64(d) * float64(c.VocabSize) / float64(tp)
	}
	b.crossEntropy(vocab)
}

// crossEntropy appends the loss over this rank's part of the vocabulary. Logits
// live from the product that makes them to its gradient, so they count as working
// memory of the backward pass and not as kept.
func (b *builder) crossEntropy(vocab int64) {
	logits := float64(b.tokens * vocab)
	if b.e.FusedCrossEntropy {
		b.vector("loss", "cross entropy", 2*b.act()*logits, b.act()*logits, 1)
	} else {
		b.vector("loss", "cross entropy", 14*logits, 8*logits, 6)
	}
	each := b.e.LossBytes
	if b.s.TP > 1 {
		each = b.e.LossBytesTP
		b.message("loss", "maximum and sum", TP, AllReduce, NoPattern, 12*float64(b.tokens))
	}
	b.out.Logits = int64(each * logits)
	b.alive(b.out.Logits + b.gathered() + b.size(2*b.mine*int64(b.c.HiddenSize)))
}

// join appends the projections that bring trunk and next token together.
func (b *builder) join() {
	c, d := b.c, int64(b.c.HiddenSize)
	b.norm("enorm", b.mine, d, d)
	if c.Family == arch.V4 {
		b.joinStreams()
		return
	}
	b.norm("hnorm", b.mine, d, d)
	b.keepInput("join input", b.mine*2*d, PerOp, false)
	b.keep("join input, not normed", b.size(b.mine*2*d), PerOp)
	b.product(linear{name: "mtp.join", part: "eh_proj", rows: b.mine, n: d, k: 2 * d, copies: b.copies})
	b.wholeMatrix(d, 2*d)
	b.quantised(2 * d * d)
}
