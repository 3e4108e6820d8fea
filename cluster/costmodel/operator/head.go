package operator

import "github.com/temper-ml/temper/model/arch"

// embedding appends the look-up of the input embedding, split over TP by rows.
func (b *builder) embedding() {
	d := int64(b.c.HiddenSize)
	bytes := b.act() * float64(b.tokens*d)
	b.vector("embedding", "look-up", 2*bytes, 3*bytes, 1)
	b.weight(int64(b.c.VocabSize), d, false)
	b.leaveTP("embedding")
	b.keep("token ids", 8*b.tokens, 0)
	b.out.Boundary = b.size(b.mine * b.width())
}

// head appends the final norm, the head and the loss, with their weights.
func (b *builder) head() {
	c, d := b.c, int64(b.c.HiddenSize)
	b.out.Saved = append(b.out.Saved, Saved{Name: "head input", Bytes: b.size(b.mine * b.width())})
	b.sharedHead()
	if !c.TieEmbeddings {
		b.weight(int64(c.VocabSize), d, false)
	}
}

// sharedHead appends the same without the head's own weight.
func (b *builder) sharedHead() {
	c, d, tp := b.c, int64(b.c.HiddenSize), int64(b.s.TP)
	if c.Family == arch.V4 {
		b.mergeStreams()
	}
	b.norm("norm", b.mine, d)
	b.keep("head norm output", b.size(b.mine*d), 0)
	b.enterTP("head")
	vocab := (int64(c.VocabSize) + tp - 1) / tp
	b.product(linear{name: "head", part: "head", rows: b.tokens, n: vocab, k: d, dtype: b.headType()})
	out := &b.out.Forward[len(b.out.Forward)-1]
	share := float64(c.VocabSize) / float64(int64(c.VocabSize)+0) / float64(tp)
	exact := 2 * float64(b.tokens) * float64(d) * float64(c.VocabSize) * share
	out.FLOPs = exact
	b.input_[len(b.input_)-1][0].FLOPs = exact
	b.wgrd[len(b.wgrd)-1][0].FLOPs = exact
	b.crossEntropy(vocab)
}

// headType is the format of the output head: never quantised.
func (b *builder) headType() DType { return b.coreType() }

// crossEntropy appends the loss over this rank's part of the vocabulary.
func (b *builder) crossEntropy(vocab int64) {
	logits := float64(b.tokens * vocab)
	if b.e.FusedCrossEntropy {
		b.vector("loss", "cross entropy", 2*b.act()*logits, b.act()*logits, 1)
		b.keep("logits", b.size(b.tokens*vocab), 0)
	} else {
		b.vector("loss", "cross entropy", 14*logits, 8*logits, 6)
		b.keep("logits, float32", 4*b.tokens*vocab, 0)
	}
	if b.s.TP > 1 {
		b.message("loss", "maximum and sum", TP, AllReduce, NoPattern, 12*float64(b.tokens))
	}
}

// join appends the projections that bring trunk and next token together.
func (b *builder) join() {
	c, d := b.c, int64(b.c.HiddenSize)
	b.norm("enorm", b.mine, d)
	if c.Family == arch.V4 {
		b.joinStreams()
		return
	}
	b.norm("hnorm", b.mine, d)
	b.keep("join input", b.size(b.mine*2*d), PerOp)
	copies := 1
	if !b.s.Sequence {
		copies = b.s.TP
	}
	b.product(linear{name: "mtp.join", part: "eh_proj", rows: b.mine, n: d, k: 2 * d, copies: copies})
	b.whole(2*d*d, true)
}
