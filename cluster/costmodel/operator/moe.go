package operator

import (
	"github.com/temper-ml/temper/model/arch"
)

// moe appends router, dispatch, the local experts, combine, and the shared expert.
//
// Assignments are spread evenly over the EP*ETP ranks but for the imbalance: what
// the busiest rank receives is rho times what each sends.
func (b *builder) moe() {
	c, d := b.c, int64(b.c.HiddenSize)
	sent := b.mine * int64(c.TopK)
	got := int64(float64(sent*int64(b.s.ETP)) * b.n.rho())
	b.module = Experts
	b.router()
	b.permute("permute", sent, d)
	b.exchange("dispatch", sent, d)
	b.local(got, d)
	b.exchange("combine", sent, d)
	b.permute("unpermute", sent, d)
	b.module = 0
	if c.SharedExperts > 0 {
		b.mlp("shared", Shared|Experts, int64(c.SharedIntermediate()), false)
	}
}

// router appends the scores of all experts, in float32.
func (b *builder) router() {
	c := b.c
	d, e := int64(c.HiddenSize), int64(c.Experts)
	b.product(linear{name: "router", part: "gate", rows: b.mine, n: e, k: d, dtype: FP32, copies: b.copies})
	b.vector("router", "top-k", 12*float64(b.mine*e), 12*float64(b.mine*e), 6)
	b.wholeMatrix(e, d)
	b.whole(boolTimes(c.Family == arch.GPTOSS, e), 1) // a bias with a gradient
	switch {
	case c.IsHash(b.layer):
		b.count(Parameters{Hash: int64(c.VocabSize) * int64(c.TopK)})
	case c.TopKMethod == "noaux_tc":
		b.count(Parameters{Replicated: e, Frozen: e})
	}
	b.keep("router scores", 8*b.mine*e, Experts)
}

// permute appends the reordering of assigned tokens by expert, or back.
func (b *builder) permute(part string, rows, d int64) {
	bytes := 2 * b.act() * float64(rows*d)
	b.vector("experts", part, bytes, bytes, 2)
}

// dispatchType is the format in which tokens travel to their experts.
func (b *builder) dispatchType() DType {
	if b.n.DType.Quantised() && b.e.FP8Dispatch {
		return FP8
	}
	return b.e.Weights
}

// exchange appends one all-to-all over the ranks that share the experts, and what
// the ranks that share an expert must show each other.
func (b *builder) exchange(part string, rows, d int64) {
	dispatch := part == "dispatch"
	if b.s.ETP > 1 && !dispatch {
		b.message("experts", "etp.leave", ETP, ReduceScatter, AllGather, float64(rows*d*int64(b.s.ETP))*b.act()*b.n.rho())
	}
	if b.s.EP > 1 {
		b.allToAll(part, float64(rows*d)*b.n.rho(), dispatch)
	}
	if b.s.ETP > 1 && dispatch {
		b.message("experts", "etp.enter", ETP, AllGather, ReduceScatter, float64(rows*d*int64(b.s.ETP))*b.act()*b.n.rho())
	}
}

// allToAll appends the message itself; the way back is another all-to-all, of
// gradients, which are never quantised.
func (b *builder) allToAll(part string, values float64, dispatch bool) {
	b.message("experts", part, EP, AllToAll, AllToAll, values*b.act())
	op, back, _ := b.last()
	if dispatch {
		op.DType = b.dispatchType()
		op.Payload = values * op.DType.Bytes()
	}
	for _, o := range []*Operator{op, &back[0]} {
		o.Overlap = b.e.OverlapEP
		if !b.e.MergedDispatch {
			continue
		}
		o.TopK = b.c.TopK
		if b.c.ExpertGroups > 1 { // one group is no limit
			o.Fanout, o.Groups = b.c.TopKGroups, b.c.ExpertGroups
		}
	}
}

// local appends the products of the experts that live on this rank.
func (b *builder) local(rows, d int64) {
	c := b.c
	here := int64(c.Experts / b.s.EP)
	f := int64(c.MoEIntermediate / b.s.ETP)
	ways := b.ways()
	b.keepInput("dispatched tokens", rows*d, Experts|PerOp, false)
	b.product(linear{name: "experts", part: "up", rows: rows, n: ways * f, k: d, again: 1})
	b.group(here)
	b.activation("experts", rows, f, Experts)
	b.product(linear{name: "experts", part: "down", rows: rows, n: d, k: f, again: 1})
	b.group(here)
	if !b.e.CombineInside {
		b.keep("expert output", b.size(rows*d), Experts)
	}
	b.alive(b.size(rows*(2*d+b.ways()*f+f)) + b.size(2*b.mine*d))
	values := (ways + 1) * here * f * d
	b.count(Parameters{Expert: values, MuonExpert: values, Largest: here * d * int64(c.MoEIntermediate)})
	b.quantised(values)
	if c.Family == arch.GPTOSS { // its experts have biases
		b.count(Parameters{Expert: here * (ways*f + d)})
	}
}

// group turns the last product over all rows into one per local expert: the
// operations stay, every expert's weight is read and every gradient written.
func (b *builder) group(experts int64) {
	op, input, weight := b.last()
	rows := max(1, op.M/experts)
	for _, o := range []*Operator{op, &input[len(input)-1], &weight[0]} {
		once := o.DType.Bytes() * float64(op.N*op.K)
		if o == &weight[0] {
			once = 2 * b.e.Gradient.Bytes() * float64(op.N*op.K)
			o.K = rows
		} else {
			o.M = rows
		}
		o.Class, o.Batch = GroupedProduct, experts
		o.Bytes += float64(once * float64(experts-1))
		if !b.e.GroupedExperts {
			o.Launches = int(experts)
		}
	}
}
