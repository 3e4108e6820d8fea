package attention

import (
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/nn"
)

// headRows is how many rows a page has of each head's keys and values: a query looks at
// those of one head, page by page.
const headRows = 64

// keeps returns what a sequence needs: the keys and values of all heads, or the
// latent and the shared part of the key that they come from.
func (a *MLA) keeps(latent bool) *keeps {
	if latent {
		return &keeps{grown: []keptRows{{a.c.KVRank + a.c.ropeDim(), 1, pageRows}}}
	}
	return &keeps{grown: []keptRows{{a.c.Heads * (a.c.queryDim() + a.c.ValueDim), 1, headRows}}}
}

// PastSize returns the memory of a [Past].
func (a *MLA) PastSize(r Reach) Size { return a.keeps(r.Latent).size(r) }

// NewPast returns an empty past; it needs no memory of a fixed size.
func (a *MLA) NewPast(pool *Pool, r Reach, state []float32) (*Past, []float32) {
	return a.keeps(r.Latent).newPast(pool, r, state)
}

// PastFloats is as [Sparse.PastFloats].
func (a *MLA) PastFloats(segs []nn.Segment, from []int, pool *Pool, r Reach) int {
	defer a.Continue(nil)
	for _, n := range from {
		a.pasts = append(a.pasts, a.keeps(r.Latent).measure(pool, r, n))
	}
	var c counter
	a.takePast(&c, segs)
	return int(c)
}

// Continue is as [Sparse.Continue].
func (a *MLA) Continue(pasts []*Past) { a.pasts = pasts }

// latent tells whether the pasts keep latents.
func (a *MLA) latent() bool { return a.pasts[0].grown[0].width == a.c.KVRank+a.c.ropeDim() }

// mlaLane attends for one sequence at a time.
type mlaLane struct {
	attn  kernel.Attention
	heads []kernel.AttentionHeads
	segs  [1]kernel.Segment
}

// mlaPast is the scratch of a pass that continues.
type mlaPast struct {
	mlaRows
	latents     []float32 // of all tokens of a sequence, from pages
	joint, keys []float32 // of all tokens of a sequence, of a group of heads, from latents
	attend      []float32
}

func (a *MLA) takePast(m memory, segs []nn.Segment) mlaPast {
	T := segs[len(segs)-1].End
	a.takeSaved(m, T)
	f := mlaPast{mlaRows: a.takeRows(m, T)}
	if a.latent() {
		longest := 0
		for i, g := range segs {
			longest = max(longest, a.pasts[i].n+g.Len())
		}
		f.latents = m.F32(longest * a.c.KVRank)
		n := longest * a.expanded()
		f.joint, f.keys = m.F32(n*a.c.jointDim()), m.F32(n*a.c.queryDim())
	}
	for len(a.lanes) < kernel.Threads() {
		l := &mlaLane{heads: make([]kernel.AttentionHeads, a.c.Heads)}
		l.attn = kernel.Attention{Heads: 1, Scale: a.c.Scale}
		a.lanes = append(a.lanes, l)
	}
	all, each := 0, 0
	for i := range segs {
		a.set(a.lanes[0], i, segs)
		n := a.lanes[0].attn.Scratch(a.lanes[0].heads[:a.together()], false)
		if a.alone(i, segs) {
			all = max(all, n)
		} else {
			each = max(each, n)
		}
	}
	f.attend = m.F32(max(all, each*kernel.Threads()))
	return f
}

// expandedHeads is how many heads' keys and values there are at a time, unless there
// are more threads: all heads' would outgrow what latents save.
const expandedHeads = 8

// expanded returns how many heads' keys and values are computed from latents at a time.
func (a *MLA) expanded() int { return min(a.c.Heads, max(expandedHeads, kernel.Threads())) }

// together returns how many heads of a sequence attend at a time.
func (a *MLA) together() int {
	if a.latent() {
		return a.expanded()
	}
	return a.c.Heads
}

// alone tells whether a sequence attends on all threads, before the others.
func (a *MLA) alone(i int, segs []nn.Segment) bool {
	return len(segs) == 1 || segs[i].Len() > narrow || a.latent()
}

