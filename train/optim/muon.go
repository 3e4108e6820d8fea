package optim

import (
	"math"

	"github.com/temper-ml/temper/compute/kernel"
)

// Newton-Schulz coefficients (a, b, c) of X ← aX + b(XXᵀ)X + c(XXᵀ)²X. The
// hybrid schedule of V4's report §2.4 takes eight fast steps, which bring all
// singular values near 1, then two that converge to 1 exactly.
var (
	nsFast  = [3]float32{3.4445, -4.7750, 2.0315}
	nsExact = [3]float32{2, -1.5, 0.5}
)

const (
	nsFastSteps  = 8
	nsExactSteps = 2
	// nsScratch bounds the scratch memory of one group of matrices, in floats.
	nsScratch = 32 << 20
)

// muonMatrix is one logically independent matrix: a row block of a parameter.
type muonMatrix struct {
	data, grad, momentum []float32
}

// muonGroup is a set of matrices of one shape, updated together so that their
// products are scheduled over threads at once.
type muonGroup struct {
	rows, cols int
	members    []member
	matrices   []muonMatrix
}

// member names one matrix: a row block of a parameter.
type member struct{ param, block int }

// groupMatrices collects the matrices of all Muon parameters by shape, in
// parameter order, in groups whose scratch memory stays bounded.
func (o *Optimizer) groupMatrices() []muonGroup {
	groups := o.shapes()
	for gi := range groups {
		g := &groups[gi]
		n := g.rows * g.cols
		for _, at := range g.members {
			p, m := o.params[at.param], o.first[at.param]
			lo, hi := at.block*n, (at.block+1)*n
			g.matrices = append(g.matrices, muonMatrix{p.Data[lo:hi], p.Grad[lo:hi], m[lo:hi]})
		}
	}
	return groups
}

// shapes is groupMatrices without the memory.
func (o *Optimizer) shapes() []muonGroup {
	var groups []muonGroup
	open := map[[2]int]int{}
	for i, p := range o.params {
		if !o.usesMuon(p) {
			continue
		}
		rows, cols := p.Rows/p.Blocks, p.Cols
		for b := range p.Blocks {
			key := [2]int{rows, cols}
			g, ok := open[key]
			if !ok || (len(groups[g].members)+1)*scratchFloats(rows, cols) > nsScratch {
				g = len(groups)
				open[key] = g
				groups = append(groups, muonGroup{rows: rows, cols: cols})
			}
			groups[g].members = append(groups[g].members, member{i, b})
		}
	}
	return groups
}

// scratchNeed is the scratch memory of the largest group, in floats.
func scratchNeed(groups []muonGroup) int {
	most := 0
	for _, g := range groups {
		most = max(most, len(g.members)*scratchFloats(g.rows, g.cols))
	}
	return most
}

// scratchFloats is the scratch memory of one matrix in orthogonalize.
func scratchFloats(rows, cols int) int {
	small := min(rows, cols)
	return 2*rows*cols + 2*small*small
}

// stepMuon updates one group:
// M ← μM + scale·G; O = NS(μM + scale·G)·√max(n,m)·γ; W ← W(1-ηλ) - ηO.
func (o *Optimizer) stepMuon(g *muonGroup, lr float64, scale float32) {
	c := &o.cfg.Muon
	n := g.rows * g.cols
	count := len(g.matrices)
	work := o.scratch[:count*scratchFloats(g.rows, g.cols)]
	x, work := work[:count*n], work[count*n:]
	kernel.Parallel(count, 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			m := &g.matrices[i]
			u := x[i*n : (i+1)*n]
			kernel.Scale(m.momentum, float32(c.Momentum))
			kernel.Axpy(m.momentum, scale, m.grad)
			kernel.Zero(u)
			kernel.Axpy(u, scale, m.grad)
			kernel.Axpy(u, float32(c.Momentum), m.momentum)
			normalize(u)
		}
	})
	orthogonalize(x, work, count, g.rows, g.cols)
	step := float32(-lr * math.Sqrt(float64(max(g.rows, g.cols))) * c.RMS)
	keep := float32(1 - float64(lr*c.WeightDecay))
	kernel.Parallel(count, 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			w := g.matrices[i].data
			kernel.Scale(w, keep)
			kernel.Axpy(w, step, x[i*n:(i+1)*n])
		}
	})
}

// normalize divides u by its Frobenius norm; a zero matrix stays zero.
func normalize(u []float32) {
	norm := math.Sqrt(kernel.SumSquares64(u))
	if norm == 0 {
		return
	}
	kernel.Scale(u, float32(1/norm))
}

// orthogonalize replaces each of count matrices [rows, cols] in x by its
// nearest semi-orthogonal matrix, approximately: ten hybrid Newton-Schulz
// steps. Products are formed on the smaller side. work is scratch for the rest
// of what scratchFloats counts.
func orthogonalize(x, work []float32, count, rows, cols int) {
	n, small := rows*cols, min(rows, cols)
	ns := small * small
	next, work := work[:count*n], work[count*n:]
	gram, poly := work[:count*ns], work[count*ns:]
	products := make([]kernel.Product, count)
	for k := range nsFastSteps + nsExactSteps {
		c := nsFast
		if k >= nsFastSteps {
			c = nsExact
		}
		for i := range count { // A = XXᵀ, or XᵀX for a tall matrix
			m := kernel.MatOf(x[i*n:(i+1)*n], rows, cols)
			products[i] = kernel.Product{Form: kernel.NT, Out: kernel.MatOf(gram[i*ns:(i+1)*ns], small, small), A: m, B: m}
			if rows > cols {
				products[i].Form = kernel.TN
			}
		}
		kernel.Run(products...)
		for i := range count { // B = bA + cA²
			a := kernel.MatOf(gram[i*ns:(i+1)*ns], small, small)
			products[i] = kernel.Product{Form: kernel.NT, Out: kernel.MatOf(poly[i*ns:(i+1)*ns], small, small), A: a, B: a}
		}
		kernel.Run(products...)
		combine(poly, c[2], gram, c[1])
		for i := range count { // X ← aX + BX, or aX + XB for a tall matrix
			m := kernel.MatOf(x[i*n:(i+1)*n], rows, cols)
			b := kernel.MatOf(poly[i*ns:(i+1)*ns], small, small)
			products[i] = kernel.Product{Form: kernel.NN, Out: kernel.MatOf(next[i*n:(i+1)*n], rows, cols), A: b, B: m}
			if rows > cols {
				products[i].A, products[i].B = m, b
			}
		}
		kernel.Run(products...)
		combine(x, c[0], next, 1)
	}
}

// combine is y ← s·y + t·z, elementwise.
func combine(y []float32, s float32, z []float32, t float32) {
	kernel.Parallel(len(y), 1<<14, func(lo, hi int) {
		kernel.Scale(y[lo:hi], s)
		kernel.Axpy(y[lo:hi], t, z[lo:hi])
	})
}
