package gemm

import (
	"cmp"
	"slices"

	"github.com/temper-ml/temper/compute/internal/asm"
)

// task is the rectangle [m0, m1) x [n0, n1) of a product's output.
type task struct {
	product        int
	m0, m1, n0, n1 int
	cost           int
}

const (
	// maxCols bounds taskCols, and minCols keeps packing A affordable.
	maxCols = 512
	minCols = 192
	// perThread is how many tasks each thread gets if all are of one size.
	perThread = 4
	// minCost is the least work, in multiply-adds, worth a task of its own:
	// some tens of microseconds.
	minCost = 1 << 20
	// fewPerThread and fewCost are the same for products of few rows, whose tasks
	// need nothing packed: their end should find all threads at work.
	fewPerThread = 8
	fewCost      = 1 << 17
)

// taskCols is the most columns of a task: its packed part of B fills up to
// three quarters of the second-level cache.
var taskCols = min(max(asm.SecondLevelCache()*3/4/(4*blockK), minCols), maxCols) &^ (maxPanel - 1)

// plan fills r.tasks for the products, costliest first.
func (r *run) plan(ps []Product, k *asm.Microkernels, threads int) {
	r.products, r.kernels = append(r.products[:0], ps...), k
	total, few := 0, true
	for i := range ps {
		total += ps[i].cost(ps[i].M, ps[i].N)
		few = few && ps[i].few(k)
	}
	target := total
	switch {
	case threads > 1 && few:
		target = max(total/(threads*fewPerThread), fewCost)
	case threads > 1:
		target = max(total/(threads*perThread), minCost)
	}
	if k == nil {
		target = max(total/(threads*perThread), minCost/32)
	}
	for i := range ps {
		r.cut(i, target)
	}
	slices.SortStableFunc(r.tasks, func(a, b task) int { return cmp.Compare(b.cost, a.cost) })
}

// cost estimates the time of an m x n part of p's output in the time of
// multiply-adds: these, packing, and the traffic of the output.
func (p *Product) cost(m, n int) int { return m*n*p.K + 8*n*p.K + 4*m*p.K + 16*m*n }

// few tells whether k computes p as a product of few rows.
func (p *Product) few(k *asm.Microkernels) bool {
	return k != nil && p.TransB && !p.TransA && p.M < len(k.Few) && p.K >= fewK && p.N >= k.FewCols
}

// cut adds the tasks of product i, none much costlier than target.
func (r *run) cut(i, target int) {
	p := &r.products[i]
	if p.M == 0 || p.N == 0 {
		return
	}
	pieces := (p.cost(p.M, p.N)-1)/max(target, 1) + 1
	rowUnit, colUnit := 1, 16
	if r.kernels != nil {
		rowUnit, colUnit = r.kernels.Rows, r.kernels.Cols
	}
	if p.few(r.kernels) {
		rowUnit, colUnit = p.M, r.kernels.FewCols
	}
	rows, cols := split(p, pieces, rowUnit, colUnit)
	for m := 0; m < p.M; m += rows {
		for n := 0; n < p.N; n += cols {
			t := task{product: i, m0: m, m1: min(m+rows, p.M), n0: n, n1: min(n+cols, p.N)}
			t.cost = p.cost(t.m1-t.m0, t.n1-t.n0)
			r.tasks = append(r.tasks, t)
		}
	}
}

// split returns the size of the tasks that cut p into about the given number
// of pieces at the least cost of packing. Each column of tasks packs A anew,
// each row of tasks B.
func split(p *Product, pieces, rowUnit, colUnit int) (rows, cols int) {
	costA, costB := p.M, p.N
	if p.TransB {
		costB *= 2 // packing transposed is slower
	}
	best := -1
	rowMost, colMost := ceil(p.M, rowUnit), ceil(p.N, colUnit)
	for across := ceil(p.N, taskCols); across <= colMost; across++ {
		down := min(ceil(pieces, across), rowMost)
		if cost := across*costA + down*costB; best < 0 || cost < best {
			best = cost
			rows = ceil(rowMost, down) * rowUnit
			cols = ceil(colMost, across) * colUnit
		}
		if across >= pieces {
			break
		}
	}
	return rows, cols
}

// ceil returns a/b rounded up.
func ceil(a, b int) int { return (a + b - 1) / b }
