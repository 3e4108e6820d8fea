package kernel

import "math"

// Segment is one isolated sequence of a micro-batch: tokens Start to End-1.
// Positions, attention windows and compression blocks restart in it.
type Segment struct {
	Start, End int
}

// Len returns the number of tokens.
func (s Segment) Len() int { return s.End - s.Start }

// Attention is causal softmax attention of tokens to earlier tokens of their
// segment and to compressed entries, each of which stands for a block of Ratio
// tokens. It holds what all heads share; [AttentionHeads] hold the operands.
//
// The keys of the query at token t of a segment (t counts from 0 in it) are a
// list: tokens t-Window+1 to t, then compressed entries in ascending order,
// where entry i is visible if i < (t+1)/Ratio. With that list, for one head:
//
//	s[j] = Scale * Σd q[d] k[j][d]                    // one chain over d
//	lse  = log(Σj exp(s[j]) + exp(sink))              // lanes by position j in the list
//	p[j] = exp(s[j]) / (Σj exp(s[j]) + exp(sink))     // the sink takes mass, has no value
//	o[d] = Σj p[j] v[j][d] + 0                        // one chain over j
//
// This is the whole definition: a block of queries is computed as dense
// products in which masked entries are exact zeros, and queries with far more
// visible entries than chosen ones gather their keys first, with the same
// bits. Inputs must be finite.
//
// An Attention may be used again, by one goroutine at a time.
type Attention struct {
	Heads    int     // query heads that share keys and values
	Window   int     // newest tokens a query sees, itself included; 0: all earlier ones
	Ratio    int     // tokens of a compressed entry; 0: there are none
	Scale    float32 // multiplies the scores
	Segments []Segment
	Chosen   *Chosen // entries each token attends; nil: all visible ones
	Past     int     // leading tokens without a query (cached); needs a single segment
	Dropped  int     // leading tokens without a query or a row in K and V
	Serial   bool    // Forward runs on its caller alone

	blockRows int       // rows of a block; 0: defaultBlockRows. Tests vary it
	gathering gathering // which queries gather their keys. Tests force it
	spans     []int     // first span of each segment
	queries   int       // tokens of a span
	lanes     lanes
	sumLanes  lanes

	heads []AttentionHeads // of the present Forward
	sizes attentionLayout
	body  func(lo, hi int) // of its loop, bound once
}

// Chosen lists the compressed entries that each query attends.
type Chosen struct {
	K     int     // room for each query
	Count []int32 // [T] entries of a query
	Index []int32 // [T, K] ascending, relative to the segment's first entry
	// Where Count is the number of visible entries, Index is not read.
}

// row returns the entries of query i.
func (c *Chosen) row(i int) []int32 { return c.Index[i*c.K : i*c.K+int(c.Count[i])] }

// AttentionHeads are the operands of heads that share keys and values. Row
// t*Heads+h of Q, O, DO and DQ, and element t*Heads+h of LSE and Delta, belong
// to head h at token t, counted from the first token that has a query.
type AttentionHeads struct {
	Q, O   Mat // [T*Heads, key or value dim] queries, outputs
	K, V   Mat // [T, dim] of the tokens; may be the same memory
	CK, CV Mat // [entries, dim] of the compressed entries, segments in order
	// Matrices that have pages take the place of those above, in Forward.
	PK, PV, PCK, PCV Pages

	Sink []float32 // [Heads], nil for none
	LSE  []float32 // [T*Heads]

	// The rest is for Backward only.
	DO       Mat       // [T*Heads, value dim]
	Delta    []float32 // [T*Heads] inner products of the rows of DO and O
	DQ       Mat       // overwritten, like all outputs but DSink
	DK, DV   Mat       // gradients through the scores and through the outputs
	DCK, DCV Mat       // the same of the compressed entries
	DSink    []float32 // [Heads] added to, nil for none
	Target   []float32 // [T, Chosen.K] probabilities of the chosen entries summed over heads; nil for none
}

// gathering says which queries copy their chosen entries together.
type gathering int

const (
	gatherLong gathering = iota // those that see more than gatherFactor*K entries
	gatherNone
	gatherAll
)

const (
	defaultBlockRows = 256     // query-head pairs of a block
	maxBlockFloats   = 1 << 20 // scores of a block, unless one query has more
	gatherFactor     = 4
)

// Scratch returns how many float32s Forward, or Backward, needs as scratch
// for heads like these with the present number of threads.
func (a *Attention) Scratch(heads []AttentionHeads, backward bool) int {
	a.plan(len(heads))
	l := a.layout(heads)
	if !backward {
		return a.atOnce() * l.forward()
	}
	return a.roundSpans(len(heads))*l.span() + Threads()*l.lane
}

