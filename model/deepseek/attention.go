package deepseek

import (
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/nn"
	"github.com/temper-ml/temper/nn/attention"
)

// attends is what a block needs of an attention sublayer.
type attends interface {
	body
	// KL returns the indexer's loss of the last Forward and Backward, summed over
	// tokens; 0 without an indexer.
	KL() float64
	// Floats returns the arena memory, in 4-byte elements, that Forward keeps and
	// the most that Forward or Backward hold on top of it.
	Floats(p *nn.Pass) (saved, scratch int)
}

// attention assembles the attention sublayer of a block. Layers of one kind share
// the rotary table.
func (f *finder) attention(tables map[arch.Kind]*attention.Rotary) (attends, error) {
	kind := f.cfg.Kind(f.layer)
	if tables[kind] == nil {
		tables[kind] = attention.RotaryOf(f.cfg, f.layer)
	}
	if kind == arch.MLA {
		return f.latent(tables[kind])
	}
	s, err := attention.New(attention.ConfigOf(f.cfg, f.layer, tables[kind]))
	if err != nil {
		return nil, err
	}
	s.WQA, s.QNorm, s.WQB = f.weight(arch.WQA), f.weight(arch.QNorm), f.weight(arch.WQB)
	s.WKV, s.KVNorm, s.Sink = f.weight(arch.WKV), f.weight(arch.KVNorm), f.weight(arch.Sink)
	s.WOA, s.WOB = f.weight(arch.WOA), f.weight(arch.WOB)
	s.Compressor = attention.Compressor{
		APE: f.weight(arch.CompAPE), WKV: f.weight(arch.CompKV), WGate: f.weight(arch.CompGate), Norm: f.weight(arch.CompNorm),
	}
	s.Indexer = attention.Indexer{
		WQB: f.weight(arch.IndexQB), Proj: f.weight(arch.IndexWeights),
		Compressor: attention.Compressor{
			APE: f.weight(arch.IndexCompAPE), WKV: f.weight(arch.IndexCompKV),
			WGate: f.weight(arch.IndexCompGate), Norm: f.weight(arch.IndexCompNorm),
		},
	}
	return s, nil
}

// latent assembles V3's attention.
func (f *finder) latent(rope *attention.Rotary) (attends, error) {
	c, err := attention.MLAConfigOf(f.cfg, rope)
	if err != nil {
		return nil, err
	}
	a, err := attention.NewMLA(c)
	if err != nil {
		return nil, err
	}
	a.WQA, a.QNorm, a.WQB = f.weight(arch.WQA), f.weight(arch.QNorm), f.weight(arch.WQB)
	a.WKVA, a.KVNorm, a.WKVB, a.WO = f.weight(arch.WKVA), f.weight(arch.KVNorm), f.weight(arch.WKVB), f.weight(arch.WO)
	return a, nil
}
