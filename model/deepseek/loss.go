package deepseek

import (
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/nn"
)

// rows are the supervised positions of a micro-batch, ordered by position, and
// at one position by depth: the trunk first, then each MTP block. The head's
// gradient is one chain in this order, which splitting a batch between segments
// does not change.
type rows struct {
	depth, row []int32   // where the head's input is: row of ys[depth]
	labels     []int32   // token to predict
	coef       []float32 // weight of the row's loss in the gradient
}

// supervised lists the rows of the levels that have a label. scale gives the
// coefficient of a row.
func supervised(levels []*level, a *nn.Arena, scale func(depth, pos int) float32) rows {
	most := 0
	for _, l := range levels {
		most += l.t()
	}
	r := rows{depth: a.I32(most), row: a.I32(most), labels: a.I32(most), coef: a.F32(most)}
	n := 0
	at := a.I32(len(levels)) // next row of each level
	clear(at)
	for pos := range levels[0].t() {
		for depth, l := range levels {
			i := int(at[depth])
			if i >= l.t() || int(l.origin[i]) != pos {
				continue
			}
			at[depth]++
			if l.labels[i] >= 0 {
				r.depth[n], r.row[n], r.labels[n] = int32(depth), int32(i), l.labels[i]
				r.coef[n] = scale(depth, pos)
				n++
			}
		}
	}
	return rows{depth: r.depth[:n], row: r.row[:n], labels: r.labels[:n], coef: r.coef[:n]}
}

// gather copies the head inputs of the rows from ys to x, scatter their
// gradients back to dys, whose other rows become zero.
func (r *rows) gather(x []float32, ys [][]float32, d int) {
	for i, at := range r.row {
		copy(x[i*d:(i+1)*d], ys[r.depth[i]][int(at)*d:])
	}
}

func (r *rows) scatter(dys [][]float32, dx []float32, d int) {
	for _, dy := range dys {
		clear(dy)
	}
	for i, at := range r.row {
		copy(dys[r.depth[i]][int(at)*d:int(at+1)*d], dx[i*d:])
	}
}

// lossBackward computes the losses of the rows, adds them to l, adds the head's
// gradient and overwrites dys, the gradients of all its inputs ys.
func (m *Model) lossBackward(l *Losses, dys [][]float32, f *trail, r rows, o *StepOptions) error {
	a, d, n := m.arena, m.cfg.HiddenSize, len(r.row)
	mark := a.Mark()
	defer a.Release(mark)
	x, dx, loss := a.F32(n*d), a.F32(n*d), a.F32(n)
	r.gather(x, f.ys, d)
	p := &m.current
	p.Enter(-1, "head")
	p.Scored(func(i int) int { return int(f.levels[r.depth[i]].origin[r.row[i]]) }, n)
	if o.Distill != nil {
		if err := m.distill(l, loss, dx, x, f, r, o); err != nil {
			return err
		}
	} else {
		m.head.Loss(loss, dx, x, r.labels, r.coef, n, p)
		if i := kernel.FirstNonFinite(loss); i >= 0 {
			return m.badLoss(f, r, i)
		}
	}
	r.scatter(dys, dx, d)
	for i, depth := range r.depth {
		if depth == 0 {
			l.LM += nn.Term(float64(loss[i]))
			l.Tokens++
		} else {
			l.MTP += nn.Term(float64(loss[i]))
			l.MTPTokens++
		}
	}
	return nil
}

// logProbs fills logp [T] with the log-probability of each label of the trunk, 0
// where there is none.
func (m *Model) logProbs(logp []float32, f *trail) error {
	a, d := m.arena, m.cfg.HiddenSize
	mark := a.Mark()
	defer a.Release(mark)
	r := supervised(f.levels[:1], a, func(int, int) float32 { return 0 })
	n := len(r.row)
	x, out := a.F32(n*d), a.F32(n)
	r.gather(x, f.ys, d)
	m.head.LogProbs(out, x, r.labels, n, a)
	if i := kernel.FirstNonFinite(out); i >= 0 {
		return m.badLoss(f, r, i)
	}
	clear(logp)
	for i, at := range r.row {
		logp[at] = out[i]
	}
	return nil
}

// badLoss is the error for row i, whose loss is not finite.
func (m *Model) badLoss(f *trail, r rows, i int) error {
	pos := f.levels[r.depth[i]].origin[r.row[i]]
	return m.nonFinite(-1, "head", "forward", int(pos))
}
