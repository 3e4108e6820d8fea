package operator

// Residual streams (mHC): each sublayer reads a mixture of the streams and writes
// to all of them, by maps that the streams themselves decide.

// streams appends one sublayer between the reading and the writing of the
// streams; between receives nothing and appends the sublayer.
func (b *builder) streams(name string, sublayer func()) {
	s, d := int64(b.c.HCMult), int64(b.c.HiddenSize)
	maps := (2 + s) * s
	b.module = Streams
	b.streamMap(name, maps)
	b.whole(maps+3, 1)
	b.mix(name+" read", s*d, s*d+d)
	b.module = 0
	b.keep(name+" input", b.size(b.mine*d), Streams|PerOp)
	sublayer()
	b.keep(name+" result", b.size(b.mine*d), 0)
	b.module = Streams
	b.mix(name+" write", s*d+s*s*d, d+2*s*d)
	b.module = 0
	b.keep(name+" maps", 4*b.mine*maps*2, Streams)
	// Gradients of all streams, before and after, beside that of the sublayer.
	b.alive(b.size(b.mine * d * (2*s + 2)))
}

// streamMap appends the product that decides the maps, in float32, and the
// iterations that balance them.
func (b *builder) streamMap(name string, n int64) {
	s, d := int64(b.c.HCMult), int64(b.c.HiddenSize)
	b.product(linear{name: "mhc.map", part: name, rows: b.mine, n: n, k: s * d, dtype: FP32, copies: b.copies})
	b.wholeMatrix(n, s*d)
	launches := 2
	if !b.e.FusedNorms {
		launches = 2 * max(1, b.c.HCSinkhornIters)
	}
	b.vector("mhc.map", name+" balance", 8*float64(b.mine*n), 16*float64(b.mine*n), launches)
}

// mix appends a mixing of streams: macs multiply-adds and moved values per token.
func (b *builder) mix(part string, macs, moved int64) {
	op := Operator{
		Name: "mhc.mix", Part: part, Class: Vector, DType: b.e.Weights, Copies: b.copies,
		FLOPs: 2 * float64(macs) * float64(b.mine), Bytes: b.act() * float64(moved*b.mine),
	}
	back := op
	back.FLOPs *= 2
	back.Bytes *= 2
	b.forward(op, b.answer(back), nil)
}

// mergeStreams appends the reduction of all streams to one before the head.
func (b *builder) mergeStreams() {
	s, d := int64(b.c.HCMult), int64(b.c.HiddenSize)
	b.product(linear{name: "mhc.map", part: "head", rows: b.mine, n: s, k: s * d, dtype: FP32, copies: b.copies})
	b.wholeMatrix(s, s*d)
	b.whole(s+1, 1)
	b.mix("head read", s*d, s*d+d)
	b.keep("merged streams", b.size(b.mine*d), Streams)
}

// joinStreams appends the two projections of an MTP depth: of the next token's
// embedding, and of every stream.
func (b *builder) joinStreams() {
	s, d := int64(b.c.HCMult), int64(b.c.HiddenSize)
	b.norm("hnorm", b.mine*s, d, d)
	b.keepInput("join input", b.mine*(1+s)*d, PerOp, false)
	b.keep("join input, not normed", b.size(b.mine*(1+s)*d), PerOp)
	b.product(linear{name: "mtp.join", part: "e_proj", rows: b.mine, n: d, k: d, copies: b.copies})
	b.product(linear{name: "mtp.join", part: "h_proj", rows: b.mine * s, n: d, k: d, copies: b.copies})
	b.wholeMatrix(d, d)
	b.wholeMatrix(d, d)
	b.quantised(2 * d * d)
}
