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
