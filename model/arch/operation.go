package arch

// Operation is a product of a training step, with the shape in which the trainer
// runs it. [Config.Operations] lists them one by one, from the table of parameters
// and by counting the keys of every query, where [Config.FLOPs] has formulas: two
// ways to the same number, and kernel.Watch is the third.
type Operation struct {
	Layer    int    // block, -1 outside all blocks
	Operator string // its line of the ledger
	Name     string // role of the weight; "scores", "values", "pooling", "mixing" have none
	Pass     Pass
	// Count products of M rows and N columns, each element a chain of K.
	Count, M, N, K int64
	// Wanted are the multiplications that the model's definition asks for: what the
	// ledger counts. More is executed where a product covers tokens that nothing
	// depends on.
	Wanted int64
}

// Executed returns the multiplications that the shape stands for. Attention over
// dense blocks computes still more and masks it.
func (o *Operation) Executed() int64 { return o.Count * o.M * o.N * o.K }

// Pass says which pass an [Operation] belongs to.
type Pass int

// The passes.
const (
	Forward Pass = iota
	InputGradient
	WeightGradient
)

// String returns the pass's name.
func (p Pass) String() string {
	return [...]string{"forward", "input gradient", "weight gradient"}[p]
}

// operations is a list of operations being written.
type operations struct {
	c     *Config
	work  Work
	depth []sequences // what each prediction depth sees
	out   []Operation
}

// Operations lists the products of one forward and backward pass over the work, as
// one micro-batch. Those of the routed experts of a block are one entry, over the
// rows of all of them.
func (c *Config) Operations(w Work) []Operation {
	o := &operations{c: c, work: w}
	depths := 0
	if w.MTP {
		depths = c.NumMTP
	}
	for i := range depths + 1 {
		o.depth = append(o.depth, lengths(w.Lengths, i))
	}
	c.distinct(func(t *Tensor, _ int) {
		if t.Layer < c.NumLayers+depths && (t.Optim == Matrix || c.isHead(t)) {
			o.weight(t)
		}
	})
	for l := range c.NumLayers + depths {
		o.attention(l)
		o.mixing(l)
	}
	if c.Family == V4 {
		o.still(-1, "mhc.mix", "mixing", o.depth[0].tokens, int64(c.HCMult), int64(c.HiddenSize))
	}
	return o.out
}

// of returns what a block sees.
func (o *operations) of(layer int) sequences { return o.depth[max(0, layer-o.c.NumLayers+1)] }

// still adds a product of activations and its two gradients, all wanted.
func (o *operations) still(layer int, operator, name string, m, n, k int64) {
	for pass := range WeightGradient + 1 {
		o.out = append(o.out, Operation{layer, operator, name, pass, 1, m, n, k, m * n * k})
	}
}

// linear adds the product of rows with a weight of count blocks [n, k], of which
// wanted rows in parts of 1/all are wanted, and its gradients.
func (o *operations) linear(t *Tensor, operator string, rows, wanted int64, passes ...Pass) {
	count := int64(t.Blocks)
	n, k := int64(t.Rows())/count, int64(t.Cols())
	if t.Expert >= 0 { // stacked or not, each row meets one expert
		count, n, k = 1, int64(t.Shape[len(t.Shape)-2]), int64(t.Shape[len(t.Shape)-1])
	}
	for _, pass := range passes {
		op := Operation{Layer: t.Layer, Operator: operator, Name: string(t.Role), Pass: pass, Count: count, Wanted: wanted * count * n * k}
		switch pass {
		case Forward:
			op.M, op.N, op.K = rows, n, k
		case InputGradient:
			op.M, op.N, op.K = rows, k, n
		case WeightGradient:
			op.M, op.N, op.K = n, k, rows
		}
		o.out = append(o.out, op)
	}
}

