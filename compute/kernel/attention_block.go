package kernel

// A stream is one group of heads over one segment: the part of the work whose
// gradients of keys and values are chains of their own.
type attentionStream struct {
	heads *AttentionHeads
	index int // of the segment
	seg   Segment
	entry int // row of the segment's first compressed entry
}

// An attentionBlock is a run of queries computed together: a matrix with a row
// for every query-head pair and a column for every key that any of them sees.
type attentionBlock struct {
	attentionStream
	t0, t1   int     // tokens of the queries
	row0     int     // first row in Q, O, ...
	rows     int     // query-head pairs
	w0       int     // first token seen; window columns are tokens w0 to t1-1
	nc       int     // compressed columns
	end      int     // end of the span
	spanRow0 int     // the span's first row in Q, O, ...
	alone    bool    // every query of the span is a block
	gathered bool    // the compressed columns are index, not entries 0 to nc-1
	index    []int32 // chosen entries of a gathered block
	ld       int     // stride of rows: columns rounded up
}

// plan cuts every segment into spans of queries.
func (a *Attention) plan(groups int) {
	if a.Heads <= 0 || a.Past != 0 && len(a.Segments) != 1 || a.Dropped > 0 && (a.Window == 0 || a.Dropped > max(0, a.Past-a.Window+1)) {
		panicf("kernel: attention needs at least one head, one segment if it has a past, and the keys of every window, got %d heads, %d segments, past %d, dropped %d",
			a.Heads, len(a.Segments), a.Past, a.Dropped)
	}
	rows := a.blockRows
	if rows == 0 {
		rows = defaultBlockRows
	}
	a.queries = max(1, rows/a.Heads)
	longest := 0
	for _, s := range a.Segments {
		longest = max(longest, s.Len())
	}
	if a.Past > 0 {
		a.queries = max(1, min(a.queries, longest-a.Past))
	}
	for a.queries > 1 && a.queries*a.Heads*a.columns(longest) > maxBlockFloats {
		a.queries /= 2
	}
	a.spans = append(a.spans[:0], 0)
	n := 0
	for _, s := range a.Segments {
		n += (s.Len() - a.Past + a.queries - 1) / a.queries
		a.spans = append(a.spans, n)
	}
}

// columns bounds the keys of a block in a segment of n tokens.
func (a *Attention) columns(n int) int {
	w, c := n, a.visible(n-1)
	if a.Window > 0 {
		w = min(n, a.Window+a.queries-1)
	}
	if a.Chosen != nil && a.gathering == gatherLong {
		c = min(c, gatherFactor*a.Chosen.K)
	}
	return (w+c+15)&^15 + 16
}

// visible returns the compressed entries that the query at position t sees.
func (a *Attention) visible(t int) int {
	if a.Ratio == 0 {
		return 0
	}
	return (t + 1) / a.Ratio
}

// stream returns the segment that span n belongs to.
func (a *Attention) stream(h *AttentionHeads, n int) attentionStream {
	st := attentionStream{heads: h}
	for n >= a.spans[st.index+1] {
		st.entry += a.entriesOf(st.index)
		st.index++
	}
	st.seg = a.Segments[st.index]
	return st
}

func (a *Attention) entriesOf(seg int) int {
	if a.Ratio == 0 {
		return 0
	}
	return a.Segments[seg].Len() / a.Ratio
}

// firstBlock returns the first block of a span: the span itself, or its first
// query if they gather their keys. It has no rows if the span is empty.
func (a *Attention) firstBlock(st attentionStream, span int) attentionBlock {
	b := attentionBlock{attentionStream: st}
	b.t0 = st.seg.Start + a.Past + span*a.queries
	b.end = min(b.t0+a.queries, st.seg.End)
	b.t1 = b.end
	b.spanRow0 = (b.t0 - a.Past) * a.Heads
	b.alone = a.gathers(a.visible(b.end - 1 - st.seg.Start))
	if b.alone {
		b.t1 = b.t0 + 1
	}
	a.size(&b)
	return b
}

// nextBlock returns the block after b in its span, or one without rows.
func (a *Attention) nextBlock(b attentionBlock) attentionBlock {
	b.t0 = b.t1
	b.t1 = min(b.t1+1, b.end)
	a.size(&b)
	return b
}

