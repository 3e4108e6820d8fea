package deepseek

import (
	"fmt"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/nn"
	"github.com/temper-ml/temper/nn/attention"
)

// Extension adds tokens to a sequence.
type Extension struct {
	Sequence *Sequence
	Tokens   []int32
	// Logits is after how many of the tokens, the last ones, logits are wanted.
	Logits int
	// Err tells, after the call, that numbers of this sequence are not finite; it
	// can only be freed then. Others are not affected.
	Err error
}

// extending is what a cache needs during a call.
type extending struct {
	pass   nn.Pass
	tokens []int32
	segs   []Segment
	pasts  [][]*attention.Past // by layer
	bad    []fault             // by token
	places int                 // that were looked at
	any    bool
	to     []Extension
}

// fault says where a token's numbers broke first.
type fault struct {
	order    int // of the place in the pass, from 1; 0: none
	layer    int
	sublayer string
}

// Extend adds the tokens of all extensions to their sequences, in one pass, and
// writes the logits that are wanted, a row of the vocabulary's size for each, in
// order. Logits are what a pass over the whole sequence gives, to the bit,
// however it was cut and whatever else is in the pass. The pages must be free:
// see [CacheSize.Pages].
func (c *Cache) Extend(to []Extension, logits []float32) error {
	if err := c.check(to, logits); err != nil {
		return err
	}
	m := c.m
	mark := m.arena.Mark()
	defer m.arena.Release(mark)
	c.begin(to, 0, len(m.blocks))
	defer c.end(0, len(m.blocks))
	p, d := &c.run.pass, m.cfg.HiddenSize
	t := p.T()
	y, x, next := p.Arena.F32(t*d), p.Arena.F32(t*m.rowWidth()), p.Arena.F32(t*m.rowWidth())
	m.embedTokens(x, p)
	for i := range m.blocks {
		m.blocks[i].forward(next, x, p, RecomputeFull)
		c.blame(&m.blocks[i])
		x, next = next, x
	}
	m.out.forward(y, x, p)
	c.blameToken(m.out.badToken, m.out.scales, m.cfg.NumLayers-1, "feed-forward")
	c.report(to)
	c.head(to, y, logits)
	for i := range to {
		s := to[i].Sequence
		s.tokens = append(s.tokens, to[i].Tokens...)
		s.longest = max(s.longest, len(s.tokens))
	}
	if c.o.Predict {
		if m.streams == 1 {
			x = y
		}
		c.follow(to, x)
	}
	return nil
}

// check tells what is wrong with a call.
func (c *Cache) check(to []Extension, logits []float32) error {
	rows := 0
	for i := range to {
		e := &to[i]
		n := len(e.Sequence.tokens)
		switch {
		case len(e.Tokens) == 0:
			return fmt.Errorf("deepseek: extension %d has no tokens", i)
		case n+len(e.Tokens) > c.o.Context:
			return fmt.Errorf("deepseek: extension %d makes a sequence of %d tokens, the context is %d", i, n+len(e.Tokens), c.o.Context)
		case e.Logits < 0 || e.Logits > len(e.Tokens):
			return fmt.Errorf("deepseek: extension %d wants logits after %d of %d tokens", i, e.Logits, len(e.Tokens))
		}
		for j, id := range e.Tokens {
			if id < 0 || int(id) >= c.m.cfg.VocabSize {
				return fmt.Errorf("deepseek: token %d at position %d is outside the vocabulary of %d", id, n+j, c.m.cfg.VocabSize)
			}
		}
		rows += e.Logits
	}
	if len(to) == 0 || len(logits) < rows*c.m.cfg.VocabSize {
		return fmt.Errorf("deepseek: %d extensions want %d rows of logits of %d, there is room for %d values", len(to), rows, c.m.cfg.VocabSize, len(logits))
	}
	return nil
}

// begin sets up a pass through layers [first, last) of the cache.
func (c *Cache) begin(to []Extension, first, last int) {
	r := &c.run
	r.tokens, r.segs, r.any, r.to = r.tokens[:0], r.segs[:0], false, to
	r.places = 0
	for len(r.pasts) < last {
		r.pasts = append(r.pasts, nil)
	}
	for l := first; l < last; l++ {
		r.pasts[l] = r.pasts[l][:0]
	}
	routed := false
	for i := range to {
		s := to[i].Sequence
		start := len(r.tokens)
		r.tokens = append(r.tokens, to[i].Tokens...)
		r.segs = append(r.segs, Segment{Start: start, End: len(r.tokens)})
		for l := first; l < last; l++ {
			s.taken += s.pasts[l].Prepare(len(to[i].Tokens))
			r.pasts[l] = append(r.pasts[l], s.pasts[l])
		}
		if first == 0 && s.Routes != nil {
			s.record()
			routed = true
		}
		to[i].Err = nil
	}
	for l := first; l < last; l++ {
		c.layer(l).Continue(r.pasts[l])
	}
	r.pass = nn.Pass{Arena: c.m.arena, Tokens: r.tokens, Segments: r.segs}
	c.m.report.open, c.m.report.routed = false, nil
	if routed {
		c.m.report.routed = c.addExperts
	}
}

