package operator

// feedForward appends the feed-forward sublayer: dense, or experts.
func (b *builder) feedForward() {
	d := int64(b.c.HiddenSize)
	b.keep("feed-forward input", b.size(b.mine*d), PerOp)
	b.module = Norms | PerOp
	b.norm("ffn_norm", b.mine, d, d)
	b.module = 0
	b.experts()
	b.residual("feed-forward")
}

// experts appends what stands between the norm and the residual: a dense block,
// or router, experts and shared expert.
func (b *builder) experts() {
	d := int64(b.c.HiddenSize)
	if !b.c.IsMoE(b.layer) {
		b.keepInput("feed-forward norm output", b.mine*d, Norms|PerOp, false)
		b.mlp("dense", Dense, int64(b.c.IntermediateSize), b.c.MLPBias || b.c.HasLearnedPositions())
		return
	}
	b.keepInput("feed-forward norm output", b.mine*d, Norms|PerOp, true) // the router reads it in full
	b.moe()
}

// mlp appends a feed-forward block of the given width, split over TP.
func (b *builder) mlp(name string, module Module, width int64, bias bool) {
	d, f, ways := int64(b.c.HiddenSize), width/int64(b.s.TP), b.ways()
	b.module = module
	b.enterTP(name)
	b.product(linear{name: name, part: "up", rows: b.tokens, n: ways * f, k: d, again: 1 - 1/float64(ways)})
	b.activation(name, b.tokens, f, module)
	if b.e.StopsEarly && name == "dense" {
		b.out.stop = len(b.out.Forward)
	}
	b.product(linear{name: name, part: "down", rows: b.tokens, n: d, k: f})
	if !b.e.Compiled { // the choice by operator keeps this result although nothing needs it
		b.instead(name+" down", b.size(b.mine*d), PerOp)
	}
	b.leaveTP(name)
	b.module = 0
	b.matrix(ways+1, width, d)
	b.bias(bias, ways*width)
	b.whole(boolTimes(bias, d), 1)
}

// ways is the number of matrices that read the input: gate and up, or up alone.
func (b *builder) ways() int64 {
	if b.c.IsGated() {
		return 2
	}
	return 1
}

// activation appends the activation over rows of width f, and keeps what its
// gradient and that of the next product need. With per-operator recomputation the
// first of gate and up stays, the second is formed again.
func (b *builder) activation(name string, rows, f int64, module Module) {
	up := b.ways() * f
	launches, pass := 2, int64(0)
	if b.e.FusedActivation || b.e.Compiled {
		launches = 1
	} else {
		pass = 2 * f // what the first kernel writes and the second reads
	}
	b.module |= Activation | PerOp
	bytes := b.act() * float64(rows)
	b.vector(name, "activation", bytes*float64(up+f+pass), bytes*float64(2*up+f+2*pass), launches)
	b.module &^= Activation | PerOp
	b.keep(name+" up", b.size(rows*f), module)
	b.keep(name+" gate", b.size(rows*(up-f)), module|PerOp)
	b.keepInput(name+" activation", rows*f, module|Activation|PerOp, false)
	// The gradient of the activation: what comes in, what goes out, and, where it is
	// not one kernel, the pieces between.
	pieces := up + f
	if launches > 1 {
		pieces += up
	}
	b.alive(b.size(rows*pieces) + b.size(2*b.mine*int64(b.c.HiddenSize)) + b.gathered())
}
