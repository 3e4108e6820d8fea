package scheduletest

import (
	"fmt"
	"slices"

	"github.com/temper-ml/temper/distributed/schedule"
)

// begin opens the piece that a list of work starts with: a new one in the
// forward pass, else the one whose turn it is.
func (p *pass) begin(work []schedule.Work, again, back bool) error {
	i := slices.IndexFunc(work, func(w schedule.Work) bool { return isCore(w.Op) })
	if i < 0 {
		return fmt.Errorf("%v belongs to no product", work[0].Op)
	}
	w := work[i]
	p.again = again
	switch {
	case again:
		return p.redo(w)
	case back:
		if p.next == 0 {
			return fmt.Errorf("%v of block %d has had no forward", w.Op, w.Block)
		}
		p.next--
		p.open = p.tape.pieces[p.next]
		p.open.ran = false
		p.beginBackward(p.open)
		return nil
	}
	c := &piece{op: w.Op, block: w.Block}
	switch {
	case c.op == schedule.Head:
		c.stream = p.heads
		p.heads++
	case c.block >= p.blocks():
		c.stream = 1 + c.block - p.blocks()
	}
	switch from := c.stream; {
	case c.op == schedule.Embedding:
	case c.op == schedule.Prediction && from-1 < len(p.streams):
		c.x = p.streams[from-1]
	case from < len(p.streams):
		c.x = p.streams[from]
	default:
		return fmt.Errorf("%v of block %d has no hidden state %d", c.op, c.block, from)
	}
	p.open = c
	p.tape.pieces = append(p.tape.pieces, c)
	p.enter(c)
	return nil
}

// redo opens a piece of the tape to compute it again from the hidden state
// before its block.
func (p *pass) redo(w schedule.Work) error {
	for i, c := range p.tape.pieces {
		if c.op != w.Op || c.block != w.Block {
			continue
		}
		if c.x == nil && c.op != schedule.Embedding {
			if i == 0 || p.tape.pieces[i-1].result == nil {
				return fmt.Errorf("%v of block %d is computed again without its input", w.Op, w.Block)
			}
			c.x = p.tape.pieces[i-1].result
		}
		p.open, c.ran = c, false
		if p.Spec.Recompute == schedule.RecomputeFull {
			p.enter(c)
		}
		return nil
	}
	return fmt.Errorf("%v of block %d is computed again, and never was", w.Op, w.Block)
}

// enter makes what a product reads of the local tokens.
func (p *pass) enter(c *piece) {
	from, to := p.local()
	c.first = from
	norm := attentionNorm
	switch c.op {
	case schedule.Embedding, schedule.Prediction:
		c.first, _ = p.slice()
		return
	case schedule.Head:
		c.in = c.x
		return
	case schedule.FeedForward, schedule.Experts:
		norm = feedForwardNorm
	}
	g := p.weight(norm, c.block, 0)
	c.in = make([]num, len(c.x))
	for i, x := range c.x {
		c.in[i] = g.mul(x)
	}
	if c.op != schedule.Experts {
		return
	}
	c.routed = &routed{}
	for t := from; t < to; t++ {
		for _, e := range expertsOf(p.rank.step, p.tape.micro, t, c.block) {
			c.routed.home = append(c.routed.home, entry{p.tape.micro, t, e, c.in[t-from]})
		}
	}
	c.routed.entries, c.routed.all = c.routed.home, c.routed.home
}

// beginBackward takes the gradient of the hidden state after a piece.
func (p *pass) beginBackward(c *piece) {
	if c.op == schedule.Head {
		return
	}
	c.dout = slices.Clone(p.streams[c.stream])
	c.dy = c.dout
	if c.op == schedule.Experts {
		from, _ := p.local()
		r := c.routed
		r.d = make([]num, len(r.home))
		for i, e := range r.home {
			r.d[i] = p.weight(router, c.block, e.expert).mul(c.dout[e.token-from])
		}
		r.dall = r.d
	}
}

// end closes the open piece.
func (p *pass) end(back bool) {
	c := p.open
	p.open = nil
	if c == nil || p.err != nil {
		return
	}
	if back && !p.again {
		p.endBackward(c)
		if p.whole {
			p.gradients(c)
		}
		return
	}
	if c.op == schedule.Head || p.again && p.Spec.Recompute == schedule.RecomputeSelective {
		return // nothing, or nothing but partial sums
	}
	from, to := p.local()
	out := c.out
	if c.op == schedule.Experts {
		out = p.weigh(c, from, to)
	}
	if len(out) != to-from {
		p.fail("%v of block %d leaves %d tokens, must leave the %d of this rank", c.op, c.block, len(out), to-from)
		return
	}
	c.result = slices.Clone(out)
	switch c.op {
	case schedule.Embedding:
	case schedule.Prediction:
		a := p.weight(projection, c.block, 0)
		for i, x := range c.x {
			c.result[i] = c.result[i].add(a.mul(x))
		}
	default:
		addTo(c.result, c.x)
	}
	switch {
	case p.again:
	case c.stream == len(p.streams):
		p.streams = append(p.streams, c.result)
	default:
		p.streams[c.stream] = c.result
	}
}

// weigh adds up what the experts of each local token made of it.
func (p *pass) weigh(c *piece, from, to int) []num {
	r := c.routed
	out := make([]num, to-from)
	if len(r.out) != len(r.home) {
		p.fail("experts of block %d give %d results, must give %d to the tokens of this rank", c.block, len(r.out), len(r.home))
		return nil
	}
	for i, e := range r.home {
		out[e.token-from] = out[e.token-from].add(p.weight(router, c.block, e.expert).mul(r.out[i]))
	}
	return out
}

// endBackward adds what a piece makes of a gradient to that of the hidden state
// before it.
func (p *pass) endBackward(c *piece) {
	from, to := p.local()
	switch c.op {
	case schedule.Embedding:
		return
	case schedule.Prediction:
		a := p.weight(projection, c.block, 0)
		for i, d := range c.dout {
			p.streams[c.stream-1][i] = p.streams[c.stream-1][i].add(a.mul(d))
		}
		return
	case schedule.Experts:
		r := c.routed
		if len(r.d) != len(r.home) {
			p.fail("experts of block %d give %d gradients, must give %d to the tokens of this rank", c.block, len(r.d), len(r.home))
			return
		}
		c.din = make([]num, to-from)
		for i, e := range r.home {
			c.din[e.token-from] = c.din[e.token-from].add(r.d[i])
		}
	}
	if len(c.din) != to-from {
		p.fail("the gradient of %v of block %d is of %d tokens, must be of the %d of this rank", c.op, c.block, len(c.din), to-from)
		return
	}
	s := p.streams[c.stream]
	if c.op == schedule.Head {
		addTo(s, c.din)
		return
	}
	norm := attentionNorm
	if c.op != schedule.Attention {
		norm = feedForwardNorm
	}
	g := p.weight(norm, c.block, 0)
	for i, d := range c.din {
		s[i] = s[i].add(g.mul(d))
	}
}
