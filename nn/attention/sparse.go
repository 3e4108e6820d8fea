package attention

import (
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/nn"
)

// Sparse is V4's attention sublayer. The caller fills in the weights, which
// may be frozen one by one; those of parts that the kind does not have stay
// empty. A Sparse serves one goroutine.
type Sparse struct {
	WQA    nn.Weight // [R, D]
	QNorm  nn.Weight // [R]
	WQB    nn.Weight // [H*head dim, R]
	WKV    nn.Weight // [head dim, D]
	KVNorm nn.Weight // [head dim]
	Sink   nn.Weight // [H]
	WOA    nn.Weight // [G*out rank, H*head dim/G], the rows of each group together
	WOB    nn.Weight // [D, G*out rank]

	Compressor Compressor // for ratios other than 0
	Indexer    Indexer    // for ratio 4

	c     Config
	segs  []kernel.Segment
	attn  kernel.Attention
	comp  *pooler  // nil for ratio 0
	index *chooser // nil unless entries are chosen
	saved sparseSaved
	work  products
	heads [1]kernel.AttentionHeads
	kl    float64

	pasts     []*Past // that passes continue; nil: passes start anew
	lanes     []*sparseLane
	queue     queue
	past      pastForward // of the present pass that continues
	passed    pastExtent
	attendOne func(lane, i int) // attendBeside, bound once
}

// sparseSaved is what Forward keeps for Backward.
type sparseSaved struct {
	qa, qrstd   []float32 // [T, R] and [T] before and of the query's norm
	q, hrstd    []float32 // [T, H*head dim] and [T*H] before and of the head norm
	kv, kvrstd  []float32 // [T, head dim] and [T] before and of the key's norm
	o, lse      []float32 // [T, H*head dim] rotated back, [T*H]
	z           []float32 // [T, G*out rank]
	count, list []int32   // chosen entries
}

// New returns a layer without weights.
func New(c Config) (*Sparse, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	s := &Sparse{c: c}
	s.attn = kernel.Attention{Heads: c.Heads, Window: c.Window, Ratio: c.Ratio, Scale: inverseRoot(c.HeadDim)}
	if c.Ratio != 0 {
		s.comp = &pooler{
			w: &s.Compressor, names: compressorNames, hidden: c.Hidden, eps: c.Eps, quantise: c.FakeQuant,
			pool: kernel.Pooling{Ratio: c.Ratio, Overlap: c.Ratio == overlapRatio, Dim: c.HeadDim},
		}
	}
	if c.indexed() {
		s.index = newChooser(&s.Indexer, c)
	}
	return s, nil
}

// KL returns the sum over the tokens of the last Backward of the indexer's
// divergence, unscaled: 0 without an indexer or if its loss was not wanted.
func (s *Sparse) KL() float64 { return s.kl }

// extent is the size of a micro-batch.
type extent struct {
	segs            []nn.Segment
	pass            *nn.Pass
	tokens, entries int
	longest         int // entries of the longest segment
}

// begin tells all parts the segments.
func (s *Sparse) begin(p *nn.Pass) extent {
	e := extent{segs: p.Segments, pass: p}
	s.segs = s.segs[:0]
	for _, g := range e.segs {
		s.segs = append(s.segs, kernel.Segment(g))
		e.tokens = g.End
		if s.c.Ratio != 0 {
			e.entries += g.Len() / s.c.Ratio
			e.longest = max(e.longest, g.Len()/s.c.Ratio)
		}
	}
	s.attn.Segments = s.segs
	if s.comp != nil {
		s.comp.pool.Segments = s.segs
	}
	if s.index != nil {
		s.index.begin(s.segs, e)
		s.attn.Chosen = &s.index.chosen
	}
	return e
}

