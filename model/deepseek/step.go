package deepseek

import (
	"fmt"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/nn"
)

// TrainStep runs one micro-batch forward and backward: it adds to the gradient
// of every parameter and returns the losses. When it returns an error the
// gradients are not usable; a [NonFiniteError] tells where numbers broke.
func (m *Model) TrainStep(b *Batch, o StepOptions) (Losses, error) {
	return m.step(b, o, nil)
}

// Objective turns the log-probabilities of the labels, one per position and 0
// where there is no label, into their gradient: d objective / d logp, where the
// objective is minimised. Entries without a label are ignored.
type Objective func(logp []float32) (dlogp []float32)

// ForwardBackward is TrainStep for an objective that is any function of the
// labels' log-probabilities. It takes the place of LMScale · LM, so o.LMScale
// is not used; [Losses].LM still reports -Σ log p. The logits are computed
// twice, once for the log-probabilities and once for the gradient.
func (m *Model) ForwardBackward(b *Batch, objective Objective, o StepOptions) (Losses, error) {
	return m.step(b, o, objective)
}

func (m *Model) pass(b *Batch, o StepOptions) *nn.Pass {
	m.current = nn.Pass{
		Arena: m.arena, Tokens: b.Tokens, Segments: b.Segments,
		BalanceScale: o.BalanceScale, IndexerScale: o.IndexerScale, Given: m.choices(b), Watch: o.Watch,
	}
	if o.Watch != nil {
		m.current.Rows = o.Watch.Rows
	}
	return &m.current
}

func (m *Model) step(b *Batch, o StepOptions, objective Objective) (Losses, error) {
	if !m.trainable {
		return Losses{}, fmt.Errorf("deepseek: a model made by NewFrozen has no gradients to train with")
	}
	if err := b.check(m.cfg); err != nil {
		return Losses{}, err
	}
	if err := m.checkDistill(b, &o); err != nil {
		return Losses{}, err
	}
	if err := m.checkTables(); err != nil {
		return Losses{}, err
	}
	if err := m.checkRoutes(b); err != nil {
		return Losses{}, err
	}
	if err := m.reserve(b.Segments, o); err != nil {
		return Losses{}, err
	}
	mark := m.arena.Mark()
	defer m.arena.Release(mark)
	p := m.pass(b, o)
	m.report.reset()
	f, err := m.forward(b, p, o.Recompute, o.MTPScale != 0, true)
	m.report.open = false
	if err != nil {
		return Losses{}, err
	}
	dys := m.dys[:0]
	for _, y := range f.ys {
		dys = append(dys, m.arena.F32(len(y)))
	}
	m.dys = dys
	l := Losses{Balance: m.report.balance, Counts: m.report.counts}
	if err := m.headBackward(&l, dys, f, o, objective); err != nil {
		return l, err
	}
	if err := m.backward(f, dys, p, o); err != nil {
		return l, err
	}
	l.Indexer = m.indexerLoss(len(f.levels) - 1)
	return l, nil
}

// headBackward computes the losses and the gradients dys of the head's inputs.
func (m *Model) headBackward(l *Losses, dys [][]float32, f *trail, o StepOptions, objective Objective) error {
	mark := m.arena.Mark()
	defer m.arena.Release(mark)
	scale := func(depth, _ int) float32 {
		if depth == 0 {
			return o.LMScale
		}
		return o.MTPScale
	}
	if objective != nil {
		logp := m.arena.F32(m.base.t())
		if err := m.logProbs(logp, f); err != nil {
			return err
		}
		dlogp := objective(logp)
		if len(dlogp) != len(logp) {
			return fmt.Errorf("deepseek: objective returned %d gradients for %d positions", len(dlogp), len(logp))
		}
		scale = func(depth, pos int) float32 {
			if depth == 0 {
				return -dlogp[pos]
			}
			return o.MTPScale
		}
	}
	return m.lossBackward(l, dys, f, supervised(f.levels, m.arena, scale), &o)
}