// operatorOf names the ledger's line of a weight.
var operatorOf = map[Role]string{
	AttnFn: "mhc.map", FFNFn: "mhc.map", HeadFn: "mhc.map",
	WQA: "attn.query", WQB: "attn.query", WQ: "attn.query",
	WKV: "attn.key", WKVA: "attn.key", WKVB: "attn.key", WK: "attn.key", WV: "attn.key",
	WOA: "attn.output", WOB: "attn.output", WO: "attn.output",
	CompKV: "compressor", CompGate: "compressor",
	IndexQB: "indexer", IndexWeights: "indexer", IndexCompKV: "indexer", IndexCompGate: "indexer",
	Gate:     "router",
	ExpertW1: "experts", ExpertW2: "experts", ExpertW3: "experts", ExpertW13: "experts",
	SharedW1: "shared", SharedW2: "shared", SharedW3: "shared",
	DenseW1: "dense", DenseW2: "dense", DenseW3: "dense",
	EProj: "mtp.join", HProj: "mtp.join", EHProj: "mtp.join",
	Head: "head", Embed: "head", // an embedding multiplies only as a head
}

// weight adds the products with a weight.
func (o *operations) weight(t *Tensor) {
	all := []Pass{Forward, InputGradient, WeightGradient}
	operator := operatorOf[t.Role]
	if t.Layer < 0 && t.Role != HeadFn {
		for depth, s := range o.depth { // the head, for every depth
			own := *t
			if depth > 0 {
				own.Layer = o.c.NumLayers + depth - 1
			}
			rows := o.work.projected(depth, s.tokens)
			o.linear(&own, operator, rows, rows, all...)
		}
		return
	}
	s := o.of(t.Layer)
	rows := s.tokens
	switch t.Role {
	case HProj:
		rows *= int64(o.c.HCMult)
	case CompKV, CompGate:
		o.linear(t, operator, rows, o.blocked(t.Layer, s), all...)
		return
	case IndexQB, IndexWeights, IndexCompKV, IndexCompGate:
		o.indexWeight(t, s)
		return
	case WQKV:
		o.joint(t, rows)
		return
	}
	if t.Expert >= 0 {
		rows *= int64(o.c.TopK)
	}
	o.linear(t, operator, rows, rows, all...)
}

// joint adds a projection that makes queries, keys and values together, as the two
// lines that it counts under.
func (o *operations) joint(t *Tensor, rows int64) {
	part := *t
	for _, p := range []struct {
		operator string
		width    int
	}{{"attn.query", o.c.NumHeads * o.c.HeadDim}, {"attn.key", 2 * o.c.NumKVHeads * o.c.HeadDim}} {
		part.Shape = []int{p.width, o.c.HiddenSize}
		o.linear(&part, p.operator, rows, rows, Forward, InputGradient, WeightGradient)
	}
}

// blocked returns the tokens that make up whole blocks.
func (o *operations) blocked(layer int, s sequences) int64 {
	ratio := int64(o.c.Ratio(layer))
	return int64(s.sum(func(n int64) int64 { return n / ratio * ratio }))
}

// indexWeight adds the products with a weight of an indexer, whose inputs get no
// gradient. Without its loss it runs only where a sequence has entries to choose
// from, and then over the whole micro-batch.
func (o *operations) indexWeight(t *Tensor, s sequences) {
	passes := []Pass{Forward, WeightGradient}
	wants := s
	if !o.work.IndexerLoss {
		passes, wants = passes[:1], o.c.choosing(t.Layer, s)
	}
	if wants.tokens == 0 {
		return
	}
	wanted := wants.tokens
	if t.Role == IndexCompKV || t.Role == IndexCompGate {
		wanted = o.blocked(t.Layer, wants)
	}
	o.linear(t, "indexer", s.tokens, wanted, passes...)
}

