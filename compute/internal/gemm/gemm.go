// Package gemm is the engine behind kernel.Run: it cuts matrix products into
// tiles, spreads the tiles over the worker threads, packs operands for the
// microkernels of package asm and runs those.
//
// Nothing in here changes a bit of a result: see Product for the definition,
// which holds whatever the tiles, the threads and the instruction set.
package gemm

import (
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

// Run computes all products. Their outputs must be disjoint, and their
// operands must hold what M, N, K and the leading dimensions say.
func Run(ps []Product) {
	for i := range ps {
		p := &ps[i]
		workers.Parallel(p.M, 1, func(lo, hi int) { naive(p, lo, hi) })
	}
}

// naive is the definition, for rows [lo, hi).
func naive(p *Product, lo, hi int) {
	sam, sak := p.LdA, 1
	if p.TransA {
		sam, sak = 1, p.LdA
	}
	sbk, sbn := p.LdB, 1
	if p.TransB {
		sbk, sbn = 1, p.LdB
	}
	for m := lo; m < hi; m++ {
		out := p.Out[m*p.LdOut:][:p.N]
		for n := range out {
			var acc float32
			if p.Accumulate {
				acc = out[n]
			}
			for k := range p.K {
				acc = asm.FMA32(p.A[m*sam+k*sak], p.B[k*sbk+n*sbn], acc)
			}
			out[n] = acc
		}
	}
}