// Forward computes O and LSE of all heads. The scratch must have the size
// that [Attention.Scratch] returns; its contents do not matter.
func (a *Attention) Forward(heads []AttentionHeads, scratch []float32) {
	a.plan(len(heads))
	l := a.layout(heads)
	a.lanes.reset(scratch, l.forward(), a.atOnce())
	n := a.spans[len(a.Segments)] * len(heads)
	if a.Serial {
		a.forwardSpans(heads, l, 0, n)
		return
	}
	if a.body == nil {
		a.body = func(lo, hi int) { a.forwardSpans(a.heads, a.sizes, lo, hi) }
	}
	a.heads, a.sizes = heads, l
	Parallel(n, 1, a.body)
	a.heads = nil
}

// atOnce returns how many tasks may run at a time.
func (a *Attention) atOnce() int {
	if a.Serial {
		return 1
	}
	return Threads()
}

// forwardSpans computes spans [lo, hi), those of one group of heads after those
// of another.
func (a *Attention) forwardSpans(heads []AttentionHeads, l attentionLayout, lo, hi int) {
	perGroup := a.spans[len(a.Segments)]
	i, buf := a.lanes.take()
	defer a.lanes.give(i)
	for n := lo; n < hi; n++ {
		st := a.stream(&heads[n/perGroup], n%perGroup)
		for b := a.firstBlock(st, n%perGroup-a.spans[st.index]); b.rows > 0; b = a.nextBlock(b) {
			a.forwardBlock(&b, buf, l)
		}
	}
}

// forwardBlock computes the outputs of a block of queries.
func (a *Attention) forwardBlock(b *attentionBlock, buf []float32, l attentionLayout) {
	s := MatOf(buf[:b.rows*b.ld], b.rows, b.ld)
	list := buf[l.scores : l.scores+l.ld]
	ck, cv := b.entries(buf[l.scores+l.ld:])
	h := b.heads
	b.products(s, h.Q, keysOf(h.K, &h.PK, a.Dropped), ck)
	for r := range b.rows {
		sink := float32(math.Inf(-1))
		if h.Sink != nil {
			sink = h.Sink[r%a.Heads]
		}
		h.LSE[b.row0+r] = b.softmax(s.Row(r), list, a.keys(b, b.t0+r/a.Heads), sink, a.Scale)
	}
	o := h.O.Slice(b.row0, b.row0+b.rows, 0, h.O.Cols)
	b.combine(o, s, keysOf(h.V, &h.PV, a.Dropped), cv)
	if w := watching.Load(); w != nil {
		w.attention(a, b, Forward)
	}
}

// combine computes out = w [v; cv] with rows of weights over the block's keys.
func (b *attentionBlock) combine(out, w Mat, v, cv keyRows) {
	more := false
	for lo := b.w0; lo < b.t1; more = true {
		x, to := v.piece(lo, b.t1)
		runIn(InAttention, Product{Form: NN, Out: out, A: w.Slice(0, b.rows, lo-b.w0, to-b.w0), B: x, Accumulate: more})
		lo = to
	}
	nw, first := b.t1-b.w0, b.firstEntry()
	for lo := first; lo < first+b.nc; {
		x, to := cv.piece(lo, first+b.nc)
		runIn(InAttention, Product{Form: NN, Out: out, A: w.Slice(0, b.rows, nw+lo-first, nw+to-first), B: x, Accumulate: true})
		lo = to
	}
	plusZero(out)
}

// products computes out = x [k; ck]ᵀ: one column for each of the block's keys.
func (b *attentionBlock) products(out, x Mat, k, ck keyRows) {
	x = x.Slice(b.row0, b.row0+b.rows, 0, x.Cols)
	for lo := b.w0; lo < b.t1; {
		y, to := k.piece(lo, b.t1)
		runIn(InAttention, Product{Form: NT, Out: out.Slice(0, b.rows, lo-b.w0, to-b.w0), A: x, B: y})
		lo = to
	}
	nw, first := b.t1-b.w0, b.firstEntry()
	for lo := first; lo < first+b.nc; {
		y, to := ck.piece(lo, first+b.nc)
		runIn(InAttention, Product{Form: NT, Out: out.Slice(0, b.rows, nw+lo-first, nw+to-first), A: x, B: y})
		lo = to
	}
}

// firstEntry returns the row of the first compressed key among those that
// entries returns.
func (b *attentionBlock) firstEntry() int {
	if b.gathered {
		return 0
	}
	return b.entry
}
