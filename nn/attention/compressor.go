package attention

import (
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/nn"
)

// Compressor holds the weights that pool blocks of tokens into entries. With C
// the entry's width, doubled for ratio 4 whose blocks overlap:
type Compressor struct {
	APE   nn.Weight // [ratio, C] added to the gates by position in the block
	WKV   nn.Weight // [C, D] values
	WGate nn.Weight // [C, D] gates
	Norm  nn.Weight // [entry width]
}

// pooler runs a [Compressor]: values and gates of every token, softmax pooling,
// norm, rotation to the position of each block's first token, and a last step
// that differs: the indexer's entries go through a Hadamard rotation.
type pooler struct {
	w        *Compressor
	hidden   int
	eps      float32
	hadamard bool
	quantise bool
	pool     kernel.Pooling

	// saved by forward
	value, gate  []float32 // [T, Width]
	pooled, rstd []float32 // [E, Dim], [E]
}

// take takes the memory that forward keeps.
func (p *pooler) take(m memory, tokens, entries int) {
	p.value, p.gate = m.F32(tokens*p.pool.Width()), m.F32(tokens*p.pool.Width())
	p.pooled, p.rstd = m.F32(entries*p.pool.Dim), m.F32(entries)
}

// project adds the products that compute values and gates.
func (p *pooler) project(ps *products, x []float32, tokens int) {
	ps.add(
		project(p.value, x, p.w.WKV, tokens, p.hidden, p.pool.Width()),
		project(p.gate, x, p.w.WGate, tokens, p.hidden, p.pool.Width()),
	)
}

// forward pools values and gates into entries.
func (p *pooler) forward(entries []float32, rot rotation, scratch []float32) {
	p.pool.Forward(p.pooled, p.value, p.gate, p.w.APE.Data, scratch)
	p.finish(entries, rot)
}

// finish computes the entries from what is pooled. It may be repeated.
func (p *pooler) finish(entries []float32, rot rotation) {
	n, dim := len(p.rstd), p.pool.Dim
	kernel.RMSNorm(entries, p.rstd, p.pooled, p.w.Norm.Data, n, dim, p.eps)
	kernel.Rope(entries, n, 1, dim, rot.cos, rot.sin, false)
	if p.hadamard {
		kernel.Hadamard(entries, n, dim)
	}
	if p.quantise && p.hadamard {
		kernel.FakeQuantFP4(entries, indexGroup)
	} else if p.quantise {
		quantiseKeys(entries, dim, dim-rot.width())
	}
}

// poolerScratch is what backward needs besides the pool's own scratch.
type poolerScratch struct {
	dpooled       []float32 // [E, Dim]
	dvalue, dgate []float32 // [T, Width]
}

func (p *pooler) takeScratch(m memory, tokens, entries int) poolerScratch {
	w := p.pool.Width()
	return poolerScratch{m.F32(entries * p.pool.Dim), m.F32(tokens * w), m.F32(tokens * w)}
}

// backward overwrites d, the gradient of the entries, adds to the gradients of
// the weights and, unless dx is nil, to that of x.
func (p *pooler) backward(ps *products, dx, d, x []float32, rot rotation, s poolerScratch, scratch []float32) {
	n, dim, width := len(p.rstd), p.pool.Dim, p.pool.Width()
	tokens := len(p.value) / width
	if p.hadamard {
		kernel.Hadamard(d, n, dim)
	}
	kernel.Rope(d, n, 1, dim, rot.cos, rot.sin, true)
	kernel.Zero(s.dpooled)
	kernel.RMSNormBackward(s.dpooled, p.w.Norm.Grad, d, p.pooled, p.w.Norm.Data, p.rstd, n, dim)
	p.pool.Backward(s.dvalue, s.dgate, p.w.APE.Grad, s.dpooled, p.pooled, p.value, p.gate, p.w.APE.Data, scratch)
	ps.addWeight(p.w.WKV, s.dvalue, x, tokens, p.hidden, width)
	ps.addWeight(p.w.WGate, s.dgate, x, tokens, p.hidden, width)
	if dx == nil {
		return
	}
	kernel.Run(backProject(dx, s.dvalue, p.w.WKV, tokens, p.hidden, width, true))
	kernel.Run(backProject(dx, s.dgate, p.w.WGate, tokens, p.hidden, width, true))
}

// quantiseKeys rounds the first n dimensions of every row.
func quantiseKeys(x []float32, dim, n int) {
	kernel.Parallel(len(x)/dim, 16, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			kernel.FakeQuantFP8(x[r*dim:r*dim+n], keyGroup)
		}
	})
}