// gathers tells whether queries that see that many entries gather them.
func (a *Attention) gathers(visible int) bool {
	switch {
	case a.Chosen == nil || a.gathering == gatherNone:
		return false
	case a.gathering == gatherAll:
		return true
	}
	return visible > gatherFactor*a.Chosen.K
}

// size fills in what follows from a block's tokens.
func (a *Attention) size(b *attentionBlock) {
	b.row0 = (b.t0 - a.Past) * a.Heads
	b.rows = (b.t1 - b.t0) * a.Heads
	b.w0 = b.seg.Start
	if a.Window > 0 {
		b.w0 = max(b.w0, b.t0-a.Window+1)
	}
	b.nc = a.visible(b.t1 - 1 - b.seg.Start)
	b.gathered = b.alone && b.rows > 0 && int(a.Chosen.Count[b.t0-a.Past]) != b.nc
	if b.gathered { // else they lie together already
		b.index = a.Chosen.row(b.t0 - a.Past)
		b.nc = len(b.index)
	}
	b.ld = (b.t1 - b.w0 + b.nc + 15) &^ 15
}

// keySet says which columns of a block one query sees: window columns lo to
// hi-1, and n compressed columns, the first ones unless index names them.
type keySet struct {
	lo, hi, n int
	index     []int32
}

func (a *Attention) keys(b *attentionBlock, t int) keySet {
	k := keySet{hi: t - b.w0 + 1, n: a.visible(t - b.seg.Start)}
	if a.Window > 0 {
		k.lo = max(0, k.hi-a.Window)
	}
	switch {
	case b.gathered:
		k.n = b.nc
	case a.Chosen != nil:
		if int(a.Chosen.Count[t-a.Past]) != k.n {
			k.index = a.Chosen.row(t - a.Past)
			k.n = len(k.index)
		}
	}
	return k
}

// entries returns where the keys and values of the compressed columns are, row
// firstEntry on: copied together in buf if the block gathers them.
func (b *attentionBlock) entries(buf []float32) (ck, cv keyRows) {
	h := b.heads
	if b.nc == 0 {
		return ck, cv
	}
	ck, cv = keysOf(h.CK, &h.PCK, 0), keysOf(h.CV, &h.PCV, 0)
	if !b.gathered {
		return ck, cv
	}
	same := ck.first() == cv.first()
	g := ck.gather(buf, b.entry, b.index)
	if same {
		return keyRows{Mat: g}, keyRows{Mat: g}
	}
	return keyRows{Mat: g}, keyRows{Mat: cv.gather(buf[len(g.Data):], b.entry, b.index)}
}

// gatherRows copies the rows entry+index[i] of m together in buf.
func gatherRows(buf []float32, m Mat, entry int, index []int32) Mat {
	g := MatOf(buf[:len(index)*m.Cols], len(index), m.Cols)
	for i, e := range index {
		copy(g.Row(i), m.Row(entry+int(e)))
	}
	return g
}

// scatterRows copies what gatherRows gathered back.
func scatterRows(m, g Mat, entry int, index []int32) {
	for i, e := range index {
		copy(m.Row(entry+int(e)), g.Row(i))
	}
}

// attentionLayout says how scratch is cut for one block.
type attentionLayout struct {
	ld     int // longest row
	scores int // a block's scores
	gather int // gathered keys and values
	lane   int // scratch of a task of the backward pass's second half
}

func (l attentionLayout) forward() int { return l.scores + l.ld + l.gather }
func (l attentionLayout) span() int    { return 2*l.scores + l.ld + l.gather }

func (a *Attention) layout(heads []AttentionHeads) attentionLayout {
	var l attentionLayout
	for _, s := range a.Segments {
		l.ld = max(l.ld, a.columns(s.Len()))
	}
	l.scores = a.queries * a.Heads * l.ld
	if a.Chosen != nil && a.gathering != gatherNone {
		for i := range heads {
			l.gather = max(l.gather, a.Chosen.K*(heads[i].CK.Cols+heads[i].CV.Cols))
		}
		l.lane = a.Chosen.K * columnTile
	}
	return l
}
