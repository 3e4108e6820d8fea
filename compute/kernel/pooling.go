package kernel

// Pooling compresses each block of Ratio tokens of a segment into one entry:
// per channel d, the mean of values weighted by a softmax over the block,
//
//	e[j]   = exp(z[j][d] + ape[j mod Ratio][d] - max)
//	a[j]   = e[j] * (1 / Σj e[j])        // a chain over j ascending
//	out[d] = Σj a[j] v[j][d]             // a chain over j ascending
//
// With Overlap, rows of v, z and ape are 2*Dim wide and an entry has 2*Ratio
// members: the tokens of the previous block through channels 0 to Dim-1, none
// for the first block, then those of its own block through Dim to 2*Dim-1.
// Tokens after the last whole block of a segment belong to no entry.
type Pooling struct {
	Ratio    int
	Overlap  bool
	Dim      int
	Segments []Segment
	Past     int  // leading blocks of the only segment that give no entry, being only the previous block of the next
	Serial   bool // Forward runs on its caller alone

	lanes lanes
	first []int // first entry of each segment, and the number of all

	args [4][]float32     // of the present Forward
	body func(lo, hi int) // of its loop, bound once
}

// Width returns the columns of v, z and ape.
func (p *Pooling) Width() int {
	if p.Overlap {
		return 2 * p.Dim
	}
	return p.Dim
}

// Entries returns the number of compressed entries of all segments.
func (p *Pooling) Entries() int {
	n := -p.Past
	for _, s := range p.Segments {
		n += s.Len() / p.Ratio
	}
	return n
}

// Scratch returns how many float32s Forward and Backward need as scratch with
// the present number of threads.
func (p *Pooling) Scratch() int { return p.atOnce() * p.lane() }

// atOnce returns how many tasks may run at a time.
func (p *Pooling) atOnce() int {
	if p.Serial {
		return 1
	}
	return Threads()
}

func (p *Pooling) lane() int { return (p.members() + 2) * p.Dim }

// members returns the most tokens that make up an entry.
func (p *Pooling) members() int { return p.Ratio * p.Width() / p.Dim }

// plan numbers the entries and lends a lane to every thread.
func (p *Pooling) plan(scratch []float32) {
	p.first = append(p.first[:0], 0)
	n := 0
	for _, s := range p.Segments {
		n += s.Len() / p.Ratio
		p.first = append(p.first, n)
	}
	p.lanes.reset(scratch, p.lane(), p.atOnce())
}

// Forward computes out [entries, Dim], segments in order, from v and z
// [T, Width] and ape [Ratio, Width]. Contents of scratch do not matter.
func (p *Pooling) Forward(out, v, z, ape, scratch []float32) {
	p.plan(scratch)
	n := p.Entries()
	if w := watching.Load(); w != nil {
		w.pooled(p, Forward, 1)
	}
	if p.Serial {
		p.pool(out, v, z, ape, 0, n)
		return
	}
	if p.body == nil {
		p.body = func(lo, hi int) { p.pool(p.args[0], p.args[1], p.args[2], p.args[3], lo, hi) }
	}
	p.args = [4][]float32{out, v, z, ape}
	Parallel(n, p.grain(), p.body)
	p.args = [4][]float32{}
}

// pool computes entries [lo, hi).
func (p *Pooling) pool(out, v, z, ape []float32, lo, hi int) {
	rows := ops()
	lane, buf := p.lanes.take()
	defer p.lanes.give(lane)
	for i := lo; i < hi; i++ {
		e := p.entry(i)
		o := out[i*p.Dim : (i+1)*p.Dim]
		p.weights(&e, buf, z, ape)
		clear(o)
		for j := e.from; j < p.members(); j++ {
			rows.mulAdd(o, buf[j*p.Dim:(j+1)*p.Dim], p.part(v, e.token(j), j))
		}
	}
}

func (p *Pooling) grain() int { return max(1, 4096/(p.members()*p.Dim)) }

// pooledEntry says which tokens make up an entry: member j, of from to
// members-1, is token start+j.
type pooledEntry struct {
	start, from int
}

func (e pooledEntry) token(j int) int { return e.start + j }

func (p *Pooling) entry(i int) pooledEntry {
	seg := 0
	for i+p.Past >= p.first[seg+1] {
		seg++
	}
	block := i + p.Past - p.first[seg]
	e := pooledEntry{start: p.Segments[seg].Start + block*p.Ratio}
	if p.Overlap {
		e.start -= p.Ratio
		if block == 0 {
			e.from = p.Ratio
		}
	}
	return e
}

// part returns the channels through which member j of an entry reads row of
// x, a matrix of Width columns.
func (p *Pooling) part(x []float32, row, j int) []float32 {
	at := row * p.Width()
	if p.Overlap && j >= p.Ratio {
		at += p.Dim
	}
	return x[at : at+p.Dim]
}

// weights fills rows from to members-1 of buf with the softmax weights.
func (p *Pooling) weights(e *pooledEntry, buf, z, ape []float32) {
	m, o := p.members(), ops()
	top, sum := buf[m*p.Dim:(m+1)*p.Dim], buf[(m+1)*p.Dim:(m+2)*p.Dim]
	for j := e.from; j < m; j++ {
		w := buf[j*p.Dim : (j+1)*p.Dim]
		o.add(w, p.part(z, e.token(j), j), p.part(ape, j%p.Ratio, j))
		if j == e.from {
			copy(top, w)
		} else {
			o.maxTo(top, w)
		}
	}
	clear(sum)
	for j := e.from; j < m; j++ {
		w := buf[j*p.Dim : (j+1)*p.Dim]
		o.axpy(w, -1, top)
		o.exp(w, w)
		o.add(sum, sum, w)
	}
	for i, s := range sum {
		sum[i] = 1 / s
	}
	for j := e.from; j < m; j++ {
		w := buf[j*p.Dim : (j+1)*p.Dim]
		o.mul(w, w, sum)
	}
}
