package scheduletest

import "github.com/temper-ml/temper/distributed/schedule"

// The products of the toy model, for a token with input n, of a head or slice
// with weight w and bias k:
//
//	attention     w * n * (k + the sum of the inputs up to and including n)
//	feed-forward  w * n * (n + k)
//	expert        w * n * (n + k), times the router's weight for the expert
//	embedding     w of the row that is the token's word
//	head          logit w * n of each row, whose gradient is the logit and the target

// share returns which heads, slices or rows of a product the rank holds.
func (p *pass) share(size int) (from, to int) { return part(size, p.Spec.Mesh.TP, p.at.TP) }

// product runs the forward of a product on what it has been given.
func (p *pass) product(c *piece) {
	switch c.op {
	case schedule.Embedding, schedule.Prediction:
		from, to := p.slice()
		c.out = make([]num, to-from)
		begin, end := p.share(numRows)
		for i := range c.out {
			if row := word(p.rank.step, p.tape.micro, from+i+c.stream); row >= begin && row < end {
				c.out[i] = p.weight(embeddingRow, -1, row)
			}
		}
	case schedule.Attention:
		p.attention(c)
	case schedule.FeedForward:
		c.out = make([]num, len(c.in))
		begin, end := p.share(numSlices)
		for j := begin; j < end; j++ {
			w, k := p.weight(hiddenSlice, c.block, j), bias(j)
			for i, n := range c.in {
				c.out[i] = c.out[i].add(w.mul(n).mul(n.add(k)))
			}
		}
	case schedule.Experts:
		r := c.routed
		r.out = make([]num, len(r.all))
		begin, end := part(numSlices, p.Spec.Mesh.ETP, p.at.ETP)
		for i, e := range r.all {
			for j := begin; j < end; j++ {
				s := e.expert*numSlices + j
				r.out[i] = r.out[i].add(p.weight(expertSlice, c.block, s).mul(e.h).mul(e.h.add(bias(s))))
			}
		}
	}
}

// sums returns, for the tokens that an attention has, the sum of the inputs up to
// each; and where these begin in the sequence it sees.
func (c *piece) sums() (sums []num, at int) {
	all := c.all
	if all == nil {
		all = c.in
	} else {
		at = c.first
	}
	if at+len(c.in) > len(all) {
		return nil, 0
	}
	sum := num(0)
	for _, n := range all[:at] {
		sum = sum.add(n)
	}
	sums = make([]num, len(c.in))
	for i := range c.in {
		sum = sum.add(all[at+i])
		sums[i] = sum
	}
	return sums, at
}

func (p *pass) attention(c *piece) {
	sums, _ := c.sums()
	if sums == nil {
		p.fail("attention of block %d sees %d of %d tokens", c.block, len(c.all), p.toy.tokens)
		return
	}
	c.out = make([]num, len(c.in))
	begin, end := p.share(numHeads)
	for h := begin; h < end; h++ {
		w, k := p.weight(attentionHead, c.block, h), bias(h)
		for i, n := range c.in {
			c.out[i] = c.out[i].add(w.mul(n).mul(sums[i].add(k)))
		}
	}
}

// productBackward makes the gradient of what a product read.
func (p *pass) productBackward(c *piece) {
	if c.op != schedule.Experts && c.op != schedule.Head && c.op != schedule.Embedding && c.op != schedule.Prediction && len(c.dy) != len(c.in) {
		p.fail("%v of block %d has the gradients of %d tokens, must have %d", c.op, c.block, len(c.dy), len(c.in))
		return
	}
	c.din = make([]num, len(c.in))
	switch c.op {
	case schedule.Attention:
		p.attentionBackward(c)
	case schedule.FeedForward:
		begin, end := p.share(numSlices)
		for j := begin; j < end; j++ {
			w, k := p.weight(hiddenSlice, c.block, j), bias(j)
			for i, n := range c.in {
				c.din[i] = c.din[i].add(w.mul(c.dy[i]).mul(n.add(n).add(k)))
			}
		}
	case schedule.Experts:
		p.expertsBackward(c)
	case schedule.Head:
		begin, end := p.share(numRows)
		c.dz = make([]num, 0, len(c.in)*(end-begin))
		for i, n := range c.in {
			for row := begin; row < end; row++ {
				w := p.weight(headRow, -1, row)
				dz := w.mul(n).add(target(p.rank.step, p.tape.micro, c.first+i, c.stream, row))
				c.dz = append(c.dz, dz)
				c.din[i] = c.din[i].add(w.mul(dz))
			}
		}
	}
}

