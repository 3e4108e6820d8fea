package attention

import (
	"github.com/temper-ml/temper/compute/kernel"
)

// narrow is the most new tokens of a sequence that attends on one thread, beside
// others. A tail always has room for them.
const narrow = 8

// sparseLane attends for one sequence at a time.
type sparseLane struct {
	attn   kernel.Attention
	index  kernel.Indexer
	chosen kernel.Chosen
	heads  [1]kernel.AttentionHeads
	segs   [1]kernel.Segment
}

// pastForward is the scratch of a pass that continues.
type pastForward struct {
	sparseRows            // blockRot and entries are those of new entries
	pool        []float32 // for the compressors
	keys        []float32 // the indexer's new keys
	value, gate []float32 // rows of a compressor, put together
	window      []float32 // keys of a window, put together
	attend      []float32 // for one lane on all threads, or all lanes
}

// takePast takes what Forward keeps and its scratch.
func (s *Sparse) takePast(m memory, e pastExtent) pastForward {
	s.takeSaved(m, e.extent, false)
	f := pastForward{sparseRows: s.takeRows(m, e.extent)}
	if s.comp != nil {
		w, n := s.comp.pool.Width(), s.comp.pool.Scratch()
		if e.indexed {
			w, n = max(w, s.index.pooler.pool.Width()), max(n, s.index.pooler.pool.Scratch())
		}
		f.value, f.gate, f.pool = m.F32(e.bulk*w), m.F32(e.bulk*w), m.F32(n)
	}
	if e.indexed {
		s.index.pooler.take(m, e.tokens, e.entries)
		f.keys = m.F32(e.entries * s.c.IndexDim)
	}
	if e.indexing {
		s.index.q, s.index.heads = m.F32(e.tokens*s.c.IndexHeads*s.c.IndexDim), m.F32(e.tokens*s.c.IndexHeads)
	}
	f.window = m.F32(e.window * s.c.HeadDim)
	f.attend = m.F32(s.attendScratch(e))
	return f
}

// prepareLanes makes a lane for every thread.
func (s *Sparse) prepareLanes() {
	for len(s.lanes) < kernel.Threads() {
		l := &sparseLane{index: kernel.Indexer{Heads: s.c.IndexHeads, Ratio: s.c.Ratio}}
		l.attn = kernel.Attention{Heads: s.c.Heads, Window: s.c.Window, Ratio: s.c.Ratio, Scale: s.attn.Scale}
		s.lanes = append(s.lanes, l)
	}
}

// alone tells whether a sequence attends on all threads, before the others.
func (e *pastExtent) alone(i int) bool { return len(e.segs) == 1 || e.segs[i].Len() > narrow }

// attendScratch returns the scratch for all sequences.
func (s *Sparse) attendScratch(e pastExtent) int {
	s.prepareLanes()
	all, each := 0, 0
	for i := range e.segs {
		l := s.lanes[0]
		s.set(l, i, e)
		n := s.choosing(l) + l.attn.Scratch(l.heads[:], false)
		if e.alone(i) {
			all = max(all, n)
		} else {
			each = max(each, n)
		}
	}
	return max(all, each*kernel.Threads())
}

// choosing returns the scratch that a lane needs to choose.
func (s *Sparse) choosing(l *sparseLane) int {
	if s.index == nil {
		return 0
	}
	return l.index.ChooseScratch()
}

// set prepares a lane for a sequence, up to the operands.
func (s *Sparse) set(l *sparseLane, i int, e pastExtent) {
	past := s.pasts[i]
	l.segs[0] = kernel.Segment{Start: 0, End: past.n + e.segs[i].Len()}
	l.attn.Segments, l.attn.Past, l.attn.Dropped, l.attn.Serial = l.segs[:], past.n, s.windowFrom(past.n), !e.alone(i)
	cols := kernel.Mat{Cols: s.c.HeadDim}
	l.heads[0] = kernel.AttentionHeads{CK: cols, CV: cols}
	if s.index == nil {
		return
	}
	l.index.Segments, l.index.Past, l.index.Serial = l.segs[:], past.n, l.attn.Serial
	l.index.K = s.index.room(e.extent)
	l.chosen.K = l.index.K
	l.attn.Chosen = &l.chosen
}