// set prepares a lane for a sequence, up to the operands.
func (a *MLA) set(l *mlaLane, i int, segs []nn.Segment) {
	l.segs[0] = kernel.Segment{Start: 0, End: a.pasts[i].n + segs[i].Len()}
	l.attn.Segments, l.attn.Past, l.attn.Serial = l.segs[:], a.pasts[i].n, !a.alone(i, segs)
}

// forwardPast is Forward for sequences that continue.
func (a *MLA) forwardPast(out, x []float32, p *nn.Pass) {
	mark := p.Arena.Mark()
	defer p.Arena.Release(mark)
	segs, T := p.Segments, p.T()
	a.past, a.passed = a.takePast(p.Arena, segs), segs
	f := &a.past
	c, v := &a.c, &a.saved
	c.Rope.continued(f.rot, segs, a.pasts)

	a.work.add(project(v.qa, x, a.WQA, T, c.Hidden, c.QRank))
	a.work.add(project(v.latent, x, a.latentRows(), T, c.Hidden, c.KVRank))
	a.work.add(project(v.shared, x, a.sharedRows(), T, c.Hidden, c.ropeDim()))
	a.work.run()
	a.norms(&f.mlaRows, T, p)
	a.work.add(project(v.q, f.qr, a.WQB, T, c.QRank, c.Heads*c.queryDim()))
	if !a.latent() {
		a.work.add(project(v.joint, f.mlaRows.latent, a.WKVB, T, c.KVRank, c.Heads*c.jointDim()))
	}
	a.work.run()
	kernel.Rope(v.q, T, c.Heads, c.queryDim(), f.rot.cos, f.rot.sin, false)
	kernel.Rope(v.shared, T, 1, c.ropeDim(), f.rot.cos, f.rot.sin, false)
	if !a.latent() {
		a.keys(&f.mlaRows, T, p)
	}
	for i, g := range segs {
		for t := g.Start; t < g.End; t++ {
			a.addRow(&a.pasts[i].grown[0], a.pasts[i].n+t-g.Start, &f.mlaRows, t)
		}
	}
	a.attendPast(f, segs)
	a.work.add(project(out, v.o, a.WO, T, c.Heads*c.ValueDim, c.Hidden))
	a.work.run()
	for i, past := range a.pasts {
		past.n += segs[i].Len()
	}
}

// addRow fills row i of what a past keeps from token t of the pass. A page has latents
// row by row, but of keys and values each head's rows together, keys first.
func (a *MLA) addRow(g *paged, i int, r *mlaRows, t int) {
	c, v := &a.c, &a.saved
	if a.latent() {
		row := g.row(i)
		n := copy(row, r.latent[t*c.KVRank:(t+1)*c.KVRank])
		copy(row[n:], v.shared[t*c.ropeDim():(t+1)*c.ropeDim()])
		return
	}
	for h := range c.Heads {
		k, at := a.keysOf(g, h), (t*c.Heads+h)*c.queryDim()
		copy(k.Row(i), r.k[at:at+c.queryDim()])
		k, at = a.valuesOf(g, h), (t*c.Heads+h)*c.jointDim()+c.NopeDim
		copy(k.Row(i), v.joint[at:at+c.ValueDim])
	}
}

// keysOf and valuesOf are the rows of a head.
func (a *MLA) keysOf(g *paged, h int) kernel.Pages {
	n := a.c.queryDim()
	return kernel.Pages{Page: g.data, Rows: g.rows, Stride: n, Col: h * g.rows * n, Cols: n}
}

func (a *MLA) valuesOf(g *paged, h int) kernel.Pages {
	n := a.c.ValueDim
	return kernel.Pages{Page: g.data, Rows: g.rows, Stride: n, Col: g.rows * (a.c.Heads*a.c.queryDim() + h*n), Cols: n}
}

