package deepseek

import (
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/nn"
	"github.com/temper-ml/temper/nn/attention"
)

// Reserve makes room for passes of up to tokens tokens of up to sequences
// sequences, which want up to rows rows of logits, so that the scratch memory need
// not grow when a pass is larger than those before. It returns what the passes
// take, in bytes.
func (c *Cache) Reserve(tokens, sequences, rows int) (int64, error) {
	need := c.passBytes(tokens, sequences, rows)
	return need, c.m.grow(need)
}

// PlanPasses predicts what [Cache.Reserve] of a model's cache returns, without taking
// any memory.
func PlanPasses(cfg *arch.Config, o CacheOptions, tokens, sequences, rows int) (int64, error) {
	m, err := skeleton(cfg)
	if err != nil {
		return 0, err
	}
	if o.Context, err = contextOf(cfg, o.Context); err != nil {
		return 0, err
	}
	c := &Cache{m: m, o: o}
	if c.size, err = m.cacheSize(o); err != nil {
		return 0, err
	}
	c.pool = attention.NewPool(int(c.size.PageBytes/4), c.size.Pages(o.Context))
	return c.passBytes(tokens, sequences, rows), nil
}

func (c *Cache) passBytes(tokens, sequences, rows int) int64 {
	many := min(sequences, tokens)
	return 4 * int64(max(
		c.passFloats(tokens, 1, rows, false), c.passFloats(tokens, many, rows, false),
		c.passFloats(tokens, 1, rows, true), c.passFloats(tokens, many, rows, true),
	))
}

// passFloats predicts the arena memory of a pass in which sequences-1 sequences at
// the end of their context grow by one token each and one more, which may begin
// only now, by the rest.
func (c *Cache) passFloats(tokens, sequences, rows int, fresh bool) int {
	var segs []Segment
	var from []int
	at := 0
	for i := range sequences {
		n := min(1, c.o.Context)
		if i == sequences-1 {
			n = min(tokens-at, c.o.Context)
		}
		segs = append(segs, Segment{Start: at, End: at + n})
		from = append(from, c.o.Context-n)
		at += n
	}
	if fresh {
		from[sequences-1] = 0
	}
	m := c.m
	w := &walk{m: m, o: StepOptions{Recompute: RecomputeFull}, d: m.cfg.HiddenSize, s: m.streams}
	w.take(at*w.d, at*w.s*w.d, at*w.s*w.d)
	if w.s > 1 {
		w.scratch(at * w.d)
	}
	for i := range m.blocks {
		w.extended(&m.blocks[i], c, at, segs, from)
	}
	mark := w.used
	w.output(at)
	w.scratch(rows * w.d)
	if c.o.Predict {
		k := &m.mtp[0]
		n := at + sequences*c.o.Back
		for i := range segs {
			segs[i].Start, segs[i].End = segs[i].Start+i*c.o.Back, segs[i].End+(i+1)*c.o.Back
			from[i] = max(0, from[i]-c.o.Back)
		}
		w.take(n*w.s*w.d, n*w.d, n*w.s*w.d, n*w.s*w.d, n*w.d, n*w.d, n, n*w.s*w.d, n*w.s)
		w.scratch(n * w.d)
		w.extended(&k.block, c, n, segs, from)
		w.output(n)
		w.scratch(sequences * w.d)
	}
	w.used = mark
	return w.peak
}

// extended counts a block of a pass that extends sequences.
func (w *walk) extended(b *block, c *Cache, t int, segs []Segment, from []int) {
	mark := w.used
	w.take(t * w.s * w.d)
	w.residual(t, false, need{saved: b.attention.PastFloats([]nn.Segment(segs), from, c.pool, c.o.reach())})
	w.residual(t, false, b.feedForwardFloats(t))
	w.used = mark
}
