package attention

import (
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/nn"
)

// what a [Sparse] layer keeps, by index in Past.tails and Past.grown
const (
	keptWindow = iota
	keptValue  // of the compressor
	keptGate
	keptIndexValue // of the indexer
	keptIndexGate

	grownEntries   = 0
	grownIndexKeys = 1
)

// keeps returns what sequences of up to that many tokens need: the indexer's
// keys are not among it if no query ever has to choose.
func (s *Sparse) keeps(context int) *keeps {
	k := &keeps{tails: []keptTail{{s.c.HeadDim, s.c.Window - 1}}}
	if s.c.Ratio == 0 {
		return k
	}
	add := func(p *pooler) {
		keep := s.c.Ratio - 1
		if p.pool.Overlap {
			keep += s.c.Ratio
		}
		w := p.pool.Width()
		k.tails = append(k.tails, keptTail{w, keep}, keptTail{w, keep})
		k.grown = append(k.grown, keptRows{p.pool.Dim, s.c.Ratio, pageRows})
	}
	add(s.comp)
	if s.index != nil && context/s.c.Ratio > s.c.TopK {
		add(&s.index.pooler)
	}
	return k
}

// PastSize returns the memory of a [Past].
func (s *Sparse) PastSize(r Reach) Size { return s.keeps(r.Context).size(r) }

// NewPast returns an empty past, whose memory of a fixed size it cuts off state.
func (s *Sparse) NewPast(pool *Pool, r Reach, state []float32) (*Past, []float32) {
	return s.keeps(r.Context).newPast(pool, r, state)
}

// PastFloats returns the arena memory, in 4-byte elements, of a pass over
// segments that continue sequences of as many tokens as from has for each.
func (s *Sparse) PastFloats(segs []nn.Segment, from []int, pool *Pool, r Reach) int {
	defer s.Continue(nil)
	for _, n := range from {
		s.pasts = append(s.pasts, s.keeps(r.Context).measure(pool, r, n))
	}
	var c counter
	s.takePast(&c, s.beginPast(&nn.Pass{Segments: segs}))
	return int(c)
}

// Continue says which past each segment of the following passes continues; the
// tokens of a segment are added to it. Passes after Continue(nil) start anew. In
// a pass that continues, outputs have the bits that they have in a pass over the
// whole sequences, and there is no way backward.
func (s *Sparse) Continue(pasts []*Past) { s.pasts = pasts }

// forwardPast is Forward for sequences that continue.
func (s *Sparse) forwardPast(out, x []float32, p *nn.Pass) {
	e := s.beginPast(p)
	mark := p.Arena.Mark()
	defer p.Arena.Release(mark)
	s.past, s.passed = s.takePast(p.Arena, e), e
	f := &s.past
	s.c.Rope.continued(f.tokenRot, e.segs, s.pasts)
	s.projectPast(f, x, e)
	s.queries(&f.sparseRows, e.extent)
	s.keys(&f.sparseRows, e.extent)
	if s.comp != nil {
		s.addEntries(s.comp, f, f.entries, keptValue, grownEntries, e)
	}
	if e.indexed {
		s.addEntries(&s.index.pooler, f, f.keys, keptIndexValue, grownIndexKeys, e)
	}
	if e.indexing {
		s.index.rotate(s.index.q, f.tokenRot, e.extent, false)
		kernel.Scale(s.index.heads, s.index.scale)
	}
	s.attendPast(f, e)
	kernel.Rope(s.saved.o, e.tokens, s.c.Heads, s.c.HeadDim, f.tokenRot.cos, f.tokenRot.sin, true)
	s.output(out, e.extent)
	for i, past := range s.pasts {
		past.n += e.segs[i].Len()
	}
}

// pastExtent is the size of a pass that continues; its entries are the new ones.
type pastExtent struct {
	extent
	indexed  bool // the indexer's keys are kept
	indexing bool // some query has to choose
	bulk     int  // most rows of a compressor that have to be put together
	window   int  // most keys of a window that have to
}

