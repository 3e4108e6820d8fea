package attention

import "fmt"

// Pool lends pages of one size to the sequences whose past layers keep. Pages
// come from the heap when they are first needed, at most as many as the pool may
// have, and are used again. Because all are of one size, sequences that come and
// go leave no gaps. A Pool serves one goroutine.
type Pool struct {
	floats int // of a page
	most   int // pages
	made   int
	free   []*page
}

// page is memory that several sequences may read; with one reader, it may write.
type page struct {
	data []float32
	refs int
}

// NewPool returns a pool of at most pages pages of that many float32s each.
func NewPool(floats, pages int) *Pool { return &Pool{floats: floats, most: pages} }

// Free returns how many pages can still be lent.
func (p *Pool) Free() int { return p.most - p.made + len(p.free) }

// Pages returns how many pages there may be.
func (p *Pool) Pages() int { return p.most }

// Bytes returns what the pool has taken from the heap.
func (p *Pool) Bytes() int64 { return 4 * int64(p.made) * int64(p.floats) }

func (p *Pool) take() *page {
	if n := len(p.free); n > 0 {
		g := p.free[n-1]
		p.free = p.free[:n-1]
		g.refs = 1
		return g
	}
	if p.made == p.most {
		panic(fmt.Sprintf("attention: all %d pages are lent: reserve before use", p.most))
	}
	p.made++
	return &page{data: make([]float32, p.floats), refs: 1}
}

func (p *Pool) give(g *page) {
	if g.refs--; g.refs == 0 {
		p.free = append(p.free, g)
	}
}

// paged are rows that only grow in number, in pages of a pool.
type paged struct {
	width int // floats of a row
	rows  int // of a page
	ratio int // tokens of a row
	pages []*page
	data  [][]float32 // of the pages
}

// row returns row i.
func (g *paged) row(i int) []float32 {
	at := i % g.rows * g.width
	return g.data[i/g.rows][at : at+g.width]
}

// prepare makes rows [from, to) writable: it takes pages that are missing and
// copies those that others read too.
func (g *paged) prepare(p *Pool, from, to int) {
	if to <= from {
		return
	}
	for i := from / g.rows; i <= (to-1)/g.rows; i++ {
		switch {
		case i == len(g.pages):
			q := p.take()
			g.pages, g.data = append(g.pages, q), append(g.data, q.data)
		case g.pages[i].refs > 1:
			q := p.take()
			copy(q.data, g.pages[i].data)
			p.give(g.pages[i])
			g.pages[i], g.data[i] = q, q.data
		}
	}
}

// release gives all pages back.
func (g *paged) release(p *Pool) {
	for _, q := range g.pages {
		p.give(q)
	}
	clear(g.pages)
	clear(g.data)
	g.pages, g.data = g.pages[:0], g.data[:0]
}

// share makes g read the pages of another that hold its first rows.
func (g *paged) share(o *paged, rows int) {
	for _, q := range o.pages[:(rows+g.rows-1)/g.rows] {
		q.refs++
		g.pages, g.data = append(g.pages, q), append(g.data, q.data)
	}
}

// tail are the newest rows of a sequence, together in memory of a fixed size.
type tail struct {
	data        []float32
	width, room int // floats of a row, rows of data
	keep        int // rows that are needed of those that went before
	first, n    int // token of the first row, rows held
}

// tailRoom returns how many rows a tail needs that keeps keep and adds up to
// most at a time: with more room, rows move to the front less often.
func tailRoom(keep, most int) int { return keep + max(most, 8, keep/4) }

// view returns the rows of tokens [from, to).
func (t *tail) view(from, to int) []float32 {
	return t.data[(from-t.first)*t.width : (to-t.first)*t.width]
}

// fits tells whether adding n rows leaves the kept ones in place.
func (t *tail) fits(n int) bool { return min(t.n, t.keep)+n <= t.room }

// put adds n rows.
func (t *tail) put(rows []float32, n int) {
	if !t.fits(n) { // more than the rest of the room: the last ones are what is kept
		old := min(t.n, max(0, t.keep-n))
		skip := max(0, n-t.keep)
		t.drop(old)
		t.first += skip
		rows, n = rows[skip*t.width:], n-skip
	} else if t.n+n > t.room {
		t.drop(min(t.n, t.keep))
	}
	copy(t.data[t.n*t.width:], rows[:n*t.width])
	t.n += n
}

// drop moves the last n rows to the front and forgets the others.
func (t *tail) drop(n int) {
	copy(t.data[:n*t.width], t.data[(t.n-n)*t.width:t.n*t.width])
	t.first += t.n - n
	t.n = n
}

// truncate forgets the rows of tokens from end on.
func (t *tail) truncate(end int) { t.n = end - t.first }

// copyFrom makes t hold what o holds.
func (t *tail) copyFrom(o *tail) {
	t.first, t.n = o.first, o.n
	copy(t.data, o.data[:o.n*o.width])
}
