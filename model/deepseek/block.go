package deepseek

import (
	"github.com/temper-ml/temper/nn"
)

// block is one transformer block: an attention and a feed-forward sublayer.
type block struct {
	layer     int
	attn, ffn residual
	attention attends // the body of attn
	moe       *nn.MoE // the body of ffn, or
	dense     *nn.FFN // this one

	x []float32 // input streams, kept by whoever runs the block
}

// forward writes the output streams. What it keeps in the arena depends on the
// recompute choice; under RecomputeFull it is nothing.
func (b *block) forward(out, x []float32, p *nn.Pass, rc Recompute) {
	b.x = x
	m := p.Arena.Mark()
	mid := p.Arena.F32(len(x))
	b.attn.forward(mid, x, p, rc == RecomputeNone)
	b.ffn.forward(out, mid, p, rc == RecomputeNone)
	if rc == RecomputeFull {
		p.Arena.Release(m)
	}
}

// backward turns the gradient d of the output streams into that of the input
// streams, in place; spare is of the same size.
func (b *block) backward(d, spare []float32, p *nn.Pass, rc Recompute) error {
	m := p.Arena.Mark()
	defer p.Arena.Release(m)
	if rc == RecomputeFull {
		mid := p.Arena.F32(len(b.x))
		b.attn.forward(mid, b.x, p, true)
		b.ffn.forward(nil, mid, p, true)
	}
	b.ffn.backward(spare, d, p)
	if err := checkGradient(spare, b.layer, &b.ffn, p); err != nil {
		return err
	}
	b.attn.backward(d, spare, p)
	return checkGradient(d, b.layer, &b.attn, p)
}