// attendPast computes the attention of all sequences: those with many new tokens
// one by one on all threads, then the others beside each other.
func (s *Sparse) attendPast(f *pastForward, e pastExtent) {
	few := 0
	for i := range e.segs {
		if e.alone(i) {
			s.attend(s.lanes[0], i, f, f.attend, e)
		} else {
			few++
		}
	}
	if few == 0 {
		return
	}
	if s.attendOne == nil {
		s.attendOne = s.attendBeside
	}
	s.queue.run(len(e.segs), s.attendOne)
}

// attendBeside computes the attention of sequence i of the present pass beside
// others, unless it has been computed alone.
func (s *Sparse) attendBeside(lane, i int) {
	f, e := &s.past, s.passed
	if !e.alone(i) {
		each := len(f.attend) / kernel.Threads()
		s.attend(s.lanes[lane], i, f, f.attend[lane*each:(lane+1)*each], e)
	}
}

// attend computes the attention of one sequence, whose window it moves on.
func (s *Sparse) attend(l *sparseLane, i int, f *pastForward, scratch []float32, e pastExtent) {
	s.set(l, i, e)
	past, g := s.pasts[i], e.segs[i]
	dim, heads := s.c.HeadDim, s.c.Heads
	from := s.windowFrom(past.n)
	kv := past.tails[keptWindow].follow(f.window, f.kv[g.Start*dim:g.End*dim], from, past.n, g.Len())
	rows := func(x []float32) kernel.Mat {
		return kernel.MatOf(x[g.Start*heads*dim:g.End*heads*dim], g.Len()*heads, dim)
	}
	h := &l.heads[0]
	h.Q, h.O, h.K = rows(f.q), rows(s.saved.o), kernel.MatOf(kv, past.n+g.Len()-from, dim)
	h.V, h.Sink, h.LSE = h.K, s.Sink.Data, s.saved.lse[g.Start*heads:g.End*heads]
	if s.c.Ratio != 0 {
		h.PCK = past.grown[grownEntries].pagesOf(0, dim)
		h.PCV = h.PCK
	}
	if s.index != nil {
		n := s.choosing(l)
		s.choosePast(l, i, scratch[:n], e)
		scratch = scratch[n:]
	}
	l.attn.Forward(l.heads[:], scratch)
}

// choosePast chooses entries for the queries of one sequence.
func (s *Sparse) choosePast(l *sparseLane, i int, scratch []float32, e pastExtent) {
	past, g := s.pasts[i], e.segs[i]
	l.chosen.Count = s.saved.count[g.Start:g.End]
	var q, w kernel.Mat
	if e.indexing {
		h, d := s.c.IndexHeads, s.c.IndexDim
		l.chosen.Index = s.saved.list[g.Start*l.chosen.K : g.End*l.chosen.K]
		q = kernel.MatOf(s.index.q[g.Start*h*d:g.End*h*d], g.Len()*h, d)
		w = kernel.MatOf(s.index.heads[g.Start*h:g.End*h], g.Len(), h)
		l.index.PK = past.grown[grownIndexKeys].pagesOf(0, d)
	}
	l.index.Choose(&l.chosen, q, w, kernel.Mat{}, scratch)
	if past.Chose == nil {
		return
	}
	for j := range g.Len() {
		visible, n := (past.n+j+1)/s.c.Ratio, int(l.chosen.Count[j])
		var picks []int32
		if n < visible {
			picks = l.chosen.Index[j*l.chosen.K : j*l.chosen.K+n]
		}
		past.Chose(past.n+j, visible, picks)
	}
}

// pagesOf returns columns of the rows as the kernels read them.
func (g *paged) pagesOf(col, cols int) kernel.Pages {
	return kernel.Pages{Page: g.data, Rows: g.rows, Stride: g.width, Col: col, Cols: cols}
}
