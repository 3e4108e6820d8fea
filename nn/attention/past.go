package attention

// Reach is what the past of sequences must be able to do.
type Reach struct {
	Context int // most tokens of a sequence
	Back    int // most tokens that [Past.Truncate] takes off, from the most there ever were
	// Latent keeps the latent vectors of V3's attention instead of the keys and
	// values of all heads, which every pass then computes again: less memory, more
	// time, the same bits.
	Latent bool
}

// Past is what one layer keeps of the tokens of a sequence, so that more tokens
// can follow: rows of which only the newest are needed, in memory of a fixed
// size, and rows that grow in number, in pages that sequences may share. A layer
// told by its Continue method attends to it, and adds to it.
type Past struct {
	// Chose, if not nil, is called with the compressed entries that each token
	// attends: how many of the first are visible to it, and which of these were
	// chosen, nil for all. Calls for different sequences may come at a time.
	Chose func(token, visible int, entries []int32)

	pool  *Pool
	n     int // tokens
	tails []tail
	grown []paged
}

// keeps describes a Past: rows of tails, and of what grows.
type keeps struct {
	tails []keptTail
	grown []keptRows
}

// pageRows is how many rows a page has at least.
const pageRows = 16

type keptTail struct{ width, keep int }

type keptRows struct {
	width, ratio int
	least        int // rows of a page
}

// Size is the memory that a layer needs for each sequence.
type Size struct {
	Floats int    // of a fixed size
	Grown  []Rows // what grows
}

// Rows are rows of Width floats, one for every Ratio tokens, of which a page should
// have at least Least.
type Rows struct{ Width, Ratio, Least int }

// Pages returns how many pages of a pool the rows of that many tokens take.
func (r Rows) Pages(tokens, pageFloats int) int {
	per := pageFloats / r.Width
	return (tokens/r.Ratio + per - 1) / per
}

func (k *keeps) size(r Reach) Size {
	var s Size
	for _, t := range k.tails {
		s.Floats += (tailRoom(t.keep+r.Back, 1+r.Back)*t.width + 15) &^ 15
	}
	for _, g := range k.grown {
		s.Grown = append(s.Grown, Rows{Width: g.width, Ratio: g.ratio, Least: g.least})
	}
	return s
}

// newPast returns an empty past whose memory of a fixed size is cut off state.
func (k *keeps) newPast(pool *Pool, r Reach, state []float32) (*Past, []float32) {
	p := k.shape(pool, r)
	for i := range p.tails {
		t := &p.tails[i]
		n := t.room * t.width
		t.data, state = state[:n:n], state[(n+15)&^15:]
	}
	return p, state
}

// shape returns a past without memory of its own.
func (k *keeps) shape(pool *Pool, r Reach) *Past {
	p := &Past{pool: pool}
	for _, t := range k.tails {
		keep := t.keep + r.Back
		p.tails = append(p.tails, tail{width: t.width, room: tailRoom(keep, 1+r.Back), keep: keep})
	}
	for _, g := range k.grown {
		p.grown = append(p.grown, paged{width: g.width, ratio: g.ratio, rows: pool.floats / g.width})
	}
	return p
}

// measure is shape for a past of n tokens, with which a pass can be measured.
func (k *keeps) measure(pool *Pool, r Reach, n int) *Past {
	p := k.shape(pool, r)
	p.n = n
	for i := range p.tails {
		p.tails[i].n = min(n, p.tails[i].keep)
	}
	return p
}

// Tokens returns how many tokens the past has.
func (p *Past) Tokens() int { return p.n }

// Prepare makes room for n more tokens, and returns how many pages it took for them.
// The pool must have them.
func (p *Past) Prepare(n int) (pages int) {
	free := p.pool.Free()
	for i := range p.grown {
		g := &p.grown[i]
		g.prepare(p.pool, p.n/g.ratio, (p.n+n)/g.ratio)
	}
	return free - p.pool.Free()
}

// Truncate forgets the tokens from n on: see Reach.Back.
func (p *Past) Truncate(n int) {
	p.n = n
	for i := range p.tails {
		p.tails[i].truncate(n)
	}
}

// Reset forgets everything and gives the pages back.
func (p *Past) Reset() {
	p.n, p.Chose = 0, nil
	for i := range p.tails {
		p.tails[i].first, p.tails[i].n = 0, 0
	}
	for i := range p.grown {
		p.grown[i].release(p.pool)
	}
}

// CopyFrom makes an empty past equal another one of the same layer. They share
// the pages until one of them adds to the last.
func (p *Past) CopyFrom(o *Past) {
	p.n = o.n
	for i := range p.tails {
		p.tails[i].copyFrom(&o.tails[i])
	}
	for i := range p.grown {
		p.grown[i].share(&o.grown[i], o.n/o.grown[i].ratio)
	}
}
