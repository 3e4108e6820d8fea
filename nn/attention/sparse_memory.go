package attention

import (
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/nn"
)

// Floats returns the arena memory, in 4-byte elements, that Forward keeps for
// a pass and the most that Forward or Backward need besides. It must not be
// called between the two.
func (s *Sparse) Floats(p *nn.Pass) (saved, scratch int) {
	e := s.begin(p)
	learn := p.IndexerScale != 0
	var c, f, b counter
	s.takeSaved(&c, e, learn)
	s.takeForward(&f, e, learn)
	s.takeBackward(&b, e, learn)
	return int(c), int(max(f, b))
}

func (s *Sparse) takeSaved(m memory, e extent, learn bool) {
	c, T := &s.c, e.tokens
	s.saved = sparseSaved{
		qa: m.F32(T * c.QRank), qrstd: m.F32(T),
		q: m.F32(T * c.Heads * c.HeadDim), hrstd: m.F32(T * c.Heads),
		kv: m.F32(T * c.HeadDim), kvrstd: m.F32(T),
		o: m.F32(T * c.Heads * c.HeadDim), lse: m.F32(T * c.Heads),
		z: m.F32(T * c.OutGroups * c.OutRank),
	}
	if s.comp != nil {
		s.comp.take(m, T, e.entries)
	}
	if s.index == nil {
		return
	}
	s.saved.count = m.I32(T)
	if s.index.scores(e) {
		s.saved.list = m.I32(T * s.index.room(e))
	}
	if learn {
		s.index.take(m, e)
	}
}

// sparseForward is the scratch of Forward.
type sparseForward struct {
	sparseRows
	index      chooserForward
	pool, attn []float32
}

func (s *Sparse) takeForward(m memory, e extent, learn bool) sparseForward {
	f := sparseForward{sparseRows: s.takeRows(m, e)}
	if s.comp != nil {
		f.pool = m.F32(s.comp.pool.Scratch())
	}
	if s.index != nil {
		f.index = s.index.takeForward(m, e, learn)
	}
	f.attn = m.F32(s.attn.Scratch(s.sizes(), false))
	return f
}

// sparseBackward is the scratch of Backward.
type sparseBackward struct {
	sparseRows
	dz, do, dq []float32
	delta      []float32
	dk, dv     []float32
	dck, dcv   []float32
	dqr, dqa   []float32
	target     []float32
	comp       poolerScratch
	index      chooserBackward
	pool, attn []float32
}

func (s *Sparse) takeBackward(m memory, e extent, learn bool) sparseBackward {
	c, T := &s.c, e.tokens
	heads := T * c.Heads * c.HeadDim
	b := sparseBackward{
		sparseRows: s.takeRows(m, e),
		dz:         m.F32(T * c.OutGroups * c.OutRank), do: m.F32(heads), dq: m.F32(heads), delta: m.F32(T * c.Heads),
		dk: m.F32(T * c.HeadDim), dv: m.F32(T * c.HeadDim),
		dck: m.F32(e.entries * c.HeadDim), dcv: m.F32(e.entries * c.HeadDim),
		dqr: m.F32(T * c.QRank), dqa: m.F32(T * c.QRank),
	}
	if s.comp != nil {
		b.comp = s.comp.takeScratch(m, T, e.entries)
		b.pool = m.F32(s.comp.pool.Scratch())
	}
	if s.index != nil && learn {
		b.target = m.F32(T * s.index.room(e))
		b.index = s.index.takeBackward(m, e)
	}
	b.attn = m.F32(s.attn.Scratch(s.sizes(), true))
	return b
}

// sizes returns heads of which only the sizes are filled in.
func (s *Sparse) sizes() []kernel.AttentionHeads {
	cols := kernel.Mat{Cols: s.c.HeadDim}
	s.heads[0] = kernel.AttentionHeads{CK: cols, CV: cols}
	return s.heads[:]
}
