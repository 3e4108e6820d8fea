package kernel

// columnTile is the width in which gradients of keys and values are summed:
// tiles are independent tasks, so that few and long segments use all threads.
const columnTile = 64

// minRoundSpans bounds from below how many spans go through the two halves of
// the backward pass at a time; the rest follows from the number of threads.
const minRoundSpans = 4

// Backward computes the gradients with respect to Q, K, V, CK and CV, and adds
// to those of Sink. Probabilities are recomputed from LSE. In the notation of
// [Attention], with do the gradient of o and delta = <do, o>:
//
//	p[j]  = exp(s[j] - lse)
//	ds[j] = fma(-delta, p[j], p[j] * <do, v[j]>) * Scale
//	dq[d] = Σj ds[j] k[j][d] + 0                         // one chain over j
//	dk[j] = Σ ds[j] q + 0, dv[j] = Σ p[j] do + 0         // chains over tokens, then heads
//	dsink = dsink - exp(sink - lse) * delta              // one chain over tokens
//
// It goes through each segment in rounds of a few spans of queries: first the
// probabilities and score gradients of the round, spans in parallel, then the
// sums over them, so that memory does not grow with the segment's length.
func (a *Attention) Backward(heads []AttentionHeads, scratch []float32) {
	a.plan(len(heads))
	l := a.layout(heads)
	rounds := a.roundSpans(len(heads))
	body := rounds * l.span()
	a.lanes.reset(scratch, 0, Threads())
	a.sumLanes.reset(scratch[min(body, len(scratch)):], l.lane, Threads())
	streams := len(heads) * len(a.Segments)
	for i := range heads {
		heads[i].clearGradients()
	}
	if a.streamed(len(heads)) {
		Parallel(streams, 1, func(lo, hi int) {
			i, _ := a.lanes.take()
			defer a.lanes.give(i)
			for n := lo; n < hi; n++ {
				a.backwardStream(a.streamOf(heads, n), 1, scratch[i*l.span():(i+1)*l.span()], l)
			}
		})
	} else {
		for n := range streams {
			a.backwardStream(a.streamOf(heads, n), rounds, scratch[:body], l)
		}
	}
	for i := range heads {
		heads[i].finishGradients(a)
	}
}

// roundSpans returns how many spans have scratch at a time.
func (a *Attention) roundSpans(groups int) int {
	if a.streamed(groups) {
		return Threads()
	}
	longest := 0
	for i := range a.Segments {
		longest = max(longest, a.spans[i+1]-a.spans[i])
	}
	return min(longest, max(minRoundSpans, 2*Threads()))
}

// streamed tells whether there are streams enough to give every thread whole
// ones, which needs no waiting between the halves of a round.
func (a *Attention) streamed(groups int) bool {
	total, longest := 0, 0
	for i := range a.Segments {
		n := a.spans[i+1] - a.spans[i]
		total += n
		longest = max(longest, n)
	}
	return longest*Threads() <= total*groups && len(a.Segments)*groups > 1 || Threads() == 1
}

// streamOf returns stream n: segments of the first heads, then of the next.
func (a *Attention) streamOf(heads []AttentionHeads, n int) attentionStream {
	segs := len(a.Segments)
	st := attentionStream{heads: &heads[n/segs], index: n % segs, seg: a.Segments[n%segs]}
	for i := range st.index {
		st.entry += a.entriesOf(i)
	}
	return st
}

// backwardStream does the spans of one stream in rounds.
func (a *Attention) backwardStream(st attentionStream, round int, scratch []float32, l attentionLayout) {
	spans := a.spans[st.index+1] - a.spans[st.index]
	for first := 0; first < spans; first += round {
		n := min(round, spans-first)
		Parallel(n, 1, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				a.scoreSpan(st, first+i, scratch[i*l.span():(i+1)*l.span()], l)
			}
		})
		a.sumRound(st, first, n, scratch, l)
	}
}

