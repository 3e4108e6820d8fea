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
	names    *poolerNames
	hidden   int
	eps      float32
	hadamard bool
	quantise bool
	pool     kernel.Pooling
	whole    [1]kernel.Segment // of a single call

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

// poolerNames are what a pooler's outputs are called when they are watched.
type poolerNames struct{ value, gate, pooled, norm, scale, entries string }

var (
	compressorNames = &poolerNames{
		"compressor.value", "compressor.gate", "compressor.pooled", "compressor.norm", "compressor.norm.scale",
		"compressor.entries",
	}
	indexerNames = &poolerNames{
		"indexer.value", "indexer.gate", "indexer.pooled", "indexer.norm", "indexer.norm.scale", "indexer.keys",
	}
)

// projected shows values and gates.
func (p *pooler) projected(pass *nn.Pass) {
	pass.See(p.names.value, p.value)
	pass.See(p.names.gate, p.gate)
}

// forward pools values and gates into entries.
func (p *pooler) forward(entries []float32, rot rotation, scratch []float32, pass *nn.Pass) {
	p.pool.Forward(p.pooled, p.value, p.gate, p.w.APE.Data, scratch)
	pass.SeeEntries(p.names.pooled, p.pooled, p.pool.Ratio)
	p.finish(entries, rot, pass)
}

// finish computes the entries from what is pooled. It may be repeated.
func (p *pooler) finish(entries []float32, rot rotation, pass *nn.Pass) {
	n, dim := len(p.rstd), p.pool.Dim
	kernel.RMSNorm(entries, p.rstd, p.pooled, p.w.Norm.Data, n, dim, p.eps)
	pass.SeeEntries(p.names.norm, entries, p.pool.Ratio)
	pass.SeeEntries(p.names.scale, p.rstd, p.pool.Ratio)
	kernel.Rope(entries, n, 1, dim, rot.cos, rot.sin, false)
	if p.hadamard {
		kernel.Hadamard(entries, n, dim)
	}
	if p.quantise && p.hadamard {
		kernel.FakeQuantFP4(entries, indexGroup)
	} else if p.quantise {
		quantiseKeys(entries, dim, dim-rot.width())
	}
	pass.SeeEntries(p.names.entries, entries, p.pool.Ratio)
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
func (p *pooler) backward(ps *products, dx, d, x []float32, rot rotation, s poolerScratch, scratch []float32, pass *nn.Pass) {
	n, dim, width := len(p.rstd), p.pool.Dim, p.pool.Width()
	tokens := len(p.value) / width
	if p.hadamard {
		kernel.Hadamard(d, n, dim)
	}
	kernel.Rope(d, n, 1, dim, rot.cos, rot.sin, true)
	pass.SeeEntries(p.names.norm, d, p.pool.Ratio)
	kernel.Zero(s.dpooled)
	kernel.RMSNormBackward(s.dpooled, p.w.Norm.Grad, d, p.pooled, p.w.Norm.Data, p.rstd, n, dim)
	pass.SeeEntries(p.names.pooled, s.dpooled, p.pool.Ratio)
	p.pool.Backward(s.dvalue, s.dgate, p.w.APE.Grad, s.dpooled, p.pooled, p.value, p.gate, p.w.APE.Data, scratch)
	pass.See(p.names.value, s.dvalue)
	pass.See(p.names.gate, s.dgate)
	ps.addWeight(p.w.WKV, s.dvalue, x, tokens, p.hidden, width)
	ps.addWeight(p.w.WGate, s.dgate, x, tokens, p.hidden, width)
	if dx == nil {
		return
	}
	kernel.Run(backProject(dx, s.dvalue, p.w.WKV, tokens, p.hidden, width, true))
	pass.See("norm.compressor.value", dx)
	kernel.Run(backProject(dx, s.dgate, p.w.WGate, tokens, p.hidden, width, true))
	pass.See("norm.compressor.gate", dx)
}

// quantiseKeys rounds the first n dimensions of every row.
func quantiseKeys(x []float32, dim, n int) {
	kernel.Parallel(len(x)/dim, 16, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			kernel.FakeQuantFP8(x[r*dim:r*dim+n], keyGroup)
		}
	})
}
