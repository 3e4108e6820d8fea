package kernel

// Mat is a view of a row-major matrix: element (i, j) is Data[i*Stride+j].
// The elements of Data between the end of one row and the start of the next
// do not belong to the view; no kernel reads or writes them.
type Mat struct {
	Data               []float32
	Rows, Cols, Stride int
}

// MatOf returns the view of data as a rows x cols matrix without gaps. It
// panics if data is too short.
func MatOf(data []float32, rows, cols int) Mat {
	m := Mat{Data: data, Rows: rows, Cols: cols, Stride: cols}
	m.check("MatOf")
	return m
}

// Row returns row i of m, without the gap that may follow it.
func (m Mat) Row(i int) []float32 {
	at := i * m.Stride
	return m.Data[at : at+m.Cols : at+m.Cols]
}

// Slice returns the view of rows [r0, r1) and columns [c0, c1) of m.
func (m Mat) Slice(r0, r1, c0, c1 int) Mat {
	if r0 < 0 || r1 < r0 || r1 > m.Rows || c0 < 0 || c1 < c0 || c1 > m.Cols {
		panicf("kernel: Slice of a %dx%d matrix needs 0 <= lo <= hi <= size, got rows [%d,%d) columns [%d,%d)",
			m.Rows, m.Cols, r0, r1, c0, c1)
	}
	s := Mat{Rows: r1 - r0, Cols: c1 - c0, Stride: m.Stride}
	if s.Rows > 0 && s.Cols > 0 {
		s.Data = m.Data[r0*m.Stride+c0 : (r1-1)*m.Stride+c1]
	}
	return s
}

// check panics unless m's sizes describe a view that lies within Data.
func (m Mat) check(what string) {
	if m.Rows < 0 || m.Cols < 0 || m.Stride < m.Cols && m.Rows > 1 {
		panicf("kernel: %s: matrix needs sizes >= 0 and stride >= columns, got %d rows, %d columns, stride %d",
			what, m.Rows, m.Cols, m.Stride)
	}
	if m.Rows == 0 || m.Cols == 0 {
		return
	}
	if need := (m.Rows-1)*m.Stride + m.Cols; len(m.Data) < need {
		panicf("kernel: %s: %dx%d matrix with stride %d needs %d elements, got %d",
			what, m.Rows, m.Cols, m.Stride, need, len(m.Data))
	}
}

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
