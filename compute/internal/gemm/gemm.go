// Package gemm is the engine behind kernel.Run: it cuts matrix products into
// tasks, spreads those over the worker threads, packs operands for the
// microkernels of package asm and runs these.
//
// Nothing in here changes a bit of a result: see Product for the definition,
// which holds whatever the tasks, the threads and the instruction set.
//
// A task is a rectangle of one product's output. It walks k in blocks; for
// each it packs its part of B into panels that stay in the second-level cache,
// then takes A a few rows at a time, packs those into the first-level cache
// and runs a microkernel along all panels. Between blocks of k the chains of
// the output elements rest in the output itself, which is exact.
package gemm

import (
	"sync/atomic"

	"github.com/temper-ml/temper/compute/internal/asm"
	"github.com/temper-ml/temper/compute/internal/workers"
)

// Product is one product out[m,n] (+)= Σk a(m,k) b(k,n) over row-major
// operands with leading dimensions in elements: a(m,k) is A[m*LdA+k], or
// A[k*LdA+m] with TransA; b(k,n) is B[k*LdB+n], or B[n*LdB+k] with TransB.
//
// Every output element is one chain of fused multiply-adds over k ascending
// that starts from +0, or from its old value with Accumulate.
type Product struct {
	Out, A, B       []float32
	LdOut, LdA, LdB int
	M, N, K         int
	TransA, TransB  bool
	Accumulate      bool
}

// Run computes all products. Their outputs must be disjoint, and the slices
// must hold what the sizes and leading dimensions say. It keeps nothing of ps.
func Run(ps []Product) {
	r := runs.Get()
	r.id = lastRun.Add(1)
	r.plan(ps, asm.Gemm(asm.Active()), workers.Threads())
	if len(r.tasks) == 1 {
		r.do(0, 1)
	} else {
		if r.each == nil {
			r.each = r.do
		}
		workers.Each(len(r.tasks), r.each)
	}
	// A run whose task panicked is not put back: it may be in any state.
	r.tasks = r.tasks[:0]
	clear(r.products)
	runs.Put(r)
}

// run is one call of Run.
type run struct {
	id       uint64 // of no other run
	products []Product
	kernels  *asm.Microkernels // nil for plain Go
	tasks    []task
	each     func(lo, hi int) // do, bound once
}

var (
	runs    workers.Freelist[run]
	lastRun atomic.Uint64
)

// do computes tasks [lo, hi).
func (r *run) do(lo, hi int) {
	for i := lo; i < hi; i++ {
		t := &r.tasks[i]
		r.compute(&r.products[t.product], t)
	}
}

// compute computes task t of p.
func (r *run) compute(p *Product, t *task) {
	switch {
	case p.K == 0:
		clearOut(p, t)
	case r.kernels == nil:
		plain(p, t)
	default:
		s := scratches.Get()
		s.compute(r.id, r.kernels, p, t)
		scratches.Put(s)
	}
}

// clearOut computes a task of a product whose chains are empty.
func clearOut(p *Product, t *task) {
	if p.Accumulate {
		return
	}
	for m := t.m0; m < t.m1; m++ {
		clear(p.Out[m*p.LdOut+t.n0 : m*p.LdOut+t.n1])
	}
}
