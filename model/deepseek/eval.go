package deepseek

import (
	"github.com/temper-ml/temper/nn"
)

// LogProbs returns log p(label) for every position, 0 where there is no label.
// It keeps no activations and touches no gradient.
func (m *Model) LogProbs(b *Batch) ([]float32, error) {
	if err := b.check(m.cfg); err != nil {
		return nil, err
	}
	logp := make([]float32, len(b.Tokens))
	return logp, m.evaluate(b, func(f *trail) error { return m.logProbs(logp, f) })
}

// LastLogits returns the logits [segments, V] of the token that follows each
// segment: a whole batch of prompts at once, each on its own. A prompt's logits
// have the same bits whatever else is in the batch.
func (m *Model) LastLogits(tokens []int32, segments []Segment) ([]float32, error) {
	b := &Batch{Tokens: tokens, Segments: segments, Labels: make([]int32, len(tokens))}
	if err := b.check(m.cfg); err != nil {
		return nil, err
	}
	logits := make([]float32, len(segments)*m.cfg.VocabSize)
	return logits, m.evaluate(b, func(f *trail) error {
		d := m.cfg.HiddenSize
		x := m.arena.F32(len(segments) * d)
		for i, s := range segments {
			copy(x[i*d:(i+1)*d], f.ys[0][(s.End-1)*d:])
		}
		m.head.Logits(logits, x, len(segments))
		return nil
	})
}

// evaluate runs the trunk without keeping activations and calls use while its
// result is valid.
func (m *Model) evaluate(b *Batch, use func(f *trail) error) error {
	if err := m.checkTables(); err != nil {
		return err
	}
	if err := m.checkRoutes(b); err != nil {
		return err
	}
	mark := m.arena.Mark()
	defer m.arena.Release(mark)
	m.report.open = false
	m.current = nn.Pass{Arena: m.arena, Tokens: b.Tokens, Segments: b.Segments, Given: m.choices(b)}
	f, err := m.forward(b, &m.current, RecomputeFull, false, false)
	if err != nil {
		return err
	}
	return use(f)
}

// Greedy returns, for every position with a label, the token that greedy
// decoding would choose there given all tokens before (ties: the lowest id); -1
// elsewhere. Like [Model.LogProbs] it keeps no activations.
func (m *Model) Greedy(b *Batch) ([]int32, error) {
	if err := b.check(m.cfg); err != nil {
		return nil, err
	}
	ids := make([]int32, len(b.Tokens))
	return ids, m.evaluate(b, func(f *trail) error {
		a, d := m.arena, m.cfg.HiddenSize
		r := supervised(f.levels[:1], a, func(int, int) float32 { return 0 })
		x, out := a.F32(len(r.row)*d), a.I32(len(r.row))
		r.gather(x, f.ys, d)
		m.head.Greedy(out, x, len(r.row), a)
		for i := range ids {
			ids[i] = -1
		}
		for i, at := range r.row {
			ids[at] = out[i]
		}
		return nil
	})
}
