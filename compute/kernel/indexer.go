package kernel

// Indexer scores compressed entries for each query with a few cheap heads, so
// that attention may look at the best ones only. For query t and entry s of
// the same segment, s < (t+1)/Ratio,
//
//	z[h]   = Σd q[t,h][d] k[s][d]             // a chain over d
//	I[t,s] = Σh w[t,h] max(z[h], 0)           // a chain over h
//
// Its operands are q [T*Heads, dim], w [T, Heads] and k [entries, dim]; rows
// of q and w start at the first token after Past.
type Indexer struct {
	Heads    int
	Ratio    int
	K        int // entries to choose
	Segments []Segment
	Past     int   // leading tokens without a query; needs a single segment
	PK       Pages // takes the place of k in Choose if it has pages
	Serial   bool  // Choose runs on its caller alone
	Given    []int // first tokens of each segment that Choose leaves out; nil for none

	blockRows int // rows of a block; 0: defaultBlockRows. Tests vary it
	lanes     lanes
	runs      []indexerRun
	choosing  choosing         // the present Choose
	body      func(lo, hi int) // of its loop, bound once
}

// choosing is what Choose was given.
type choosing struct {
	c       *Chosen
	q, w, k Mat
}

// indexerRun is a run of consecutive queries of one segment.
type indexerRun struct {
	t0, t1  int // tokens
	start   int // of the segment
	entry   int // row of the segment's first entry
	free    int // first token that is not given
	listing bool
}

// keyTile is the number of entries scored at a time.
const keyTile = 1024

// visible returns the entries that the query at token t sees.
func (x *Indexer) visible(r indexerRun, t int) int { return (t + 1 - r.start) / x.Ratio }

// cut lists runs of at most n queries from the first token of each segment that sees
// at least least entries; if free is set, of those that are not given.
func (x *Indexer) cut(n, least int, free bool) {
	x.runs = x.runs[:0]
	entry := 0
	for i, s := range x.Segments {
		r := indexerRun{start: s.Start, entry: entry, free: s.Start}
		if x.Given != nil {
			r.free += x.Given[i]
		}
		first := max(s.Start+x.Past, s.Start+least*x.Ratio-1)
		if free {
			first = max(first, r.free)
		}
		for t := first; t < s.End; t += n {
			r.t0, r.t1 = t, min(t+n, s.End)
			x.runs = append(x.runs, r)
		}
		entry += s.Len() / x.Ratio
	}
}

// queries returns how many queries make up a block.
func (x *Indexer) queries() int {
	rows, most := defaultBlockRows, 1
	if x.blockRows > 0 {
		rows = x.blockRows
	}
	for _, s := range x.Segments {
		most = max(most, s.Len()-x.Past)
	}
	return max(1, min(rows/x.Heads, most))
}

// longest returns the most entries of any segment.
func (x *Indexer) longest() int {
	n := 0
	for _, s := range x.Segments {
		n = max(n, s.Len()/x.Ratio)
	}
	return n
}

// ChooseScratch returns how many float32s Choose needs as scratch.
func (x *Indexer) ChooseScratch() int {
	if x.longest() <= x.K {
		return 0
	}
	return x.atOnce() * x.chooseLane()
}

// atOnce returns how many runs Choose may score at a time.
func (x *Indexer) atOnce() int {
	if x.Serial {
		return 1
	}
	return Threads()
}

func (x *Indexer) chooseLane() int {
	return x.queries() * (x.longest() + x.Heads*min(keyTile, x.longest()))
}

// Choose fills c, whose K must be the indexer's, with the K best entries of
// each query, the lower entry winning ties, or all if no more are visible.
// Segments in which no query sees more than K entries are not scored. Of tokens
// that are Given only Count is filled in.
func (x *Indexer) Choose(c *Chosen, q, w, k Mat, scratch []float32) {
	for _, s := range x.Segments {
		for t := s.Start + x.Past; t < s.End; t++ {
			c.Count[t-x.Past] = int32(min(x.K, (t+1-s.Start)/x.Ratio))
		}
	}
	if x.longest() <= x.K {
		return
	}
	x.cut(x.queries(), x.K+1, true)
	x.lanes.reset(scratch, x.chooseLane(), x.atOnce())
	if x.Serial {
		x.chooseRuns(c, q, w, k, 0, len(x.runs))
		return
	}
	if x.body == nil {
		x.body = func(lo, hi int) { x.chooseRuns(x.choosing.c, x.choosing.q, x.choosing.w, x.choosing.k, lo, hi) }
	}
	x.choosing = choosing{c, q, w, k}
	Parallel(len(x.runs), 1, x.body)
	x.choosing = choosing{}
}

// chooseRuns chooses for the queries of runs [lo, hi).
func (x *Indexer) chooseRuns(c *Chosen, q, w, k Mat, lo, hi int) {
	lane, buf := x.lanes.take()
	defer x.lanes.give(lane)
	for _, r := range x.runs[lo:hi] {
		scores := x.score(r, q, w, keysOf(k, &x.PK, 0), buf)
		for t := r.t0; t < r.t1; t++ {
			TopK(c.Index[(t-x.Past)*c.K:], scores.Row(t - r.t0)[:x.visible(r, t)], x.K)
		}
	}
}

// score computes the scores of a run of queries with all entries that the last
// of them sees, a tile of entries at a time.
func (x *Indexer) score(r indexerRun, q, w Mat, k keyRows, buf []float32) Mat {
	nq, n := r.t1-r.t0, x.visible(r, r.t1-1)
	scores := MatOf(buf[:nq*n], nq, n)
	clear(scores.Data)
	q, o := x.rowsOf(r, q), ops()
	if w := watching.Load(); w != nil {
		w.scored(x, r, q.Cols)
	}
	for s0 := 0; s0 < n; {
		keys, s1 := k.piece(r.entry+s0, r.entry+min(s0+keyTile, n))
		s1 -= r.entry
		z := MatOf(buf[nq*n:][:q.Rows*(s1-s0)], q.Rows, s1-s0)
		runIn(InIndexer, Product{Form: NT, Out: z, A: q, B: keys})
		for i := range q.Rows {
			o.reluAxpy(scores.Row(i / x.Heads)[s0:s1], z.Row(i), w.Row(r.t0 - x.Past + i/x.Heads)[i%x.Heads])
		}
		s0 = s1
	}
	return scores
}

// rowsOf returns the rows of q that belong to a run.
func (x *Indexer) rowsOf(r indexerRun, q Mat) Mat {
	return q.Slice((r.t0-x.Past)*x.Heads, (r.t1-x.Past)*x.Heads, 0, q.Cols)
}
