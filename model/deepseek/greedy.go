package deepseek

// Greedy returns, for every position with a label, the token that greedy
// decoding would choose there given all tokens before (ties: the lowest id); -1
// elsewhere. Like [Model.LogProbs] it keeps no activations.
func (m *Model) Greedy(b *Batch) ([]int32, error) {
	if err := b.check(m.cfg); err != nil {
		return nil, err
	}
	a, d := m.arena, m.cfg.HiddenSize
	mark := a.Mark()
	defer a.Release(mark)
	m.report.open = false
	f, err := m.forward(b, m.pass(b, StepOptions{}), RecomputeFull, false, false)
	if err != nil {
		return nil, err
	}
	r := supervised(f.levels[:1], a, func(int, int) float32 { return 0 })
	x, out := a.F32(len(r.row)*d), a.I32(len(r.row))
	r.gather(x, f.ys, d)
	m.head.Greedy(out, x, len(r.row), a)
	ids := make([]int32, len(b.Tokens))
	for i := range ids {
		ids[i] = -1
	}
	for i, at := range r.row {
		ids[at] = out[i]
	}
	return ids, nil
}
