package kernel

// IndexerGradient holds what [Indexer.Backward] reads and writes.
type IndexerGradient struct {
	Q, W, K    Mat       // as in Choose
	Chosen     *Chosen   // entries each query attended
	Target     []float32 // [T, Chosen.K] attention each of them got, summed over heads
	Scale      float32   // multiplies the gradient
	DQ, DW, DK Mat       // overwritten
	Loss       []float64 // [T] divergence of each query, 0 where it sees no entry
}

// Backward computes the indexer's loss and its gradient. With S the entries
// that query t attended, in ascending order, and sums in lanes by position:
//
//	p[s]  = Target[t,s] / Σs Target[t,s]
//	q[s]  = exp(I[t,s] - lse),  lse = log Σs exp(I[t,s])
//	Loss  = Σs p[s] (log p[s] - (I[t,s] - lse))        // terms in float32, summed in float64
//	dI[s] = Scale (q[s] - p[s])
//	dw[h] = Σs dI[s] max(z[h,s], 0)
//	dz[h,s] = w[h] dI[s] if z[h,s] > 0
//	dq[h] = Σs dz[h,s] k[s] + 0                        // a chain over s
//	dk[s] = Σ dz[h,s] q[h] + 0                         // a chain over queries, then heads
//
// A query whose entries got no attention at all (every Target underflowed to
// zero) counts as one that sees no entry.
func (x *Indexer) Backward(g *IndexerGradient, scratch []float32) {
	clearRows(g.DQ)
	clearRows(g.DW)
	clearRows(g.DK)
	clear(g.Loss)
	x.cut(x.queries(), 1)
	x.lanes.reset(scratch, x.chainLane(g))
	body := scratch[Threads()*x.chainLane(g):]
	size := x.runLane(g)
	round := min(len(x.runs), x.round())
	if round == 0 {
		return
	}
	for first := 0; first < len(x.runs); first += round {
		runs := x.runs[first:min(first+round, len(x.runs))]
		Parallel(len(runs), 1, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				x.runBackward(g, runs[i], body[i*size:(i+1)*size])
			}
		})
		x.sumKeys(g, runs, body, size)
	}
	plusZero(g.DQ)
	plusZero(g.DK)
}

// BackwardScratch returns how many float32s Backward needs as scratch.
func (x *Indexer) BackwardScratch(g *IndexerGradient) int {
	x.cut(x.queries(), 1)
	return Threads()*x.chainLane(g) + min(len(x.runs), x.round())*x.runLane(g)
}

func (x *Indexer) round() int { return max(minRoundSpans, 2*Threads()) }

// chainLane is the room for gathered gradients of keys, a column tile wide.
func (x *Indexer) chainLane(g *IndexerGradient) int { return x.room(g) * columnTile }

// room bounds the entries that a query attends.
func (x *Indexer) room(g *IndexerGradient) int { return min(g.Chosen.K, x.longest()) }

// runLane is the room for a run: dz of all its rows, gathered keys, scores,
// their gradient and a temporary.
func (x *Indexer) runLane(g *IndexerGradient) int {
	n := x.room(g)
	return x.queries()*x.Heads*n + n*g.K.Cols + 3*n
}

// runBackward computes Loss, dw, dz and dq of a run's queries. Queries that
// attend all entries they see go through dense products together, the others
// gather their entries one by one.
func (x *Indexer) runBackward(g *IndexerGradient, r indexerRun, buf []float32) {
	n := x.room(g)
	keys := buf[x.queries()*x.Heads*n:]
	for b := x.firstPart(g, r); b.t0 < b.t1; b = x.nextPart(g, r, b) {
		z := x.partRows(g, b, r, buf)
		var k Mat
		if b.listing {
			k = gatherRows(keys, g.K, b.entry, g.Chosen.row(b.t0-x.Past))
		} else {
			k = g.K.Slice(b.entry, b.entry+z.Cols, 0, g.K.Cols)
		}
		q := x.rowsOf(b, g.Q)
		Run(Product{Form: NT, Out: z, A: q, B: k})
		for t := b.t0; t < b.t1; t++ {
			x.queryBackward(g, t, z.Slice((t-b.t0)*x.Heads, (t-b.t0+1)*x.Heads, 0, z.Cols), keys[n*g.K.Cols:])
		}
		Run(Product{Form: NN, Out: x.rowsOf(b, g.DQ), A: z, B: k})
	}
}

// firstPart returns the leading part of a run whose queries can be computed
// together: those that attend all they see, or one that does not.
func (x *Indexer) firstPart(g *IndexerGradient, r indexerRun) indexerRun {
	r.listing = false
	for t := r.t0; t < r.t1; t++ {
		if int(g.Chosen.Count[t-x.Past]) != x.visible(r, t) {
			r.listing = t == r.t0
			r.t1 = max(t, r.t0+1)
			break
		}
	}
	return r
}

// nextPart returns the part of run r after b.
func (x *Indexer) nextPart(g *IndexerGradient, r, b indexerRun) indexerRun {
	r.t0 = b.t1
	return x.firstPart(g, r)
}

// partRows returns the place of dz of a part within its run's scratch.
func (x *Indexer) partRows(g *IndexerGradient, b, r indexerRun, buf []float32) Mat {
	n := x.room(g)
	at := (b.t0 - r.t0) * x.Heads * n
	cols := x.visible(b, b.t1-1)
	if b.listing {
		cols = int(g.Chosen.Count[b.t0-x.Past])
	}
	rows := (b.t1 - b.t0) * x.Heads
	return MatOf(buf[at:at+rows*cols], rows, cols)
}
