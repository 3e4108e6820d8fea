package deepseek

import (
	"fmt"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/nn"
)

// Plan is the memory, in bytes, that training a model takes besides the
// optimizer's state.
type Plan struct {
	Parameters  int64 // values
	Gradients   int64
	Activations int64 // peak of what a micro-batch holds
}

// Total returns the sum.
func (p Plan) Total() int64 { return p.Parameters + p.Gradients + p.Activations }

// PlanStep predicts the memory of TrainStep for micro-batches with the given
// segments, all positions supervised, without allocating it.
func PlanStep(cfg *arch.Config, segments []Segment, o StepOptions) (Plan, error) {
	m, err := skeleton(cfg)
	if err != nil {
		return Plan{}, err
	}
	if len(segments) == 0 {
		return Plan{}, fmt.Errorf("deepseek: plan needs at least one segment")
	}
	if err := nn.CheckSegments(segments, segments[len(segments)-1].End); err != nil {
		return Plan{}, fmt.Errorf("deepseek: plan: %w", err)
	}
	var plan Plan
	for _, p := range m.params {
		plan.Parameters += 4 * int64(align(p.Len()))
		if !p.Frozen {
			plan.Gradients += 4 * int64(align(p.Len()))
		}
	}
	plan.Activations = m.activations(segments, o)
	return plan, nil
}

// skeleton returns a model without values, to measure.
func skeleton(cfg *arch.Config) (*Model, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("deepseek: %w", err)
	}
	if err := cfg.CheckTrainable(); err != nil {
		return nil, fmt.Errorf("deepseek: %w", err)
	}
	m := &Model{cfg: cfg, streams: 1, trainable: true, byName: map[string]*Param{}}
	if cfg.Family == arch.V4 {
		m.streams = nn.Streams
	}
	for _, t := range cfg.Tensors() {
		m.params = append(m.params, &Param{Tensor: t})
	}
	return m, m.assemble()
}

// activations predicts the peak of the arena.
func (m *Model) activations(segments []Segment, o StepOptions) int64 {
	w := &walk{m: m, o: o, d: m.cfg.HiddenSize, s: m.streams}
	w.step(segments)
	return 4 * int64(w.peak)
}

// reserve sizes the arena before a step that needs more than it holds: for these
// segments, or for the same tokens as one segment, which other packings of as
// many tokens hardly exceed.
func (m *Model) reserve(segments []Segment, o StepOptions) error {
	whole := [1]Segment{{Start: 0, End: segments[len(segments)-1].End}}
	return m.grow(max(m.activations(segments, o), m.activations(whole[:], o)))
}

// grow sizes the arena, if it holds less. Layers still hold memory of the last
// step until the next one; they are made anew to let go of it, so that old and
// new memory are not there at once.
func (m *Model) grow(bytes int64) error {
	if bytes <= m.arena.Held() {
		return nil
	}
	m.blocks, m.mtp = nil, nil
	if err := m.assemble(); err != nil {
		return err
	}
	m.arena.Reserve(bytes)
	return nil
}

// Reserve makes room for micro-batches of up to tokens tokens ahead of the first,
// so that the arena need not grow when a later one is larger.
func (m *Model) Reserve(tokens int, o StepOptions) error {
	return m.grow(m.activations([]Segment{{Start: 0, End: tokens}}, o))
}

// walk goes through a step and counts what it takes from the arena, in elements
// of 4 bytes. Its methods mirror those of the step, call by call.
type walk struct {
	m          *Model
	o          StepOptions
	d, s       int
	used, peak int
}

func (w *walk) take(sizes ...int) {
	w.used += nn.ArenaSize(sizes...)
	w.peak = max(w.peak, w.used)
}

// scratch counts sizes that are given back at once.
func (w *walk) scratch(sizes ...int) {
	mark := w.used
	w.take(sizes...)
	w.used = mark
}

func (w *walk) step(segments []Segment) {
	t := segments[len(segments)-1].End
	w.take(t, t*w.d, t*w.s*w.d)
	if w.s > 1 {
		w.scratch(t * w.d)
	}
	for i := range w.m.blocks {
		w.take(t * w.s * w.d)
		w.block(&w.m.blocks[i], t, segments)
	}
	w.output(t)
	levels := w.runMTP(segments)
	rows := t
	w.take(t * w.d)
	for _, l := range levels {
		n := l[len(l)-1].End
		w.take(n * w.d)
		rows += n
	}
	w.scratch(rows, rows, rows, rows, 1+len(levels), rows*w.d, rows*w.d, rows, w.m.distillFloats(rows, &w.o))
	w.backward(t, segments, levels)
}

