package operator

// feedForward appends the feed-forward sublayer: dense, or experts.
func (b *builder) feedForward() {
	d := int64(b.c.HiddenSize)
	b.keep("feed-forward input", b.size(b.mine*d), PerOp)
	b.module = Norms
	b.norm("ffn_norm", b.mine, d)
	b.module = 0
	b.keep("feed-forward norm output", b.size(b.mine*d), Norms|PerOp)
	if b.c.IsMoE(b.layer) {
		b.moe()
	} else {
		b.mlp("dense", Dense, int64(b.c.IntermediateSize))
	}
	b.residual("feed-forward")
}

// mlp appends a feed-forward block of the given width, split over TP.
func (b *builder) mlp(name string, module Module, width int64) {
	d, f := int64(b.c.HiddenSize), width/int64(b.s.TP)
	up := b.ways() * f
	b.module = module
	b.enterTP(name)
	b.product(linear{name: name, part: "up", rows: b.tokens, n: up, k: d})
	b.activation(name, b.tokens, f, module)
	b.product(linear{name: name, part: "down", rows: b.tokens, n: d, k: f})
	b.leaveTP(name)
	b.module = 0
	for range b.ways() + 1 {
		b.weight(width, d, true)
	}
}

// ways is the number of matrices that read the input: gate and up, or up alone.
func (b *builder) ways() int64 {
	if gated(b.c) {
		return 2
	}
	return 1
}

// activation appends the gated activation over rows of width f, and keeps what
// its gradient and that of the next product need.
func (b *builder) activation(name string, rows, f int64, module Module) {
	up := b.ways() * f
	launches := 1
	if !b.e.FusedActivation && !b.e.Compiled {
		launches = 2
	}
	m := b.module
	b.module |= Activation
	bytes := b.act() * float64(rows)
	b.vector(name, "activation", bytes*float64(up+f), bytes*float64(2*up+f), launches)
	b.module = m
	b.keep(name+" up", b.size(rows*up), module|PerOp)
	b.keep(name+" activation", b.size(rows*f), module|Activation|PerOp)
}
