package gemm

// few computes a task of so few rows of A that B is read once, at the speed of
// memory, and never packed: all but the last columns, and the last steps of k,
// that make no whole panel.
func (b *block) few() {
	p, t := b.p, b.t
	width := b.FewCols
	rows, panels := t.m1-t.m0, (t.n1-t.n0)/width
	whole := p.K / fewK * fewK
	step := len(b.a) / rows / fewK * fewK
	b.held = packing{}
	for k0 := 0; k0 < whole; k0 += step {
		b.steps(k0, min(k0+step, whole))
		b.tile.A = b.columnsOfA(rows)
		b.tile.B, b.tile.PanelStep = &p.B[t.n0*p.LdB+k0], 4*p.LdB
		b.tile.C, b.tile.LdC = &p.Out[t.m0*p.LdOut+t.n0], 4*p.LdOut
		b.tile.Panels = panels
		b.Few[rows](arg(&b.tile))
	}
	if whole < p.K {
		b.columns(t.n0, t.n0+panels*width)
		b.steps(whole, p.K)
		b.packB()
		b.byRow()
	}
	if t.n0+panels*width < t.n1 {
		b.last = *t
		b.last.n0 += panels * width
		b.t = &b.last
		if rows*rowStep(p.K) <= streamA {
			b.stream()
		} else {
			b.narrow()
		}
	}
}

// columnsOfA returns the steps of the rows of A as columns, which those of one
// row are already.
func (b *block) columnsOfA(rows int) *float32 {
	at := b.t.m0*b.p.LdA + b.k0
	if rows == 1 {
		return &b.p.A[at]
	}
	for i := range rows {
		for k, x := range b.p.A[at+i*b.p.LdA:][:b.k] {
			b.a[k*rows+i] = x
		}
	}
	return &b.a[0]
}
