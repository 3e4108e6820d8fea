package arch

// Work is what one pass processes: packed sequences, each isolated from the
// others, and which optional parts take part.
type Work struct {
	Lengths     []int // real tokens of each sequence, no padding
	MTP         bool  // the MTP blocks run too, on every position that has a next token
	IndexerLoss bool  // the indexer is trained by its own loss, on detached inputs

	// Supervised counts the positions with a label: of the trunk, then of each MTP
	// block. The output head multiplies these only. Nil stands for every position
	// that a block processes; depths beyond the list have none.
	Supervised []int64

	// Given is of how many first tokens of each sequence the compressed keys that they
	// attend in the trunk are given, not chosen: nothing scores the others. Nil for none.
	Given []int
}

// Item is one line of a [Ledger]: a named component of one block.
type Item struct {
	Layer             int // block, as in [Tensor.Layer]
	Name              string
	Forward, Backward float64 // floating-point operations; a multiply-add is two
}

// Ledger lists the products that a pass needs, component by component. It counts
// every contraction (projections, attended keys, pooling, mHC maps and mixing)
// and nothing pointwise: norms, activations, exponentials, rotations, Sinkhorn
// steps, sorting and the optimizer are left out, as is any recomputation. Keys
// are those really attended: the causal window, the compressed keys that are
// visible and selected, the scores an indexer must form to select them.
//
// Components: mhc.map, mhc.mix, attn.query, attn.key (and value), attn.window
// (a sliding one), attn.compressed, attn.full, attn.output, compressor, indexer,
// router, experts, shared, dense, mtp.join, head.
type Ledger struct {
	Tokens int64
	Items  []Item
}

// Forward returns the operations of the forward pass.
func (l *Ledger) Forward() float64 {
	var sum float64
	for _, it := range l.Items {
		sum += it.Forward
	}
	return sum
}

// Backward returns the operations of the backward pass.
func (l *Ledger) Backward() float64 {
	var sum float64
	for _, it := range l.Items {
		sum += it.Backward
	}
	return sum
}

// Total returns forward and backward together.
func (l *Ledger) Total() float64 { return l.Forward() + l.Backward() }

// PerToken returns forward and backward operations per token.
func (l *Ledger) PerToken() float64 { return l.Total() / float64(l.Tokens) }

// Block returns the operations of one block, or with -1 of what lies outside all
// blocks: the trunk's output head.
func (l *Ledger) Block(layer int) (forward, backward float64) {
	for _, it := range l.Items {
		if it.Layer == layer {
			forward += it.Forward
			backward += it.Backward
		}
	}
	return forward, backward
}

// ByName adds the blocks up, one item (of layer -1) per component, in the order
// in which the components first appear.
func (l *Ledger) ByName() []Item {
	var out []Item
	at := make(map[string]int)
	for _, it := range l.Items {
		i, ok := at[it.Name]
		if !ok {
			i = len(out)
			at[it.Name] = i
			out = append(out, Item{Layer: -1, Name: it.Name})
		}
		out[i].Forward += it.Forward
		out[i].Backward += it.Backward
	}
	return out
}

// FLOPs returns the ledger of one forward and backward pass over the work.
func (c *Config) FLOPs(w Work) *Ledger {
	l := &ledger{c: c, work: w}
	trunk := lengths(w.Lengths, 0)
	l.out.Tokens = trunk.tokens
	for i := range c.NumLayers {
		l.layer, l.seqs = i, trunk
		l.block()
	}
	l.layer, l.seqs = -1, trunk
	l.head(0)
	if !w.MTP {
		return &l.out
	}
	for i := range c.NumMTP {
		l.layer, l.seqs = c.NumLayers+i, lengths(w.Lengths, i+1)
		l.join()
		l.block()
		l.head(i + 1)
	}
	return &l.out
}

// sequences are the lengths that one block sees.
type sequences struct {
	each   []int64
	tokens int64
}

// lengths shortens every sequence by cut, for MTP depths that need later tokens.
func lengths(all []int, cut int) sequences {
	var s sequences
	for _, n := range all {
		n := int64(max(0, n-cut))
		s.each = append(s.each, n)
		s.tokens += n
	}
	return s
}

// sum adds f over the sequences.
func (s sequences) sum(f func(n int64) int64) float64 {
	var total int64
	for _, n := range s.each {
		total += f(n)
	}
	return float64(total)
}

// ledger is a Ledger being written.
type ledger struct {
	c     *Config
	work  Work
	layer int
	seqs  sequences
	out   Ledger
}