// backward takes dys, the gradients of the head's inputs, back to the embedding.
func (m *Model) backward(f *trail, dys [][]float32, p *nn.Pass, o StepOptions) error {
	a, t, d, s := m.arena, p.T(), m.cfg.HiddenSize, m.streams
	dx, spare := a.F32(t*s*d), a.F32(t*s*d)
	dh := a.Zeros(t * d) // what the MTP blocks send to the embeddings
	mark := a.Mark()
	p.Backwards(true)
	dmtp, err := m.mtpBackward(dh, f, dys, o)
	if err != nil {
		return err
	}
	m.out.backward(dx, dys[0], p)
	if dmtp != nil {
		f.levels[1].addBack(dx, dmtp, s*d)
	}
	withMTP := o.MTPScale != 0 && len(m.mtp) > 0
	if withMTP && s > 1 {
		p.See("streams", dx)
	}
	a.Release(mark)
	for i := len(m.blocks) - 1; i >= 0; i-- {
		if err := m.blocks[i].backward(dx, spare, p, o.Recompute); err != nil {
			return err
		}
		o.ready(i)
	}
	dtrunk := spare[:t*d]
	p.Enter(-1, "embedding")
	if withMTP {
		p.See("rows.mtp", dh)
	}
	nn.SumStreams(dtrunk, dx, s, d)
	p.See("rows.trunk", dtrunk)
	kernel.AddTo(dtrunk, dh)
	p.See("rows", dtrunk)
	kernel.EmbeddingBackward(m.embed.Grad, dtrunk, p.Tokens, d)
	o.ready(-1)
	return nil
}

// mtpBackward runs the MTP blocks backward. It adds to dh, and in V3 to dys, and
// returns the gradient of the streams that the first block read, nil if none did.
func (m *Model) mtpBackward(dh []float32, f *trail, dys [][]float32, o StepOptions) ([]float32, error) {
	var above []float32
	var aboveLevel *level
	for i := len(f.levels) - 2; i >= 0; i-- {
		k := &m.mtp[i]
		k.pass.Backwards(true)
		dx := m.arena.F32(k.level.t() * m.streams * m.cfg.HiddenSize)
		if err := k.backward(dx, dh, dys[i+1], above, aboveLevel, o.Recompute); err != nil {
			return nil, err
		}
		if m.streams == 1 { // it read the head's input, not the streams
			k.level.addBack(dys[i], dx, m.cfg.HiddenSize)
		} else {
			above, aboveLevel = dx, &k.level
		}
		o.ready(m.cfg.NumLayers + i)
	}
	return above, nil
}

func (o *StepOptions) ready(layer int) {
	if o.Ready != nil {
		o.Ready(layer)
	}
}

// indexerLoss adds up the indexers' losses of the micro-batch, of the trunk and of
// the MTP blocks that ran.
func (m *Model) indexerLoss(mtps int) float64 {
	sum := 0.0
	for i := range m.blocks {
		sum += m.blocks[i].attention.KL()
	}
	for i := range mtps {
		sum += m.mtp[i].block.attention.KL()
	}
	return sum
}

// Recompute says which activations the forward pass keeps for the backward
// pass and which are computed a second time. Gradients have the same bits for
// every choice.
type Recompute int

// The choices, from most memory to least.
const (
	// RecomputeNone keeps everything.
	RecomputeNone Recompute = iota
	// RecomputeSelective keeps the inputs and outputs of attention and expert
	// sublayers and computes their insides again.
	RecomputeSelective
	// RecomputeFull keeps only the input of each block.
	RecomputeFull
)

var recomputeNames = [...]string{"none", "selective", "full"}

// String returns the name used in recipes.
func (r Recompute) String() string { return recomputeNames[r] }

// ParseRecompute reads a name: none, selective or full.
func ParseRecompute(name string) (Recompute, error) {
	for i, n := range recomputeNames {
		if n == name {
			return Recompute(i), nil
		}
	}
	return 0, fmt.Errorf("deepseek: recompute %q, want none, selective or full", name)
}

// StepOptions says how a training step weighs the losses and spends memory. The
// gradient that a step adds is that of
//
//	LMScale · Σ -log p(label) + MTPScale · Σ -log p(mtp label)
//	  + BalanceScale · Σ balance loss + IndexerScale · Σ indexer loss
//	  + DistillScale · Σ weight · divergence from a teacher
//
// with sums over supervised positions, over segments and learned routers,
// over tokens and CSA layers, and over lessons and supervised positions. A token mean over a whole optimizer step has
// LMScale = 1/N, N counted before its first micro-batch.
type StepOptions struct {
	LMScale      float32
	MTPScale     float32 // 0 skips the MTP blocks altogether
	BalanceScale float32
	IndexerScale float32 // 0 leaves the indexer without gradient
	DistillScale float32
	// Distill, if not nil, are the micro-batch's teachers.
	Distill   *Distillation
	Recompute Recompute
	// Ready, if not nil, is called when a layer's gradients are complete for this
	// micro-batch: MTP blocks first, then the trunk's last layer to its first,
	// then -1 for embedding, head and final norm.
	Ready nn.ReadyFunc
	// Watch, if not nil, is shown the output of every operator.
	Watch *nn.Watch
}
