package deepseek

import (
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/nn"
)

// trail is what the forward pass leaves for the loss and the backward pass. Entry
// 0 of levels and ys belongs to the trunk, the others to the MTP blocks, of which
// there may be fewer than the model has.
type trail struct {
	last   []float32   // streams after the trunk [T, S·D]
	levels []*level    // the micro-batch at each depth
	ys     [][]float32 // inputs of the head [T_depth, D]
}

// forward runs embedding, trunk and, if withMTP, the MTP blocks. With keep set
// it leaves in the arena what backward needs.
func (m *Model) forward(b *Batch, p *nn.Pass, rc Recompute, withMTP, keep bool) (*trail, error) {
	t, d, s := p.T(), m.cfg.HiddenSize, m.streams
	m.base = baseLevel(b, p.Arena)
	f := &m.trail
	f.levels, f.ys = append(f.levels[:0], &m.base), append(f.ys[:0], p.Arena.F32(t*d))
	x := p.Arena.F32(t * s * d)
	m.embedTokens(x, p)
	var err error
	if keep {
		f.last, err = m.runBlocks(x, p, rc)
	} else {
		f.last, err = m.passBlocks(x, p)
	}
	if err != nil {
		return f, err
	}
	m.out.forward(f.ys[0], f.last, p)
	if bad := m.out.badToken(); bad >= 0 {
		return f, m.nonFinite(m.cfg.NumLayers-1, "feed-forward", "forward", bad)
	}
	if withMTP {
		err = m.runMTP(f, b, p, rc)
	}
	return f, err
}

// embedTokens fills the streams x [T, S, D] with each token's embedding.
func (m *Model) embedTokens(x []float32, p *nn.Pass) {
	p.Enter(-1, "embedding")
	if m.streams == 1 {
		kernel.Embedding(x, m.embed.Data, p.Tokens, m.cfg.HiddenSize)
		p.See("rows", x)
		return
	}
	mark := p.Arena.Mark()
	defer p.Arena.Release(mark)
	h := p.Arena.F32(p.T() * m.cfg.HiddenSize)
	kernel.Embedding(h, m.embed.Data, p.Tokens, m.cfg.HiddenSize)
	p.See("rows", h)
	nn.Spread(x, h, m.streams, m.cfg.HiddenSize)
	p.See("streams", x)
}

// runBlocks runs the trunk for training.
func (m *Model) runBlocks(x []float32, p *nn.Pass, rc Recompute) ([]float32, error) {
	for i := range m.blocks {
		next := p.Arena.F32(len(x))
		m.blocks[i].forward(next, x, p, rc)
		if err := m.checkForward(&m.blocks[i], nil); err != nil {
			return nil, err
		}
		x = next
	}
	return x, nil
}

// passBlocks runs the trunk for evaluation: two buffers take turns.
func (m *Model) passBlocks(x []float32, p *nn.Pass) ([]float32, error) {
	next := p.Arena.F32(len(x))
	for i := range m.blocks {
		m.blocks[i].forward(next, x, p, RecomputeFull)
		if err := m.checkForward(&m.blocks[i], nil); err != nil {
			return nil, err
		}
		x, next = next, x
	}
	return x, nil
}

// runMTP runs the MTP blocks one after the other, until no segment is long enough.
// In V4 a block reads the streams of the one before it; in V3 it reads what the
// one before it gives to the head, after the final norm.
func (m *Model) runMTP(f *trail, b *Batch, p *nn.Pass, rc Recompute) error {
	x, labels, below := f.last, b.MTPLabels, p
	for i := range m.mtp {
		k := &m.mtp[i]
		k.level.next(f.levels[i], labels, p.Arena)
		if k.level.t() == 0 {
			return nil
		}
		labels = nil
		k.pass = *p
		k.pass.Tokens, k.pass.Segments = k.level.tokens, k.level.segments
		if p.Watch != nil {
			k.pass.Rows = k.level.rowsOf(below)
		}
		below = &k.pass
		if m.streams == 1 {
			x = f.ys[i]
		}
		var y []float32
		y, x = k.forward(m.embed.Data, x, rc)
		f.levels, f.ys = append(f.levels, &k.level), append(f.ys, y)
		if err := m.checkForward(&k.block, &k.out); err != nil {
			return err
		}
	}
	return nil
}
