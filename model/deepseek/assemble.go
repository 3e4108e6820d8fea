package deepseek

import (
	"fmt"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/nn"
	"github.com/temper-ml/temper/nn/attention"
)

// shared is what the blocks of a model have in common.
type shared struct {
	report report
	rotary map[arch.Kind]*attention.Rotary
}

// finder looks up the parameters of one block by role.
type finder struct {
	cfg   *arch.Config
	layer int
	roles map[arch.Role]*Param
	exp   map[arch.Role][]*Param // routed experts, in order
}

// finders sorts the parameters by block; index NumLayers+i is MTP block i, and
// the last one holds what is outside all blocks.
func finders(cfg *arch.Config, params []*Param) []*finder {
	all := make([]*finder, cfg.Blocks()+1)
	for i := range all {
		all[i] = &finder{cfg: cfg, layer: i, roles: map[arch.Role]*Param{}, exp: map[arch.Role][]*Param{}}
	}
	for _, p := range params {
		f := all[len(all)-1]
		if p.Layer >= 0 {
			f = all[p.Layer]
		}
		if p.Expert >= 0 {
			f.exp[p.Role] = append(f.exp[p.Role], p)
		} else {
			f.roles[p.Role] = p
		}
	}
	return all
}

// weight returns the view of a role's tensor, empty if the block has none.
func (f *finder) weight(r arch.Role) nn.Weight {
	if p := f.roles[r]; p != nil {
		return p.weight()
	}
	return nn.Weight{}
}

// data returns the values of a role's tensor, nil if the block has none.
func (f *finder) data(r arch.Role) []float32 { return f.weight(r).Data }

func (f *finder) norm(r arch.Role) nn.RMSNorm {
	return nn.RMSNorm{Weight: f.weight(r), Dim: f.cfg.HiddenSize, Eps: float32(f.cfg.RMSNormEps)}
}

// linear returns the layer of a role's matrix, whose Data is nil if the block
// has none.
func (f *finder) linear(r arch.Role) nn.Linear {
	p := f.roles[r]
	if p == nil {
		return nn.Linear{}
	}
	return nn.Linear{Weight: p.weight(), In: p.Cols(), Out: p.Rows()}
}

// mix returns the hyper-connection of a sublayer, nil for a single stream.
func (f *finder) mix(fn, base, scale arch.Role) *nn.HyperConnection {
	if f.cfg.Family != arch.V4 {
		return nil
	}
	return &nn.HyperConnection{
		Fn: f.weight(fn), Base: f.weight(base), Scale: f.weight(scale), Dim: f.cfg.HiddenSize,
		Iters: f.cfg.HCSinkhornIters, Eps: float32(f.cfg.HCEps), NormEps: float32(f.cfg.RMSNormEps),
	}
}

func (f *finder) output() output {
	o := output{norm: f.norm(arch.Norm), layer: f.layer}
	if f.layer == f.cfg.Blocks() {
		o.layer = -1 // the trunk's
	}
	if f.cfg.Family == arch.V4 {
		o.collapse = &nn.Collapse{
			Fn: f.weight(arch.HeadFn), Base: f.weight(arch.HeadBase), Scale: f.weight(arch.HeadScale),
			Dim: f.cfg.HiddenSize, Eps: float32(f.cfg.HCEps), NormEps: float32(f.cfg.RMSNormEps),
		}
	}
	return o
}

// block assembles one transformer block.
func (f *finder) block(s *shared) (block, error) {
	b := block{
		layer: f.layer,
		attn:  residual{name: "attention", layer: f.layer, mix: f.mix(arch.AttnFn, arch.AttnBase, arch.AttnScale), norm: f.norm(arch.AttnNorm)},
		ffn:   residual{name: "feed-forward", layer: f.layer, mix: f.mix(arch.FFNFn, arch.FFNBase, arch.FFNScale), norm: f.norm(arch.FFNNorm)},
	}
	attn, err := f.attention(s.rotary)
	if err != nil {
		return b, fmt.Errorf("deepseek: layer %d: %w", f.layer, err)
	}
	b.attention, b.attn.body = attn, attn
	if !f.cfg.IsMoE(f.layer) {
		b.dense = &nn.FFN{
			Expert: nn.Expert{W1: f.weight(arch.DenseW1), W2: f.weight(arch.DenseW2), W3: f.weight(arch.DenseW3)},
			Dim:    f.cfg.HiddenSize, Hidden: f.cfg.IntermediateSize, Limit: float32(f.cfg.SwiGLULimit),
		}
		b.ffn.body = b.dense
		return b, nil
	}
	b.moe, err = f.experts()
	b.ffn.body = experts{MoE: b.moe, report: &s.report, layer: f.layer}
	return b, err
}

func (f *finder) experts() (*nn.MoE, error) {
	c := f.cfg
	score, err := nn.ParseScore(c.ScoringFunc)
	if err != nil {
		return nil, fmt.Errorf("deepseek: layer %d: %w", f.layer, err)
	}
	m := &nn.MoE{
		Router: nn.Router{
			Gate: f.weight(arch.Gate), Bias: f.data(arch.GateBias), Table: f.data(arch.GateHash),
			Dim: c.HiddenSize, Experts: c.Experts, TopK: c.TopK,
			Groups: max(1, c.ExpertGroups), TopGroups: max(1, c.TopKGroups),
			Score: score, Factor: float32(c.RoutedScale),
		},
		Dispatch: nn.LocalDispatcher{}, Dim: c.HiddenSize, Hidden: c.MoEIntermediate,
		SharedHidden: c.SharedIntermediate(), Limit: float32(c.SwiGLULimit),
	}
	for e := range c.Experts {
		m.Experts = append(m.Experts, nn.Expert{
			W1: f.exp[arch.ExpertW1][e].weight(), W2: f.exp[arch.ExpertW2][e].weight(), W3: f.exp[arch.ExpertW3][e].weight(),
		})
	}
	if c.SharedExperts > 0 {
		m.Shared = &nn.Expert{W1: f.weight(arch.SharedW1), W2: f.weight(arch.SharedW2), W3: f.weight(arch.SharedW3)}
	}
	return m, nil
}

// mtp assembles a multi-token-prediction block.
func (f *finder) mtp(streams int, s *shared) (mtp, error) {
	b, err := f.block(s)
	return mtp{
		enorm: f.norm(arch.ENorm), hnorm: f.norm(arch.HNorm),
		eproj: f.linear(arch.EProj), hproj: f.linear(arch.HProj), ehproj: f.linear(arch.EHProj),
		block: b, out: f.output(), streams: streams, dim: f.cfg.HiddenSize,
	}, err
}

// attends is what a block needs of an attention sublayer.
type attends interface {
	body
	// KL returns the indexer's loss of the last Forward and Backward, summed over
	// tokens; 0 without an indexer.
	KL() float64
	// Floats returns the arena memory, in 4-byte elements, that Forward keeps and
	// the most that Forward or Backward hold on top of it.
	Floats(p *nn.Pass) (saved, scratch int)

	// Continue, NewPast, PastSize and PastFloats serve sequences that continue: see
	// [attention.Past].
	Continue(pasts []*attention.Past)
	NewPast(pool *attention.Pool, r attention.Reach, state []float32) (*attention.Past, []float32)
	PastSize(r attention.Reach) attention.Size
	PastFloats(segs []nn.Segment, from []int, pool *attention.Pool, r attention.Reach) int
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
