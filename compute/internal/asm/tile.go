package asm

// Tile is the argument of a microkernel. A microkernel computes, for a few
// rows of A (m of them, fixed per microkernel) and any number of panels of B,
//
//	for each panel, of width columns:
//		for i < m, j < width:
//			acc := +0              // or C[i,j] if Load
//			for k := 0; k < K; k++ {
//				acc = FMA32(A[i,k], B[k,j], acc)
//			}
//			C[i,j] = acc
//		B moves on by PanelStep, C by width columns
//
// Rows of a B panel follow each other without gaps and are as wide as a full
// panel, also for the microkernels that use only the first half of it.
// A lies by rows, RowStep apart, or by columns of exactly m elements without
// gaps. Steps and LdC are in bytes. K and Panels are at least 1.
type Tile struct {
	A         *float32
	RowStep   int
	B         *float32
	PanelStep int
	C         *float32
	LdC       int
	K         int
	Panels    int
	Load      int // 0 or 1

	// Next holds addresses for microkernels that run short of registers. They may
	// lie past the end of an operand, where a pointer must not.
	Next [2]int
}

// Layouts of A in Tile.
const (
	ByRow = iota
	ByColumn
)

// Microkernels are the matrix product loops of one instruction set.
type Microkernels struct {
	Rows int // largest m
	Cols int // width of a full panel

	// Tile[layout][half][m] computes a Tile of m rows; half is 1 for panels of
	// which only the first Cols/2 columns count. The argument is a *Tile.
	Tile [2][2][]func(t *byte)

	// Few[m], for m up to some few rows, computes a Tile whose B lies by rows of k:
	// panel j has FewCols rows of B, PanelStep bytes apart, from B +
	// j*FewCols*PanelStep on. A lies by columns of exactly m elements, K is a
	// multiple of 16. Panels and Next of the Tile are used up. Nil if the set has none.
	Few     []func(t *byte)
	FewCols int

	// PackRows turns k rows of panels*Rows (PackCols: panels*Cols) elements,
	// ld bytes apart, into panels with rows of Rows (Cols) elements, panelStep
	// bytes apart. k and panels are at least 1.
	PackRows, PackCols func(dst, src *float32, panelStep, ld, k, panels int)

	// PackTransposed turns 8 rows of k elements, ld bytes apart, into 8
	// columns of a panel whose rows are dstStep bytes apart. It prefetches the
	// elements that lie ahead bytes further. k is at least 1.
	PackTransposed func(dst, src *float32, dstStep, ld, k, ahead int)

	// CopyRows copies rows of k elements, ld bytes apart, to rows dstStep bytes
	// apart. It prefetches the elements that lie ahead bytes further. k and
	// rows are at least 1.
	CopyRows func(dst, src *float32, dstStep, ld, k, rows, ahead int)
}