// end undoes begin.
func (c *Cache) end(first, last int) {
	for l := first; l < last; l++ {
		c.layer(l).Continue(nil)
	}
	c.m.report.routed = nil
	c.run.to = nil
}

// record makes layers tell which entries they choose for the sequence.
func (s *Sequence) record() {
	for l, picks := range s.Routes.Picks {
		if picks != nil && s.pasts[l].Chose == nil {
			s.pasts[l].Chose = func(_, _ int, entries []int32) { s.Routes.addPicks(l, entries) }
		}
	}
}

// addExperts records the experts of a layer.
func (c *Cache) addExperts(layer int, rt *nn.Routing) {
	for i, g := range c.run.segs {
		if r := c.run.to[i].Sequence.Routes; r != nil {
			r.addExperts(layer, rt.Chosen[g.Start*rt.TopK:g.End*rt.TopK])
		}
	}
}

// blame looks for tokens that broke in or before a block.
func (c *Cache) blame(b *block) {
	before, sublayer := b.layer-1, "feed-forward"
	if b.layer == 0 {
		sublayer = "embedding"
	}
	c.blameToken(b.attn.badToken, func() []float32 { return b.attn.rms }, before, sublayer)
	c.blameToken(b.ffn.badToken, func() []float32 { return b.ffn.rms }, b.layer, b.attn.name)
}

func (c *Cache) blameToken(first func() int, scales func() []float32, layer int, sublayer string) {
	r := &c.run
	r.places++
	i := first()
	if i < 0 {
		return
	}
	if !r.any {
		r.any = true
		r.bad = append(r.bad[:0], make([]fault, len(r.tokens))...)
	}
	for at, v := range scales()[i:] {
		if f := &r.bad[i+at]; f.order == 0 && badScale([]float32{v}) == 0 {
			*f = fault{r.places, layer, sublayer}
		}
	}
}

// report sets the errors of extensions with tokens that broke: the first place,
// which later tokens, and within a block of queries earlier ones, took it from.
func (c *Cache) report(to []Extension) {
	if !c.run.any {
		return
	}
	for i, g := range c.run.segs {
		var first fault
		pos := 0
		for at := g.Start; at < g.End; at++ {
			if f := c.run.bad[at]; f.order > 0 && (first.order == 0 || f.order < first.order) {
				first, pos = f, len(to[i].Sequence.tokens)+at-g.Start
			}
		}
		if first.order > 0 {
			to[i].Err = fmt.Errorf("position %d: %w", pos, c.m.nonFinite(first.layer, first.sublayer, "forward", -1))
		}
	}
}

// head projects the rows of y whose logits are wanted.
func (c *Cache) head(to []Extension, y, logits []float32) {
	m, d := c.m, c.m.cfg.HiddenSize
	rows := 0
	for i := range to {
		rows += to[i].Logits
	}
	if rows == 0 {
		return
	}
	mark := m.arena.Mark()
	defer m.arena.Release(mark)
	x := m.arena.F32(rows * d)
	at := 0
	for i, g := range c.run.segs {
		at += copy(x[at:], y[(g.End-to[i].Logits)*d:g.End*d])
	}
	v := m.cfg.VocabSize
	m.head.Logits(logits[:rows*v], x, rows)
	c.checkLogits(to, logits[:rows*v])
}

// checkLogits sets the errors of extensions whose logits are not finite.
func (c *Cache) checkLogits(to []Extension, logits []float32) {
	if kernel.FirstNonFinite(logits) < 0 {
		return
	}
	v, at := c.m.cfg.VocabSize, 0
	for i := range to {
		n := to[i].Logits * v
		if j := kernel.FirstNonFinite(logits[at : at+n]); j >= 0 && to[i].Err == nil {
			pos := len(to[i].Sequence.tokens) + len(to[i].Tokens) - to[i].Logits + j/v
			to[i].Err = fmt.Errorf("position %d: %w", pos, c.m.nonFinite(-1, "head", "forward", -1))
		}
		at += n
	}
}
