package gemm

// few computes a task of so few rows of A that B is read once, at the speed of
// memory, and never packed: all but the last steps of k that make no whole panel.
func (b *block) few() {
	p, t := b.p, b.t
	rows := t.m1 - t.m0
	whole := p.K / fewK * fewK
	step := len(b.a) / rows / fewK * fewK
	b.held = packing{}
	for k0 := 0; k0 < whole; k0 += step {
		b.steps(k0, min(k0+step, whole))
		b.tile.A = b.columnsOfA(rows)
		b.fewPanels(rows)
	}
	if whole < p.K {
		b.columns(t.n0, t.n1)
		b.steps(whole, p.K)
		b.packB()
		b.byRow()
	}
}

// fewPanels computes the columns of a block of k; the last ones, if they make no
// whole panel, as the end of one that begins before the task.
func (b *block) fewPanels(rows int) {
	p, t, width := b.p, b.t, b.FewCols
	b.tile.PanelStep = 4 * p.LdB
	if panels := (t.n1 - t.n0) / width; panels > 0 {
		b.tile.B, b.tile.Panels = &p.B[t.n0*p.LdB+b.k0], panels
		b.tile.C, b.tile.LdC = &p.Out[t.m0*p.LdOut+t.n0], 4*p.LdOut
		b.Few[rows](arg(&b.tile))
	}
	rest := (t.n1 - t.n0) % width
	if rest == 0 {
		return
	}
	at := t.m0*p.LdOut + t.n1 - rest
	if b.tile.Load != 0 {
		clear(b.edge[:rows*width])
		for i := range rows {
			copy(b.edge[(i+1)*width-rest:], p.Out[at+i*p.LdOut:][:rest])
		}
	}
	b.tile.B, b.tile.Panels = &p.B[(t.n1-width)*p.LdB+b.k0], 1
	b.tile.C, b.tile.LdC = &b.edge[0], 4*width
	b.Few[rows](arg(&b.tile))
	for i := range rows {
		copy(p.Out[at+i*p.LdOut:][:rest], b.edge[(i+1)*width-rest:])
	}
}

// columnsOfA returns the steps of the rows of A as columns, which those of one
// row are already.
func (b *block) columnsOfA(rows int) *float32 {
	at := b.t.m0*b.p.LdA + b.k0
	if rows == 1 {
		return &b.p.A[at]
	}
	if rows >= 8 { // eight at a time; two eights may overlap
		for i := 0; i < rows; i += 8 {
			i = min(i, rows-8)
			b.PackTransposed(&b.a[i], &b.p.A[at+i*b.p.LdA], 4*rows, 4*b.p.LdA, b.k, 0)
		}
		return &b.a[0]
	}
	for i := range rows {
		for k, x := range b.p.A[at+i*b.p.LdA:][:b.k] {
			b.a[k*rows+i] = x
		}
	}
	return &b.a[0]
}