func (p *pass) attentionBackward(c *piece) {
	sums, at := c.sums()
	begin, end := p.share(numHeads)
	c.dall = make([]num, max(len(c.all), len(c.in)))
	through := make([]num, len(c.in)) // gradient of each token's sum
	for h := begin; h < end; h++ {
		w, k := p.weight(attentionHead, c.block, h), bias(h)
		for i, n := range c.in {
			wdy := w.mul(c.dy[i])
			c.din[i] = c.din[i].add(wdy.mul(sums[i].add(k)))
			through[i] = through[i].add(wdy.mul(n))
		}
	}
	later := num(0)
	for i := len(c.dall) - 1; i >= 0; i-- {
		if k := i - at; k >= 0 && k < len(through) {
			later = later.add(through[k])
		}
		c.dall[i] = later
	}
	if c.all == nil {
		addTo(c.din, c.dall)
	}
}

func (p *pass) expertsBackward(c *piece) {
	r := c.routed
	if len(r.dall) != len(r.all) {
		p.fail("experts of block %d have %d gradients, must have %d", c.block, len(r.dall), len(r.all))
		return
	}
	r.d = make([]num, len(r.all))
	begin, end := part(numSlices, p.Spec.Mesh.ETP, p.at.ETP)
	for i, e := range r.all {
		for j := begin; j < end; j++ {
			s := e.expert*numSlices + j
			r.d[i] = r.d[i].add(p.weight(expertSlice, c.block, s).mul(r.dall[i]).mul(e.h.add(e.h).add(bias(s))))
		}
	}
}

// gradients adds the gradients of the weights of a piece.
func (p *pass) gradients(c *piece) {
	micro := p.tape.micro
	local, _ := p.local()
	switch c.op {
	case schedule.Embedding, schedule.Prediction:
		begin, end := p.share(numRows)
		for i, d := range c.dy {
			if row := word(p.rank.step, micro, c.first+i+c.stream); row >= begin && row < end {
				p.see(embeddingRow, -1, row, micro, c.first+i, d)
			}
		}
		for i, x := range c.x {
			p.see(projection, c.block, 0, micro, local+i, c.dout[i].mul(x))
		}
	case schedule.Head:
		begin, end := p.share(numRows)
		for i, dz := range c.dz {
			token := i / (end - begin)
			p.see(headRow, -1, begin+i%(end-begin), micro, c.first+token, dz.mul(c.in[token]))
		}
	case schedule.Attention:
		sums, _ := c.sums()
		begin, end := p.share(numHeads)
		for h := begin; h < end; h++ {
			for i, n := range c.in {
				p.see(attentionHead, c.block, h, micro, c.first+i, c.dy[i].mul(n).mul(sums[i].add(bias(h))))
			}
		}
		p.normGradient(attentionNorm, c)
	case schedule.FeedForward:
		begin, end := p.share(numSlices)
		for j := begin; j < end; j++ {
			for i, n := range c.in {
				p.see(hiddenSlice, c.block, j, micro, c.first+i, c.dy[i].mul(n).mul(n.add(bias(j))))
			}
		}
		p.normGradient(feedForwardNorm, c)
	case schedule.Experts:
		p.expertGradients(c)
		p.normGradient(feedForwardNorm, c)
	}
}

func (p *pass) expertGradients(c *piece) {
	r := c.routed
	begin, end := part(numSlices, p.Spec.Mesh.ETP, p.at.ETP)
	for i, e := range r.all {
		for j := begin; j < end; j++ {
			s := e.expert*numSlices + j
			p.see(expertSlice, c.block, s, e.micro, e.token, r.dall[i].mul(e.h).mul(e.h.add(bias(s))))
		}
	}
	local, _ := p.local()
	for i, e := range r.home {
		p.see(router, c.block, e.expert, e.micro, e.token, c.dout[e.token-local].mul(r.out[i]))
	}
}

func (p *pass) normGradient(k kind, c *piece) {
	local, _ := p.local()
	for i, x := range c.x {
		p.see(k, c.block, 0, p.tape.micro, local+i, c.din[i].mul(x))
	}
}