func (s *Sparse) beginPast(p *nn.Pass) pastExtent {
	e := pastExtent{extent: extent{segs: p.Segments, pass: p, tokens: p.Segments[len(p.Segments)-1].End}}
	r := s.c.Ratio
	for i, g := range p.Segments {
		past := s.pasts[i]
		if !past.tails[keptWindow].fits(g.Len()) {
			e.window = max(e.window, past.n+g.Len()-s.windowFrom(past.n))
		}
		if r == 0 {
			continue
		}
		e.indexed = s.index != nil && len(past.grown) > grownIndexKeys
		n := past.n + g.Len()
		e.entries += n/r - past.n/r
		e.longest = max(e.longest, n/r)
		if !past.tails[keptValue].fits(g.Len()) {
			e.bulk = max(e.bulk, n-s.comp.from(past.n))
		}
	}
	e.indexing = s.index != nil && e.longest > s.c.TopK
	return e
}

// windowFrom returns the first token that the query after n tokens sees.
func (s *Sparse) windowFrom(n int) int { return max(0, n-s.c.Window+1) }

// from returns the first token whose row the next entry after n tokens needs.
func (p *pooler) from(n int) int {
	from := n / p.pool.Ratio * p.pool.Ratio
	if p.pool.Overlap {
		from = max(0, from-p.pool.Ratio)
	}
	return from
}

// projectPast is project for a pass that continues.
func (s *Sparse) projectPast(f *pastForward, x []float32, e pastExtent) {
	v, c, T := &s.saved, &s.c, e.tokens
	s.work.add(project(v.qa, x, s.WQA, T, c.Hidden, c.QRank), project(v.kv, x, s.WKV, T, c.Hidden, c.HeadDim))
	if s.comp != nil {
		s.comp.project(&s.work, x, T)
	}
	if e.indexed {
		s.index.pooler.project(&s.work, x, T)
	}
	if e.indexing {
		s.work.add(project(s.index.heads, x, s.index.w.Proj, T, c.Hidden, c.IndexHeads))
	}
	s.work.run()
	s.latentQuery(&f.sparseRows, e.extent)
	s.work.add(project(v.q, f.qr, s.WQB, T, c.QRank, c.Heads*c.HeadDim))
	if e.indexing {
		s.index.query(&s.work, f.qr, T)
	}
	s.work.run()
}

// addEntries adds the new rows of values and gates to their tails, and the
// entries of the blocks that they complete to what grows.
func (s *Sparse) addEntries(p *pooler, f *pastForward, entries []float32, tails, grown int, e pastExtent) {
	w, dim, r := p.pool.Width(), p.pool.Dim, s.c.Ratio
	at := 0
	for i, g := range e.segs {
		past := s.pasts[i]
		n := (past.n+g.Len())/r - past.n/r
		v, z := &past.tails[tails], &past.tails[tails+1]
		value, gate := p.value[g.Start*w:g.End*w], p.gate[g.Start*w:g.End*w]
		if n > 0 {
			rv, rz := v.follow(f.value, value, p.from(past.n), past.n, g.Len()), z.follow(f.gate, gate, p.from(past.n), past.n, g.Len())
			p.poolNew(p.pooled[at*dim:(at+n)*dim], rv, rz, past.n/r*r-p.from(past.n), f.pool)
			s.c.Rope.at(f.blockRot, at, n, past.n/r*r, r)
			at += n
		} else {
			v.put(value, g.Len())
			z.put(gate, g.Len())
		}
	}
	if at == 0 {
		return
	}
	p.finish(entries, f.blockRot, e.pass)
	at = 0
	for i, g := range e.segs {
		past := s.pasts[i]
		for j := past.n / r; j < (past.n+g.Len())/r; j++ {
			copy(past.grown[grown].row(j), entries[at*dim:(at+1)*dim])
			at++
		}
	}
}

// follow adds n new rows, those of tokens from at on, and returns the rows of
// tokens from on with the new ones, in buf if the tail has no room for them.
func (t *tail) follow(buf, rows []float32, from, at, n int) []float32 {
	if t.fits(n) {
		t.put(rows, n)
		return t.view(from, at+n)
	}
	k := copy(buf, t.view(from, at))
	k += copy(buf[k:], rows[:n*t.width])
	t.put(rows, n)
	return buf[:k]
}

// poolNew pools the blocks of rows whose first before tokens are those of the
// block before.
func (p *pooler) poolNew(out, value, gate []float32, before int, scratch []float32) {
	p.whole[0] = kernel.Segment{Start: 0, End: len(value) / p.pool.Width()}
	p.pool.Segments, p.pool.Past = p.whole[:], before/p.pool.Ratio
	p.pool.Forward(out, value, gate, p.w.APE.Data, scratch)
	p.pool.Past = 0
}
