package kernel

// Pages is a matrix whose rows lie in pages, as caches that grow keep them: row i
// is row i%Rows of page i/Rows. A page holds rows of Stride elements, of which
// the matrix has Cols from Col on.
type Pages struct {
	Page         [][]float32
	Rows, Stride int
	Col, Cols    int
}

// Row returns row i.
func (p *Pages) Row(i int) []float32 {
	at := i%p.Rows*p.Stride + p.Col
	return p.Page[i/p.Rows][at : at+p.Cols : at+p.Cols]
}

// piece returns the rows from lo on that lie together, at most up to row hi, and
// the first that is not among them.
func (p *Pages) piece(lo, hi int) (m Mat, to int) {
	from := lo % p.Rows
	n := min(p.Rows-from, hi-lo)
	return Mat{Data: p.Page[lo/p.Rows][from*p.Stride+p.Col:], Rows: n, Cols: p.Cols, Stride: p.Stride}, lo + n
}

// keyRows are the rows of keys or values: of a matrix from row base on, or of
// pages if there are any.
type keyRows struct {
	Mat
	pages *Pages
	base  int
}

// keysOf returns the rows of m, row base first, or of p if it has pages.
func keysOf(m Mat, p *Pages, base int) keyRows {
	if len(p.Page) > 0 {
		return keyRows{pages: p}
	}
	return keyRows{Mat: m, base: base}
}

func (k *keyRows) piece(lo, hi int) (m Mat, to int) {
	if k.pages != nil {
		return k.pages.piece(lo, hi)
	}
	return k.Slice(lo-k.base, hi-k.base, 0, k.Cols), hi
}

// gather copies the rows entry+index[i] together in buf.
func (k *keyRows) gather(buf []float32, entry int, index []int32) Mat {
	if k.pages == nil {
		return gatherRows(buf, k.Mat, entry, index)
	}
	g := MatOf(buf[:len(index)*k.pages.Cols], len(index), k.pages.Cols)
	for i, e := range index {
		copy(g.Row(i), k.pages.Row(entry+int(e)))
	}
	return g
}

// first returns the address of the first element, which tells matrices apart.
func (k *keyRows) first() *float32 {
	if k.pages != nil {
		return &k.pages.Page[0][k.pages.Col]
	}
	return &k.Data[0]
}
