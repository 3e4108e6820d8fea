package kernelbench

import (
	"fmt"
	"time"

	"github.com/temper-ml/temper/compute/kernel"
)

// Row is a row or elementwise kernel at work: Floats is how many float32 a
// call reads plus how many it writes, Elements how many results it makes.
type Row struct {
	Name             string
	Floats, Elements int
	Call             func()
}

// Rows makes the row kernels of a training step over about elements numbers a
// matrix, with rows of dim. Choose elements larger than the caches to see what
// memory allows, smaller to see what the loops can do.
func Rows(elements, dim int) []Row {
	T := max(1, elements/dim)
	n := T * dim
	// One set of matrices serves all: a kernel's speed does not depend on its
	// values here, as long as these stay ordinary numbers.
	a, b, c, d, e := rowMatrix(n, 1), rowMatrix(n, 2), rowMatrix(n, 3), rowMatrix(n, 4), rowMatrix(n, 5)
	w, dw, rstd, coef := rowMatrix(dim, 6), make([]float32, dim), rowMatrix(T, 7), rowMatrix(T, 8)
	for i := range rstd {
		rstd[i], coef[i] = 1, 1e-3
	}
	nf := min(32, dim/2)
	cos, sin := rowMatrix(T*nf, 9), rowMatrix(T*nf, 10)
	for i := range cos {
		cos[i], sin[i] = 1, 0
	}
	labels, lse, loss := make([]int32, T), make([]float32, T), make([]float32, T)
	limit := float32(10)
	rs := []Row{
		{"Add", 3 * n, n, func() { kernel.Add(c, a, b) }},
		{"Axpy", 3 * n, n, func() { kernel.Axpy(c, 1e-9, a) }},
		{"Exp", 2 * n, n, func() { kernel.Exp(c, a) }},
		{"SqrtSoftplus", 2 * n, n, func() { kernel.SqrtSoftplus(c, a) }},
		{"SumSquares64", n, n, func() { kernel.SumSquares64(a) }},
		{"RMSNorm", 2 * n, n, func() { kernel.RMSNorm(c, rstd, a, w, T, dim, 1e-6) }},
		{"RMSNormBackward", 4 * n, n, func() { kernel.RMSNormBackward(c, dw, b, a, w, rstd, T, dim) }},
		{"SwiGLU", 3 * n, n, func() { kernel.SwiGLU(c, a, b, rstd, T, dim, limit) }},
		{"SwiGLUBackward", 5 * n, n, func() { kernel.SwiGLUBackward(d, e, lse, c, a, b, rstd, T, dim, limit) }},
		{"Rope", 2 * 2 * nf * T, 2 * nf * T, func() { kernel.Rope(a, T, 1, dim, cos, sin, false) }},
		{"CrossEntropy", 2 * n, n, func() { kernel.CrossEntropy(loss, lse, d, labels, coef, T, dim) }},
		{"CrossEntropyForward", n, n, func() { kernel.CrossEntropyForward(loss, lse, a, labels, T, dim) }},
		{"SoftmaxRows", 2 * n, n, func() { kernel.SoftmaxRows(d, lse, T, dim) }},
		{"AdamW", 7 * n, n, func() { kernel.AdamW(c, a, d, e, 1e-9, .9, .95, 1e-8, .1, 1, 1, 1) }},
		{"FakeQuantFP8", 2 * n, n, func() { kernel.FakeQuantFP8(a, 64) }},
	}
	return append(rs, streamRows(a, b, c, d, dim)...)
}