// attention adds what a block's queries do with keys, and the making of the
// compressed ones.
func (o *operations) attention(layer int) {
	c, s := o.c, o.of(layer)
	window, ratio := int64(c.LayerWindow(layer)), int64(c.Ratio(layer))
	operator := "attn.full"
	if window > 0 {
		operator = "attn.window"
	}
	own := s.each2(func(t, _ int64) int64 {
		if window > 0 {
			return min(t+1, window)
		}
		return t + 1
	})
	heads, key, value := int64(c.NumHeads), int64(c.QueryDim()), int64(c.ValueWidth())
	o.still(layer, operator, "scores", own, heads, key)
	o.still(layer, operator, "values", own, heads, value)
	if ratio == 0 {
		return
	}
	attended := s.each2(func(t, _ int64) int64 {
		if seen := (t + 1) / ratio; c.Kind(layer) != CSA || seen <= int64(c.IndexTopK) {
			return seen
		}
		return int64(c.IndexTopK)
	})
	o.still(layer, "attn.compressed", "scores", attended, heads, key)
	o.still(layer, "attn.compressed", "values", attended, heads, value)
	o.still(layer, "compressor", "pooling", o.members(layer, s), int64(c.HeadDim), 1)
	if c.Kind(layer) == CSA {
		o.indexScores(layer, s, attended)
	}
}

// each2 adds f up over all queries: t is a query's place in its sequence of n.
func (s sequences) each2(f func(t, n int64) int64) int64 {
	var total int64
	for _, n := range s.each {
		for t := range n {
			total += f(t, n)
		}
	}
	return total
}

// members returns how many tokens make up the compressed keys, a token counting
// once for every key.
func (o *operations) members(layer int, s sequences) int64 {
	ratio := o.c.Ratio(layer)
	var total int64
	for _, n := range s.each {
		for block := range n / int64(ratio) {
			total += int64(ratio)
			if block > 0 && overlap(ratio) == 2 {
				total += int64(ratio)
			}
		}
	}
	return total
}

// indexScores adds the scores that an indexer forms: to choose, or for its loss.
func (o *operations) indexScores(layer int, s sequences, attended int64) {
	c := o.c
	ratio, k, learn := int64(c.Ratio(layer)), int64(c.IndexTopK), o.work.IndexerLoss
	scored := s.each2(func(t, _ int64) int64 {
		if seen := (t + 1) / ratio; learn || seen > k {
			return seen
		}
		return 0
	})
	if !c.IsMTP(layer) {
		for _, n := range o.work.Given {
			for t := range int64(n) {
				if seen := (t + 1) / ratio; seen > k {
					scored -= seen
					if learn {
						scored += k
					}
				}
			}
		}
	}
	add := func(name string, pass Pass, m, k int64) {
		o.out = append(o.out, Operation{layer, "indexer", name, pass, 1, m, int64(c.IndexHeads), k, m * int64(c.IndexHeads) * k})
	}
	pool := func(pass Pass, wanted int64) {
		if wanted == 0 {
			return
		}
		m, wide := o.members(layer, s), int64(c.IndexHeadDim)
		o.out = append(o.out, Operation{layer, "indexer", "pooling", pass, 1, m, wide, 1, wanted * wide})
	}
	wide := int64(c.IndexHeadDim)
	add("scores", Forward, scored, wide)
	add("weights", Forward, scored, 1)
	if !learn {
		pool(Forward, o.members(layer, c.choosing(layer, s)))
		return
	}
	pool(Forward, o.members(layer, s))
	for _, pass := range []Pass{InputGradient, WeightGradient} {
		pool(pass, o.members(layer, s))
		add("scores", pass, attended, wide)
		add("weights", pass, attended, 1)
	}
}

// mixing adds what the residual streams of a block do with each other.
func (o *operations) mixing(layer int) {
	c := o.c
	if c.Family != V4 {
		return
	}
	tokens, s, d := o.of(layer).tokens, int64(c.HCMult), int64(c.HiddenSize)
	for range 2 { // attention and experts
		o.still(layer, "mhc.mix", "mixing", tokens, s*d, 2+s)
	}
	if layer >= c.NumLayers {
		o.still(layer, "mhc.mix", "mixing", tokens, s, d)
	}
}
