package kernel

import "math"

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
	x.cut(x.queries(), 1, false)
	x.lanes.reset(scratch, x.chainLane(g), Threads())
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
	x.cut(x.queries(), 1, false)
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
	if w := watching.Load(); w != nil {
		w.learnt(x, g, r)
	}
	for b := x.firstPart(g, r); b.t0 < b.t1; b = x.nextPart(g, r, b) {
		z := x.partRows(g, b, r, buf)
		var k Mat
		if b.listing {
			k = gatherRows(keys, g.K, b.entry, g.Chosen.row(b.t0-x.Past))
		} else {
			k = g.K.Slice(b.entry, b.entry+z.Cols, 0, g.K.Cols)
		}
		q := x.rowsOf(b, g.Q)
		runIn(InIndexer, Product{Form: NT, Out: z, A: q, B: k})
		for t := b.t0; t < b.t1; t++ {
			x.queryBackward(g, t, z.Slice((t-b.t0)*x.Heads, (t-b.t0+1)*x.Heads, 0, z.Cols), keys[n*g.K.Cols:])
		}
		runIn(InIndexer, Product{Form: NN, Out: x.rowsOf(b, g.DQ), A: z, B: k})
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

// queryBackward turns z, the products of one query with its entries, into dz,
// and computes the query's loss and dw. Columns beyond the query's own entries
// become zero.
func (x *Indexer) queryBackward(g *IndexerGradient, t int, z Mat, buf []float32) {
	i := t - x.Past
	n := int(g.Chosen.Count[i])
	room := x.room(g)
	scores, dI, logs := buf[:n], buf[room:room+n], buf[2*room:2*room+n]
	w := g.W.Row(i)
	o := ops()
	clear(scores)
	for h := range x.Heads {
		o.reluAxpy(scores, z.Row(h)[:n], w[h])
	}
	target := g.Target[i*g.Chosen.K : i*g.Chosen.K+n]
	g.Loss[i] = divergence(dI, logs, scores, target)
	o.scale(dI, g.Scale)
	dw := g.DW.Row(i)
	for h := range x.Heads {
		row := z.Row(h)
		dw[h] = o.dot(dI, row[:n])
		o.reluDX(row[:n], dI, w[h])
		clear(row[n:])
	}
}

// divergence returns the divergence of softmax(scores) from target normalised
// to sum 1, and writes its gradient, the difference of the two, to d.
func divergence(d, logs, scores, target []float32) float64 {
	mass := Sum(target)
	if !(mass > 0) {
		clear(d)
		return 0
	}
	copy(d, scores)
	lse := SoftmaxSink(d, len(d), float32(math.Inf(-1)), 1)
	inv := 1 / mass
	copy(logs, target)
	ops().scale(logs, inv)
	ops().axpy(d, -1, logs)
	ops().log(logs, logs)
	loss := 0.0
	for j, p := range target {
		if p *= inv; p > 0 {
			loss += float64(p * (logs[j] - (scores[j] - lse)))
		}
	}
	return loss
}

// sumKeys adds what runs, whose dz lie in body, contribute to the gradient of
// the keys. Column tiles are independent chains.
func (x *Indexer) sumKeys(g *IndexerGradient, runs []indexerRun, body []float32, size int) {
	tiles := (g.DK.Cols + columnTile - 1) / columnTile
	Parallel(tiles, 1, func(lo, hi int) {
		lane, buf := x.lanes.take()
		defer x.lanes.give(lane)
		for tile := lo; tile < hi; tile++ {
			c0 := tile * columnTile
			c1 := min(c0+columnTile, g.DK.Cols)
			dk := g.DK.Slice(0, g.DK.Rows, c0, c1)
			q := g.Q.Slice(0, g.Q.Rows, c0, c1)
			for i, r := range runs {
				x.sumRun(g, r, dk, q, body[i*size:(i+1)*size], buf)
			}
		}
	})
}

// sumRun adds one run's contribution, in the order of its rows.
func (x *Indexer) sumRun(g *IndexerGradient, r indexerRun, dk, q Mat, body, buf []float32) {
	for b := x.firstPart(g, r); b.t0 < b.t1; b = x.nextPart(g, r, b) {
		dz, qb := x.partRows(g, b, r, body), x.rowsOf(b, q)
		if !b.listing {
			runIn(InIndexer, weightProduct(dk.Slice(b.entry, b.entry+dz.Cols, 0, dk.Cols), dz, qb))
			continue
		}
		index := g.Chosen.row(b.t0 - x.Past)
		sum := gatherRows(buf, dk, b.entry, index)
		runIn(InIndexer, weightProduct(sum, dz, qb))
		scatterRows(dk, sum, b.entry, index)
	}
}

// clearRows sets the elements of m to zero.
func clearRows(m Mat) {
	for i := range m.Rows {
		clear(m.Row(i))
	}
}