// streamRows makes the kernels over four residual streams; the matrices hold
// T tokens of four streams each.
func streamRows(a, b, c, d []float32, dim int) []Row {
	n := len(a)
	D := max(1, dim/4)
	T := n / (4 * D)
	x, y, dx, dy := a[:T*4*D], b[:T*4*D], c[:T*4*D], d[:T*4*D]
	f, df := rowMatrix(T*D, 11), make([]float32, T*D)
	pre, comb, m := rowMatrix(T*4, 12), rowMatrix(T*16, 13), rowMatrix(T*24, 14)
	dpre, dcomb, dm := make([]float32, T*4), make([]float32, T*16), make([]float32, T*24)
	dscale, dbase := make([]float32, 3), make([]float32, 24)
	scale, base := []float32{.01, .01, .01}, make([]float32, 24)
	n = T * D
	return []Row{
		{"HCPre", 5 * n, n, func() { kernel.HCPre(df, x, pre, T, D) }},
		{"HCPreBackward", 13 * n, 4 * n, func() { kernel.HCPreBackward(dx, dpre, f, x, pre, T, D) }},
		{"HCPost", 9 * n, 4 * n, func() { kernel.HCPost(y, x, f, pre, comb, T, D) }},
		{"HCPostBackward", 14 * n, 5 * n, func() { kernel.HCPostBackward(dx, df, dpre, dcomb, dy, x, f, pre, comb, T, D) }},
		{"RowRMS", 4 * n, 4 * n, func() { kernel.RowRMS(pre[:T], x, T, 4*D, 1e-6) }},
		{"HCMap", 48 * T, 24 * T, func() { kernel.HCMap(dpre, dpre, dcomb, m, scale, base, T, 20, 1e-6) }},
		{"HCMapBackward", 72 * T, 24 * T, func() {
			kernel.HCMapBackward(dm, dscale, dbase, pre, pre, comb, m, scale, base, T, 20, 1e-6)
		}},
	}
}

// rowMatrix returns n numbers between -1 and 1.
func rowMatrix(n, seed int) []float32 { return matrix(1, n, seed).Data }

// RunRows measures the row kernels beside plain memory copies of the same
// size, made in turn with them, and returns for each the copies' speed, the
// kernel's, both in bytes read plus bytes written a second, the ratio, and the
// time for one result on one thread's share. It sets path and threads while it
// runs and restores them.
func RunRows(o Options, elements, dim int) ([]Result, error) {
	o = o.withDefaults()
	defer kernel.SetThreads(kernel.Threads())
	first := kernel.Path()
	defer kernel.SetPath(first) // cannot fail: it was active
	from, to := rowMatrix(elements, 15), make([]float32, elements)
	var rs []Result
	for _, row := range Rows(elements, dim) {
		for _, path := range o.Paths {
			for _, threads := range o.Threads {
				if _, err := kernel.SetPath(path); err != nil {
					return nil, err
				}
				kernel.SetThreads(threads)
				rs = append(rs, o.measureRow(row, fmt.Sprintf("%s/dim=%d/%s/threads=%d", row.Name, dim, path, threads), to, from)...)
			}
		}
	}
	return rs, nil
}

// measureRow measures one kernel in the setting that is active.
func (o *Options) measureRow(row Row, name string, to, from []float32) []Result {
	copies := func() {
		kernel.Parallel(len(to), 1<<14, func(lo, hi int) { copy(to[lo:hi], from[lo:hi]) })
	}
	copies()
	row.Call()
	var mem, speed, share, each []float64
	for range o.Samples {
		m := float64(8*len(to)) / o.once(copies)
		s := o.once(row.Call)
		mem, speed = append(mem, m), append(speed, float64(4*row.Floats)/s)
		share = append(share, float64(4*row.Floats)/s/m)
		each = append(each, 1e9*s/float64(row.Elements))
	}
	return []Result{
		result("copy/"+name, "GB/s", 1e-9, mem),
		result("rows/"+name, "GB/s", 1e-9, speed),
		result("rows-share/"+name, "of copy", 1, share),
		least("rows-time/"+name, "ns/result", each),
	}
}

// once returns the mean seconds of calls of f that fill one sample.
func (o *Options) once(f func()) float64 {
	n := 0
	start := time.Now()
	for n == 0 || time.Since(start) < o.Time/4 {
		f()
		n++
	}
	return time.Since(start).Seconds() / float64(n)
}

// least is result for quantities of which the smallest sample is the best.
func least(name, unit string, samples []float64) Result {
	r := result(name, unit, 1, samples)
	r.Value = r.Min
	return r
}