// attendPast computes the attention of all sequences: those that need all threads
// one by one, then the others beside each other.
func (a *MLA) attendPast(f *mlaPast, segs []nn.Segment) {
	few := 0
	for i := range segs {
		if a.alone(i, segs) {
			a.attend(a.lanes[0], i, f, f.attend, segs)
		} else {
			few++
		}
	}
	if few == 0 {
		return
	}
	if a.attendOne == nil {
		a.attendOne = a.attendBeside
	}
	a.queue.run(len(segs), a.attendOne)
}

// attendBeside computes the attention of sequence i of the present pass beside
// others, unless it has been computed alone.
func (a *MLA) attendBeside(lane, i int) {
	f, segs := &a.past, a.passed
	if !a.alone(i, segs) {
		each := len(f.attend) / kernel.Threads()
		a.attend(a.lanes[lane], i, f, f.attend[lane*each:(lane+1)*each], segs)
	}
}

// attend computes the attention of one sequence, a group of heads at a time.
func (a *MLA) attend(l *mlaLane, i int, f *mlaPast, scratch []float32, segs []nn.Segment) {
	a.set(l, i, segs)
	past, n := a.pasts[i], a.pasts[i].n+segs[i].Len()
	if a.latent() {
		for t := range n {
			copy(f.latents[t*a.c.KVRank:(t+1)*a.c.KVRank], past.grown[0].row(t))
		}
	}
	for from := 0; from < a.c.Heads; from += a.together() {
		heads := l.heads[:min(a.together(), a.c.Heads-from)]
		if a.latent() {
			a.expand(f, past, n, from, len(heads))
		}
		for j := range heads {
			heads[j] = a.operandsPast(f, past, segs, i, from+j)
			if a.latent() {
				all := kernel.MatOf(f.keys[:n*len(heads)*a.c.queryDim()], n, len(heads)*a.c.queryDim())
				heads[j].K = all.Slice(0, n, j*a.c.queryDim(), (j+1)*a.c.queryDim())
				all = kernel.MatOf(f.joint[:n*len(heads)*a.c.jointDim()], n, len(heads)*a.c.jointDim())
				heads[j].V = all.Slice(0, n, j*a.c.jointDim()+a.c.NopeDim, (j+1)*a.c.jointDim())
			}
		}
		l.attn.Forward(heads, scratch)
	}
}

// operandsPast are those of a head for one sequence, without what latents give.
func (a *MLA) operandsPast(f *mlaPast, past *Past, segs []nn.Segment, i, h int) kernel.AttentionHeads {
	c, v, g, T := &a.c, &a.saved, segs[i], segs[len(segs)-1].End
	hd := kernel.AttentionHeads{
		Q:   a.headCols(v.q, h, T, c.queryDim(), 0, c.queryDim()).Slice(g.Start, g.End, 0, c.queryDim()),
		O:   a.headCols(v.o, h, T, c.ValueDim, 0, c.ValueDim).Slice(g.Start, g.End, 0, c.ValueDim),
		LSE: v.lseT[h*T+g.Start : h*T+g.End],
	}
	if !a.latent() {
		hd.PK, hd.PV = a.keysOf(&past.grown[0], h), a.valuesOf(&past.grown[0], h)
	}
	return hd
}

// expand computes keys and values of heads from on from the latents of n tokens.
func (a *MLA) expand(f *mlaPast, past *Past, n, from, heads int) {
	c, g := &a.c, &past.grown[0]
	joint, width := heads*c.jointDim(), c.queryDim()
	weights := kernel.MatOf(a.WKVB.Data[from*c.jointDim()*c.KVRank:(from+heads)*c.jointDim()*c.KVRank], joint, c.KVRank)
	a.work.add(kernel.Product{
		Form: kernel.NT, Out: kernel.MatOf(f.joint[:n*joint], n, joint), A: kernel.MatOf(f.latents[:n*c.KVRank], n, c.KVRank), B: weights,
	})
	a.work.run()
	kernel.Parallel(n, 8, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			shared := g.row(t)[c.KVRank:]
			for h := range heads {
				row := f.keys[(t*heads+h)*width : (t*heads+h+1)*width]
				copy(row, f.joint[t*joint+h*c.jointDim():][:c.NopeDim])
				copy(row[c.NopeDim:], shared)
			}
		}
	})
}
