package kernel

// sumKeys adds what runs, whose dz lie in body, contribute to the gradient of
// the keys. Column tiles are independent chains.
func (x *Indexer) sumKeys(g *IndexerGradient, runs []indexerRun, body []float32, size int) {
	tiles := (g.DK.Cols + columnTile - 1) / columnTile
	Parallel(tiles, 1, func(lo, hi int) {
		lane, buf := x.lanes.take()
		defer x.lanes.give(lane)
		for tile := lo; tile < hi; tile++ {
			c0 := tile * columnTile
			c1 := min(c0+columnTile, g.DK.Cols)
			dk := g.DK.Slice(0, g.DK.Rows, c0, c1)
			q := g.Q.Slice(0, g.Q.Rows, c0, c1)
			for i, r := range runs {
				x.sumRun(g, r, dk, q, body[i*size:(i+1)*size], buf)
			}
		}
	})
}

// sumRun adds one run's contribution, in the order of its rows.
func (x *Indexer) sumRun(g *IndexerGradient, r indexerRun, dk, q Mat, body, buf []float32) {
	for b := x.firstPart(g, r); b.t0 < b.t1; b = x.nextPart(g, r, b) {
		dz, qb := x.partRows(g, b, r, body), x.rowsOf(b, q)
		if !b.listing {
			MatMulDW(dk.Slice(b.entry, b.entry+dz.Cols, 0, dk.Cols), dz, qb)
			continue
		}
		index := g.Chosen.row(b.t0 - x.Past)
		sum := gatherRows(buf, dk, b.entry, index)
		MatMulDW(sum, dz, qb)
		scatterRows(dk, sum, b.entry, index)
	}
}

// clearRows sets the elements of m to zero.
func clearRows(m Mat) {
	for i := range m.Rows {
		clear(m.Row(i))
	}
}