// put adds one item of fwd multiply-adds whose backward pass costs times as many.
func (l *ledger) put(name string, fwd, times float64) {
	l.out.Items = append(l.out.Items, Item{l.layer, name, 2 * fwd, 2 * fwd * times})
}

// perToken adds an item of the given multiply-adds per token, both gradients needed.
func (l *ledger) perToken(name string, macs int) {
	l.put(name, float64(macs)*float64(l.seqs.tokens), 2)
}

func (l *ledger) block() {
	c := l.c
	switch c.layout() {
	case layoutV4:
		s, d := c.HCMult, c.HiddenSize
		l.perToken("mhc.map", 2*(2+s)*s*s*d)
		l.perToken("mhc.mix", 2*(s*d+s*d+s*s*d)) // pre; post and mixing
		l.v4Attention()
	case layoutMLA:
		l.latentAttention()
	default:
		l.groupedAttention()
	}
	d, f, matrices := c.HiddenSize, c.MoEIntermediate, 3
	if !c.IsGated() {
		matrices = 2
	}
	if !c.IsMoE(l.layer) {
		l.perToken("dense", matrices*d*c.IntermediateSize)
		return
	}
	l.perToken("router", c.Experts*d)
	l.perToken("experts", c.TopK*matrices*d*f)
	if c.SharedExperts > 0 {
		l.perToken("shared", matrices*d*c.SharedIntermediate())
	}
}

func (l *ledger) v4Attention() {
	c := l.c
	d, heads := c.HiddenSize, c.NumHeads*c.HeadDim
	l.perToken("attn.query", c.QLoraRank*(d+heads))
	l.perToken("attn.key", c.HeadDim*d)
	l.put("attn.window", 2*float64(heads)*l.seqs.sum(func(n int64) int64 { return windowKeys(n, c.SlidingWindow) }), 2)
	if c.Kind(l.layer) != Window {
		l.compressed()
	}
	l.perToken("attn.output", c.OLoraRank*heads+d*c.OGroups*c.OLoraRank)
}

// compressed adds what a compressing layer does beyond the window.
func (l *ledger) compressed() {
	c := l.c
	ratio, topK := c.Ratio(l.layer), 0
	if c.Kind(l.layer) == CSA {
		topK = c.IndexTopK
	}
	attended := l.seqs.sum(func(n int64) int64 { return compressedKeys(n, ratio, topK) })
	l.put("attn.compressed", 2*float64(c.NumHeads*c.HeadDim)*attended, 2)
	project, pool := l.seqs.compress(ratio, c.HeadDim, c.HiddenSize)
	l.put("compressor", project+pool, 2)
	if topK > 0 {
		l.indexer(ratio, attended)
	}
}

// indexer adds what it costs to choose compressed keys. Its inputs are detached: its
// loss asks for weight gradients only, and for gradients of the selected scores.
// Without the loss it is needed only for queries that see more keys than they
// attend, and in sequences that have such queries.
func (l *ledger) indexer(ratio int, attended float64) {
	c, seqs := l.c, l.seqs
	scored := func(n int64) int64 { return compressedKeys(n, ratio, 0) }
	if !l.work.IndexerLoss {
		seqs = c.choosing(l.layer, seqs)
		scored = func(n int64) int64 {
			return compressedKeys(n, ratio, 0) - compressedKeys(int64(c.IndexTopK+1)*int64(ratio)-1, ratio, 0)
		}
	}
	wide := c.IndexHeads * c.IndexHeadDim
	project, pool := seqs.compress(ratio, c.IndexHeadDim, c.HiddenSize)
	project += float64(float64(wide*c.QLoraRank+c.IndexHeads*c.HiddenSize) * float64(seqs.tokens))
	perScore := float64(wide + c.IndexHeads)
	scores := seqs.sum(scored) - float64(l.given(ratio))
	forward, backward := project+pool+float64(perScore*scores), 0.0
	if l.work.IndexerLoss {
		backward = project + float64(2*pool) + float64(2*perScore*attended)
	}
	l.out.Items = append(l.out.Items, Item{l.layer, "indexer", 2 * forward, 2 * backward})
}

// given returns how many scores nothing forms, as the choice that they would be for is
// given: an indexer's loss needs those of the given keys.
func (l *ledger) given(ratio int) int64 {
	if l.c.IsMTP(l.layer) {
		return 0
	}
	var total int64
	k := int64(l.c.IndexTopK)
	first := (k+1)*int64(ratio) - 1 // that has a choice
	for _, n := range l.work.Given {
		if n := int64(n); n > first {
			total += compressedKeys(n, ratio, 0) - compressedKeys(first, ratio, 0)
			if l.work.IndexerLoss {
				total -= k * (n - first)
			}
		}
	}
	return total
}

