package operator

// moe appends router, dispatch, the local experts, combine, and the shared expert.
func (b *builder) moe() {
	c := b.c
	d := int64(c.HiddenSize)
	b.module = Experts
	b.router()
	// Assignments are spread evenly over the EP*ETP ranks but for the imbalance:
	// what the busiest rank receives is rho times what it sends.
	k := int64(c.TopK)
	sent := b.mine * k
	got := int64(float64(sent*int64(b.s.ETP)) * b.n.rho())
	b.permute(sent, d)
	b.exchange("dispatch", sent, d, b.dispatchType())
	b.local(got, d)
	b.exchange("combine", sent, d, BF16)
	b.permute(sent, d)
	b.module = 0
	if c.SharedExperts > 0 {
		b.mlp("shared", Shared, int64(c.SharedIntermediate()))
	}
}

// router appends the scores of all experts, in float32.
func (b *builder) router() {
	c := b.c
	d, e := int64(c.HiddenSize), int64(c.Experts)
	copies := 1
	if !b.s.Sequence {
		copies = b.s.TP
	}
	b.product(linear{name: "router", part: "gate", rows: b.mine, n: e, k: d, dtype: FP32, copies: copies})
	b.vector("router", "top-k", 12*float64(b.mine*e), 12*float64(b.mine*e), 8)
	b.whole(e*d, true)
	if b.routingBias() {
		b.out.Parameters.Replicated += e
		b.out.Parameters.Frozen += e
	}
	b.keep("router scores", 4*b.mine*e*2, Experts)
}

// routingBias reports whether the router has a bias that no gradient reaches.
func (b *builder) routingBias() bool {
	return b.c.TopKMethod == "noaux_tc" && !b.c.IsHash(b.layer)
}

// dispatchType is the format in which tokens travel to their experts.
func (b *builder) dispatchType() DType {
	if b.n.DType.Quantised() && b.e.FP8Dispatch {
		return FP8
	}
	return BF16
}

// permute appends the reordering of assigned tokens by expert, or back.
func (b *builder) permute(rows, d int64) {
	bytes := 2 * b.act() * float64(rows*d)
	b.vector("experts", "permute", bytes, bytes, 2)
}

// exchange appends one all-to-all over the ranks that share the experts, and
// what ETP ranks show each other.
func (b *builder) exchange(part string, rows, d int64, format DType) {
	forward := float64(rows*d) * format.Bytes() * b.n.rho()
	b.message("experts", part, EP, AllToAll, AllToAll, b.atLeastTwo(b.s.EP, forward))
	if b.s.EP > 1 {
		op := &b.out.Forward[len(b.out.Forward)-1]
		back := &b.input_[len(b.input_)-1][0]
		op.DType, back.DType = format, BF16
		back.Payload = float64(rows*d) * b.act() * b.n.rho()
		for _, o := range []*Operator{op, back} {
			o.TopK, o.Fanout, o.Overlap = b.c.TopK, b.c.TopKGroups, b.e.OverlapEP
		}
	}
	if b.s.ETP == 1 {
		return
	}
	whole := float64(rows*int64(b.s.ETP)*d) * b.act() * b.n.rho()
	if part == "dispatch" {
		b.message("experts", "etp.enter", ETP, AllGather, ReduceScatter, whole)
	} else {
		b.message("experts", "etp.leave", ETP, ReduceScatter, AllGather, whole)
	}
}

// atLeastTwo returns the payload, or nothing for a group of one.
func (b *builder) atLeastTwo(group int, payload float64) float64 {
	if group < 2 {
		return 0
	}
	return payload
}

// local appends the products of the experts that live on this rank.
func (b *builder) local(rows, d int64) {
	c := b.c
	here := int64(c.Experts / b.s.EP)
	f := int64(c.MoEIntermediate / b.s.ETP)
	up := b.ways() * f
	grouped := func(part string, n, k int64) {
		l := linear{name: "experts", part: part, rows: rows, n: n, k: k, class: GroupedProduct}
		b.product(l)
		b.regroup(here, rows)
	}
	b.keep("dispatched tokens", b.size(rows*d), Experts|PerOp)
	grouped("up", up, d)
	b.activation("experts", rows, f, Experts)
	grouped("down", d, f)
	b.keep("expert output", b.size(rows*d), Experts|PerOp)
	values := (b.ways() + 1) * here * int64(c.MoEIntermediate) * d / int64(b.s.ETP)
	b.out.Parameters = b.out.Parameters.Add(Parameters{
		Expert: values, MuonExpert: values, Largest: here * int64(c.MoEIntermediate) * d,
	})
}

// regroup turns the last product over all rows into one per expert; the
// operations stay the same, the weights are read once per expert.
func (b *builder) regroup(experts, rows int64) {
	op := &b.out.Forward[len(b.out.Forward)-1]
	input := b.input_[len(b.input_)-1]
	weight := b.wgrd[len(b.wgrd)-1]
	for _, o := range []*Operator{op, &input[len(input)-1], &weight[0]} {
		o.Batch = experts
		once := o.DType.Bytes() * float64(op.N*op.K)
		if o == &weight[0] {
			once = 2 * b.e.Gradient.Bytes() * float64(op.N*op.K)
			o.K = max(1, rows/experts)
		} else {
			o.M = max(1, rows/experts)
		}
		o.Bytes += float64(once * float64(experts-1))
		if !b.e.GroupedExperts {
			o.Launches = int(experts)
		}
	}
}