// scoreSpan computes p and ds of a span, which stay in buf, and dq.
func (a *Attention) scoreSpan(st attentionStream, span int, buf []float32, l attentionLayout) {
	list := buf[2*l.scores : 2*l.scores+l.ld]
	for b := a.firstBlock(st, span); b.rows > 0; b = a.nextBlock(b) {
		p, ds := b.scores(buf, l)
		ck, cv := b.entries(buf[2*l.scores+l.ld:])
		h := b.heads
		b.products(p, h.Q, keyRows{Mat: h.K}, ck)
		b.products(ds, h.DO, keyRows{Mat: h.V}, cv)
		for r := range b.rows {
			k := a.keys(&b, b.t0+r/a.Heads)
			prow, drow := p.Row(r), ds.Row(r)
			b.probabilities(prow, list, k, a.Scale, h.LSE[b.row0+r])
			b.maskedScoreGradient(drow, prow, k, h.Delta[b.row0+r], a.Scale)
		}
		if h.Target != nil {
			a.addTarget(&b, p)
		}
		b.combine(h.DQ.Slice(b.row0, b.row0+b.rows, 0, h.DQ.Cols), ds, keyRows{Mat: h.K}, ck)
		if w := watching.Load(); w != nil {
			w.attention(a, &b, Backward)
		}
	}
}

// scores returns the places of p and ds of a block within its span's scratch.
func (b *attentionBlock) scores(buf []float32, l attentionLayout) (p, ds Mat) {
	at := (b.row0 - b.spanRow0) * l.ld
	n := b.rows * b.ld
	return MatOf(buf[at:at+n], b.rows, b.ld), MatOf(buf[l.scores+at:l.scores+at+n], b.rows, b.ld)
}

// maskedScoreGradient is scoreGradient where the query looks, zero elsewhere.
func (b *attentionBlock) maskedScoreGradient(ds, p []float32, k keySet, delta, scale float32) {
	nw := b.t1 - b.w0
	clear(ds[:k.lo])
	scoreGradient(ds[k.lo:k.hi], p[k.lo:k.hi], delta, scale)
	clear(ds[k.hi:nw])
	end := nw + k.n
	if k.index != nil {
		end = nw + b.nc
	}
	scoreGradient(ds[nw:end], p[nw:end], delta, scale)
	clear(ds[end:])
}

// addTarget writes, for each query, the probabilities of its chosen entries
// summed over heads in order.
func (a *Attention) addTarget(b *attentionBlock, p Mat) {
	nw, room := b.t1-b.w0, a.Chosen.K
	for t := b.t0; t < b.t1; t++ {
		k, q := a.keys(b, t), t-a.Past
		out := b.heads.Target[q*room : q*room+k.n]
		for h := range a.Heads {
			row := p.Row((t-b.t0)*a.Heads + h)[nw:]
			switch {
			case k.index != nil && h == 0:
				gatherFloats(out, row, k.index)
			case k.index != nil:
				for i, e := range k.index {
					out[i] += row[e]
				}
			case h == 0:
				copy(out, row)
			default:
				ops().add(out, out, row[:k.n])
			}
		}
	}
}

func (h *AttentionHeads) clearGradients() {
	for _, m := range []Mat{h.DK, h.DV, h.DCK, h.DCV} {
		Parallel(m.Rows, 64, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				clear(m.Row(i))
			}
		})
	}
}

// finishGradients turns -0 into +0 and adds up the sinks' gradients.
func (h *AttentionHeads) finishGradients(a *Attention) {
	for _, m := range []Mat{h.DK, h.DV, h.DCK, h.DCV} {
		Parallel(m.Rows, 64, func(lo, hi int) { plusZero(m.Slice(lo, hi, 0, m.Cols)) })
	}
	if h.DSink == nil {
		return
	}
	mass := make([]float32, a.Heads)
	for r := 0; r < len(h.LSE); r += a.Heads {
		for i := range mass {
			mass[i] = h.Sink[i] - h.LSE[r+i]
		}
		ops().exp(mass, mass)
		for i, p := range mass {
			h.DSink[i] -= float32(p * h.Delta[r+i])
		}
	}
}
