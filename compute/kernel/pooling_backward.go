package kernel

// Backward computes dv and dz, overwritten, and adds to dape unless it is nil,
// given the gradient dout of the entries and the entries out themselves:
//
//	dv[j] = a[j] dout
//	dz[j] = dv[j] (v[j] - out)
//	dape[r] = dape[r] + dz[j]       // a chain over tokens j with j mod Ratio = r
//
// Tokens that belong to no entry get zero.
func (p *Pooling) Backward(dv, dz, dape, dout, out, v, z, ape, scratch []float32) {
	p.plan(scratch)
	p.clearLoose(dv)
	p.clearLoose(dz)
	if w := watching.Load(); w != nil {
		w.pooled(p, Backward, 2)
	}
	Parallel(p.Entries(), p.grain(), func(lo, hi int) {
		rows := ops()
		lane, buf := p.lanes.take()
		defer p.lanes.give(lane)
		for i := lo; i < hi; i++ {
			e := p.entry(i)
			o, do := out[i*p.Dim:(i+1)*p.Dim], dout[i*p.Dim:(i+1)*p.Dim]
			p.weights(&e, buf, z, ape)
			for j := e.from; j < p.members(); j++ {
				v, t := p.part(v, e.token(j), j), e.token(j)
				dv, dz := p.part(dv, t, j), p.part(dz, t, j)
				rows.mul(dv, buf[j*p.Dim:(j+1)*p.Dim], do)
				copy(dz, v)
				rows.axpy(dz, -1, o)
				rows.mul(dz, dz, dv)
			}
		}
	})
	if dape != nil {
		p.sumAPE(dape, dz)
	}
}

// clearLoose zeroes the channels that no entry reads: tokens after the last
// whole block and, with Overlap, the first half of the last block's.
func (p *Pooling) clearLoose(x []float32) {
	w := p.Width()
	for _, s := range p.Segments {
		whole := s.Start + s.Len()/p.Ratio*p.Ratio
		clear(x[whole*w : s.End*w])
		if !p.Overlap {
			continue
		}
		for t := max(s.Start, whole-p.Ratio); t < whole; t++ {
			clear(x[t*w : t*w+p.Dim])
		}
	}
}

// sumAPE adds dz to the row of dape that each token used, in token order.
// Loose tokens are zero and count too: they change nothing.
func (p *Pooling) sumAPE(dape, dz []float32) {
	w, o := p.Width(), ops()
	Parallel(p.Ratio, 1, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			row := dape[r*w : (r+1)*w]
			for _, s := range p.Segments {
				for t := s.Start + r; t < s.Start+s.Len()/p.Ratio*p.Ratio; t += p.Ratio {
					o.add(row, row, dz[t*w:(t+1)*w])
				}
			}
		}
	})
}
