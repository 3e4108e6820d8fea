package kernel

// sumRound adds what n spans, whose p and ds lie in scratch, contribute to the
// gradients of keys and values: four sums (tokens or entries, through scores
// or values), each cut into column tiles, all of them independent chains.
func (a *Attention) sumRound(st attentionStream, first, n int, scratch []float32, l attentionLayout) {
	h := st.heads
	sums := [4]attentionSum{
		{out: h.DK, x: h.Q},
		{out: h.DV, x: h.DO, values: true},
		{out: h.DCK, x: h.Q, entries: true},
		{out: h.DCV, x: h.DO, values: true, entries: true},
	}
	tasks := 0
	for i := range sums {
		sums[i].first = tasks
		tasks += (sums[i].out.Cols + columnTile - 1) / columnTile
	}
	Parallel(tasks, 1, func(lo, hi int) {
		lane, buf := a.sumLanes.take()
		defer a.sumLanes.give(lane)
		for task := lo; task < hi; task++ {
			s := len(sums) - 1
			for task < sums[s].first {
				s--
			}
			sum := sums[s].tile(task - sums[s].first)
			for i := range n {
				span := scratch[i*l.span() : (i+1)*l.span()]
				for b := a.firstBlock(st, first+i); b.rows > 0; b = a.nextBlock(b) {
					sum.add(&b, span, l, buf)
				}
			}
		}
	})
}

// attentionSum is one gradient of keys or values, or a column tile of it.
type attentionSum struct {
	out, x          Mat  // out += wᵀ x
	values, entries bool // w is p, else ds; out are entries, else tokens
	first           int  // number of its first tile
}

// tile returns the sum of one column tile.
func (s attentionSum) tile(i int) attentionSum {
	c0 := i * columnTile
	c1 := min(c0+columnTile, s.out.Cols)
	s.out = s.out.Slice(0, s.out.Rows, c0, c1)
	s.x = s.x.Slice(0, s.x.Rows, c0, c1)
	return s
}

// add adds a block's contribution, in the order of its rows.
func (s *attentionSum) add(b *attentionBlock, span []float32, l attentionLayout, buf []float32) {
	p, w := b.scores(span, l)
	if s.values {
		w = p
	}
	nw := b.t1 - b.w0
	x := s.x.Slice(b.row0, b.row0+b.rows, 0, s.x.Cols)
	switch {
	case !s.entries:
		runIn(InAttention, weightProduct(s.out.Slice(b.w0, b.t1, 0, s.out.Cols), w.Slice(0, b.rows, 0, nw), x))
	case b.nc == 0:
	case !b.gathered:
		runIn(InAttention, weightProduct(s.out.Slice(b.entry, b.entry+b.nc, 0, s.out.Cols), w.Slice(0, b.rows, nw, nw+b.nc), x))
	default:
		g := gatherRows(buf, s.out, b.entry, b.index)
		runIn(InAttention, weightProduct(g, w.Slice(0, b.rows, nw, nw+b.nc), x))
		scatterRows(s.out, g, b.entry, b.index)
	}
}