// choosing returns the sequences in which a query of the layer sees more compressed
// keys than it attends.
func (c *Config) choosing(layer int, s sequences) sequences {
	var out sequences
	for _, n := range s.each {
		if n/int64(c.Ratio(layer)) > int64(c.IndexTopK) {
			out.each = append(out.each, n)
			out.tokens += n
		}
	}
	return out
}

// compress returns the multiply-adds of one compressor that makes keys of width
// dim: projections, and pooling. Tokens after the last full block contribute to no
// key; where blocks overlap, the first has no block before it.
func (s sequences) compress(ratio, dim, hidden int) (project, pool float64) {
	blocks := s.sum(func(n int64) int64 { return n / int64(ratio) })
	first := s.sum(func(n int64) int64 { return min(1, n/int64(ratio)) })
	each := float64(ratio * dim)
	project = blocks * each * float64(overlap(ratio)*2*hidden)
	pool = float64(blocks*each*float64(overlap(ratio))) - float64(first*each*float64(overlap(ratio)-1))
	return project, pool
}

func (l *ledger) latentAttention() {
	c := l.c
	d, h := c.HiddenSize, c.NumHeads
	if c.QLoraRank == 0 {
		l.perToken("attn.query", d*h*c.QueryDim())
	} else {
		l.perToken("attn.query", c.QLoraRank*(d+h*c.QueryDim()))
	}
	l.perToken("attn.key", (c.KVLoraRank+c.RopeDim)*d+c.KVLoraRank*h*(c.NopeDim+c.ValueDim))
	l.put("attn.full", float64(h*(c.QueryDim()+c.ValueDim))*l.seqs.sum(causalKeys), 2)
	l.perToken("attn.output", h*c.ValueDim*d)
}

func (l *ledger) groupedAttention() {
	c := l.c
	d, heads := c.HiddenSize, c.NumHeads*c.HeadDim
	l.perToken("attn.query", d*heads)
	l.perToken("attn.key", 2*d*c.NumKVHeads*c.HeadDim)
	if w := c.LayerWindow(l.layer); w > 0 {
		l.put("attn.window", 2*float64(heads)*l.seqs.sum(func(n int64) int64 { return windowKeys(n, w) }), 2)
	} else {
		l.put("attn.full", 2*float64(heads)*l.seqs.sum(causalKeys), 2)
	}
	l.perToken("attn.output", heads*d)
}

// causalKeys sums t+1 over the n queries of a sequence.
func causalKeys(n int64) int64 { return n * (n + 1) / 2 }

// head adds the output head of a depth, 0 for the trunk, and the mHC reduction
// before it.
func (l *ledger) head(depth int) {
	c := l.c
	if c.Family == V4 {
		l.perToken("mhc.map", c.HCMult*c.HCMult*c.HiddenSize)
		l.perToken("mhc.mix", c.HCMult*c.HiddenSize)
	}
	l.put("head", float64(c.VocabSize*c.HiddenSize)*float64(l.work.projected(depth, l.seqs.tokens)), 2)
}

// projected returns how many of a depth's positions the output head multiplies.
func (w *Work) projected(depth int, all int64) int64 {
	switch {
	case w.Supervised == nil:
		return all
	case depth >= len(w.Supervised):
		return 0
	}
	return max(0, min(w.Supervised[depth], all))
}

// join adds the projections that bring trunk and next token together.
func (l *ledger) join() {
	d := l.c.HiddenSize
	if l.c.Family == V4 {
		l.perToken("mtp.join", d*d*(1+l.c.HCMult))
		return
	}
	l.perToken("mtp.join", 2*d*d)
}

// windowKeys sums min(t+1, window) over the n queries of a sequence.
func windowKeys(n int64, window int) int64 {
	w := min(n, int64(window))
	return w*(w+1)/2 + (n-w)*w
}

// compressedKeys sums min(topK, floor((t+1)/ratio)) over the n queries of a
// sequence; topK 0 means no limit.
func compressedKeys(n int64, ratio, topK int) int64 {
	r, k := int64(ratio), int64(topK)
	if k > 0 && n >= k*r {
		return compressedKeys(k*r-1, ratio, 0) + k*(n-k*r+1)
	}
	m := n / r
	return r*m*(m-1)/2 + m*(n-m*r+1)
}
