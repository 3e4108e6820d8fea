package deepseek

import "fmt"

// follow gives the trunk's rows of new tokens to the MTP block: few are kept until
// Predict, of many all but the last go through it at once.
func (c *Cache) follow(to []Extension, x []float32) {
	w := c.m.rowWidth()
	var now []Extension
	at := 0
	rows := c.m.arena.F32(c.pendingRows(to) * w)
	for i, g := range c.run.segs {
		s := to[i].Sequence
		fresh := x[g.Start*w : g.End*w]
		if len(s.pending)+len(fresh) <= cap(s.pending) {
			s.pending = append(s.pending, fresh...)
			continue
		}
		at += copy(rows[at:], s.pending)
		at += copy(rows[at:], fresh[:len(fresh)-w])
		n := len(s.tokens)
		k := len(s.pending)/w + g.Len() - 1
		now = append(now, Extension{Sequence: s, Tokens: s.tokens[n-k : n]})
		s.pending = append(s.pending[:0], fresh[len(fresh)-w:]...)
	}
	if len(now) > 0 {
		c.runMTP(now, rows[:at], nil)
	}
}

// pendingRows bounds the rows that follow puts together.
func (c *Cache) pendingRows(to []Extension) int {
	n := 0
	for i := range to {
		n += len(to[i].Sequence.pending)/c.m.rowWidth() + len(to[i].Tokens)
	}
	return n
}

// Predict runs the MTP block for sequences to which one token each is about to be
// added, and writes the logits of the token after that. Extension.Tokens is that
// one token; it is not added.
func (c *Cache) Predict(to []Extension, logits []float32) error {
	if !c.o.Predict {
		return fmt.Errorf("deepseek: the cache was not made to predict")
	}
	if len(logits) < len(to)*c.m.cfg.VocabSize {
		return fmt.Errorf("deepseek: predictions need %d logits, there is room for %d", len(to)*c.m.cfg.VocabSize, len(logits))
	}
	mark := c.m.arena.Mark()
	defer c.m.arena.Release(mark)
	w := c.m.rowWidth()
	rows := c.m.arena.F32(c.pendingRows(to) * w)
	at := 0
	now := make([]Extension, len(to))
	for i := range to {
		s := to[i].Sequence
		if len(to[i].Tokens) != 1 || len(s.pending) == 0 {
			return fmt.Errorf("deepseek: prediction %d needs one token after a sequence that is not empty, got %d", i, len(to[i].Tokens))
		}
		at += copy(rows[at:], s.pending)
		k := len(s.pending) / w
		s.tokens = append(s.tokens, to[i].Tokens[0])
		n := len(s.tokens)
		now[i] = Extension{Sequence: s, Tokens: s.tokens[n-k : n], Logits: 1}
		s.pending = s.pending[:0]
	}
	c.runMTP(now, rows[:at], logits)
	for i := range now {
		s := now[i].Sequence
		s.tokens = s.tokens[:len(s.tokens)-1]
		to[i].Err = now[i].Err
	}
	return nil
}

// runMTP runs the MTP block over rows of the trunk with the tokens that follow
// them.
func (c *Cache) runMTP(to []Extension, rows, logits []float32) {
	m := c.m
	k := &m.mtp[0]
	layer := len(m.blocks)
	c.begin(to, layer, layer+1)
	defer c.end(layer, layer+1)
	k.pass = c.run.pass
	k.pass.Enter(k.block.layer, "mtp")
	t, d := k.pass.T(), m.cfg.HiddenSize
	mark := m.arena.Mark()
	defer m.arena.Release(mark)
	y, next := m.arena.F32(t*d), m.arena.F32(t*m.rowWidth())
	k.x = rows
	k.predict(y, next, m.embed.Data, RecomputeFull)
	k.x = nil
	if logits == nil {
		return
	}
	c.head(to, y, logits)
}