func (w *walk) runMTP(segments []Segment) (levels [][]Segment) {
	if w.o.MTPScale == 0 {
		return nil
	}
	for i := range w.m.mtp {
		var l level
		n := l.shrink(segments)
		if n == 0 {
			break
		}
		segments = l.segments
		levels = append(levels, segments)
		w.take(n, n, n, n)
		w.take(n*w.d, n*w.s*w.d, n*w.s*w.d, n*w.s*w.d, n*w.d, n*w.d, n, n*w.s*w.d, n*w.s)
		w.scratch(n * w.d)
		w.block(&w.m.mtp[i].block, n, segments)
		w.output(n)
	}
	return levels
}

func (w *walk) output(t int) {
	w.take(t)
	if w.s > 1 {
		w.take(t*w.d, t, t*nn.Streams, t*nn.Streams)
	}
}

func (w *walk) block(b *block, t int, segments []Segment) {
	mark := w.used
	keep := w.o.Recompute == RecomputeNone
	w.take(t * w.s * w.d)
	w.residual(t, keep, b.attentionFloats(segments, w.o))
	w.residual(t, keep, b.feedForwardFloats(t))
	if w.o.Recompute == RecomputeFull {
		w.used = mark
	}
}

// need is the arena memory of a body: what Forward keeps, and the most that
// Forward or Backward hold on top of it.
type need struct{ saved, scratch int }

func (b *block) attentionFloats(segments []Segment, o StepOptions) need {
	saved, scratch := b.attention.Floats(&nn.Pass{Segments: segments, IndexerScale: o.IndexerScale})
	return need{saved, scratch}
}

func (b *block) feedForwardFloats(t int) need {
	if b.dense != nil {
		saved, scratch := b.dense.Floats(t)
		return need{saved, scratch}
	}
	saved, scratch := b.moe.Floats(t)
	return need{saved, scratch}
}

func (w *walk) residual(t int, keep bool, n need) {
	w.take(t)
	if w.s > 1 {
		const s = nn.Streams
		w.take(t*w.d, t, t*(2*s+s*s), t*s, t*s, t*s*s, t*w.d)
	}
	mark := w.used
	w.take(t*w.d, n.saved)
	w.scratch(n.scratch)
	if !keep {
		w.used = mark
	}
}

func (w *walk) backward(t int, segments []Segment, levels [][]Segment) {
	w.take(t*w.s*w.d, t*w.s*w.d, t*w.d)
	mark := w.used
	for i := len(levels) - 1; i >= 0; i-- {
		n := levels[i][len(levels[i])-1].End
		w.take(n * w.s * w.d)
		inner := w.used
		w.take(n * w.s * w.d)
		w.blockBackward(&w.m.mtp[i].block, n, levels[i])
		w.scratch(n*w.d, n*w.d, n*w.d)
		w.used = inner
	}
	if w.s > 1 {
		w.scratch(t*w.d, t*w.s, t)
	}
	w.used = mark
	for i := range w.m.blocks {
		w.blockBackward(&w.m.blocks[i], t, segments)
	}
}

func (w *walk) blockBackward(b *block, t int, segments []Segment) {
	mark := w.used
	attn, ffn := b.attentionFloats(segments, w.o), b.feedForwardFloats(t)
	if w.o.Recompute == RecomputeFull {
		w.take(t * w.s * w.d)
		w.residual(t, true, attn)
		if w.s == 1 {
			w.take(t * w.d) // the feed-forward output, which nobody reads
		}
		w.residual(t, true, ffn)
	}
	w.residualBackward(t, ffn)
	w.residualBackward(t, attn)
	w.used = mark
}

func (w *walk) residualBackward(t int, n need) {
	mark := w.used
	if w.o.Recompute == RecomputeSelective {
		w.take(t*w.d, t*w.d, n.saved)
	}
	w.take(t * w.d)
	if w.s > 1 {
		const s = nn.Streams
		w.take(t*w.d, t*s, t*s*s)
		w.scratch(t*s, t*(2*s+s*s), t)
	}
	w.scratch(n.scratch)
	w.used = mark
}