// Forward computes out [T, D] from x [T, D], which must stay as it is until
// Backward. What Backward needs stays in the arena; calling Forward again
// replaces it.
func (s *Sparse) Forward(out, x []float32, p *nn.Pass) {
	if s.pasts != nil {
		s.forwardPast(out, x, p)
		return
	}
	e := s.begin(p)
	learn := p.IndexerScale != 0
	s.takeSaved(p.Arena, e, learn)
	mark := p.Arena.Mark()
	defer p.Arena.Release(mark)
	f := s.takeForward(p.Arena, e, learn)
	s.rotate(&f.sparseRows, e)
	s.project(&f, x, e, learn)
	s.queries(&f.sparseRows, e)
	s.keys(&f.sparseRows, e)
	if s.comp != nil {
		s.comp.forward(f.entries, f.blockRot, f.pool, p)
	}
	if s.index != nil {
		s.index.choose(&f.index, &s.saved, f.blockRot, f.tokenRot, e, learn)
	}
	s.operands(&f.sparseRows, e)
	s.attn.Forward(s.heads[:], f.attn)
	p.See("attended", s.saved.o)
	p.See("attended.normalisers", s.saved.lse)
	kernel.Rope(s.saved.o, e.tokens, s.c.Heads, s.c.HeadDim, f.tokenRot.cos, f.tokenRot.sin, true)
	p.See("attended.rotated", s.saved.o)
	s.output(out, e)
}

// project computes the products that lead from x to queries, keys, and what
// compressor and indexer need.
func (s *Sparse) project(f *sparseForward, x []float32, e extent, learn bool) {
	v, c, T := &s.saved, &s.c, e.tokens
	s.work.add(project(v.qa, x, s.WQA, T, c.Hidden, c.QRank), project(v.kv, x, s.WKV, T, c.Hidden, c.HeadDim))
	if s.comp != nil {
		s.comp.project(&s.work, x, T)
	}
	indexing := s.index != nil && s.index.runs(e, learn)
	if indexing {
		s.index.project(&s.work, x, T)
	}
	s.work.run()
	e.pass.See("q_a", v.qa)
	e.pass.See("kv_a", v.kv)
	if s.comp != nil {
		s.comp.projected(e.pass)
	}
	if indexing {
		s.index.projected(e, learn)
	}
	s.latentQuery(&f.sparseRows, e)
	s.work.add(project(v.q, f.qr, s.WQB, T, c.QRank, c.Heads*c.HeadDim))
	if indexing {
		s.index.query(&s.work, f.qr, T)
	}
	s.work.run()
	e.pass.See("q_b", v.q)
	if indexing {
		s.index.queried(e, learn)
	}
}

// output projects the attention's outputs, each group of heads by itself and
// then all together.
func (s *Sparse) output(out []float32, e extent) {
	for g := range s.c.OutGroups {
		z, o, w, _ := s.group(g, s.saved.z, s.saved.o, e)
		s.work.add(kernel.Product{Form: kernel.NT, Out: z, A: o, B: w})
	}
	s.work.run()
	e.pass.See("o_a", s.saved.z)
	s.work.add(project(out, s.saved.z, s.WOB, e.tokens, s.c.OutGroups*s.c.OutRank, s.c.Hidden))
	s.work.run()
	e.pass.See("output", out)
}

// group returns the columns of z and o that belong to an output group, its
// weight and the weight's gradient, without elements if that is frozen.
func (s *Sparse) group(g int, z, o []float32, e extent) (zg, og, w, dw kernel.Mat) {
	c := &s.c
	in, rank := c.Heads*c.HeadDim/c.OutGroups, c.OutRank
	zg = kernel.MatOf(z, e.tokens, c.OutGroups*rank).Slice(0, e.tokens, g*rank, (g+1)*rank)
	og = kernel.MatOf(o, e.tokens, c.Heads*c.HeadDim).Slice(0, e.tokens, g*in, (g+1)*in)
	w = kernel.MatOf(s.WOA.Data, c.OutGroups*rank, in).Slice(g*rank, (g+1)*rank, 0, in)
	if s.WOA.Trained() {
		dw = kernel.MatOf(s.WOA.Grad, c.OutGroups*rank, in).Slice(g*rank, (g+1)*rank, 0, in)
	}
	return zg, og, w, dw
}
