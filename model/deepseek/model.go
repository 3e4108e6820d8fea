package deepseek

import (
	"fmt"

	"github.com/temper-ml/temper/internal/hugepages"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/nn"
	"github.com/temper-ml/temper/nn/attention"
)

// Model is a DeepSeek model with its parameters and working memory. Its methods
// must not be called concurrently.
type Model struct {
	cfg           *arch.Config
	params        []*Param
	byName        map[string]*Param
	trainable     bool
	tablesChecked bool

	streams int
	embed   nn.Weight
	blocks  []block
	out     output
	head    nn.Head
	mtp     []mtp

	arena *nn.Arena
	shared
	current nn.Pass
	base    level
	trail   trail
	given   [][]nn.Choices // of the current batch, by block
	dys     [][]float32
}

// New allocates a model whose parameters are zero and can be trained: see
// [Model.Init].
func New(cfg *arch.Config) (*Model, error) { return build(cfg, true) }

// NewFrozen allocates a model without gradients, for evaluation, reference
// policies and teachers.
func NewFrozen(cfg *arch.Config) (*Model, error) { return build(cfg, false) }

func build(cfg *arch.Config, gradients bool) (*Model, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("deepseek: %w", err)
	}
	if err := cfg.CheckTrainable(); err != nil {
		return nil, fmt.Errorf("deepseek: %w", err)
	}
	m := &Model{
		cfg: cfg, trainable: gradients, streams: 1, params: allocate(cfg, gradients),
		arena: nn.NewArena(), byName: map[string]*Param{},
	}
	if cfg.Family == arch.V4 {
		if cfg.HCMult != nn.Streams {
			return nil, fmt.Errorf("deepseek: hc_mult is %d, only %d residual streams are supported", cfg.HCMult, nn.Streams)
		}
		m.streams = nn.Streams
	}
	for _, p := range m.params {
		m.byName[p.Name] = p
	}
	return m, m.assemble()
}

// assemble builds the layers on top of the parameters.
func (m *Model) assemble() error {
	all := finders(m.cfg, m.params)
	m.rotary = map[arch.Kind]*attention.Rotary{}
	m.report.counts = make([][]int64, m.cfg.Blocks())
	for l := range m.report.counts {
		if m.cfg.IsMoE(l) {
			m.report.counts[l] = make([]int64, m.cfg.Experts)
		}
	}
	for l := range m.cfg.NumLayers {
		b, err := all[l].block(&m.shared)
		if err != nil {
			return err
		}
		m.blocks = append(m.blocks, b)
	}
	for i := range m.cfg.NumMTP {
		b, err := all[m.cfg.NumLayers+i].mtp(m.streams, &m.shared)
		if err != nil {
			return err
		}
		b.last = i == m.cfg.NumMTP-1
		m.mtp = append(m.mtp, b)
	}
	trunk := all[len(all)-1]
	m.embed = trunk.weight(arch.Embed)
	m.out = trunk.output()
	m.head.Linear = trunk.linear(arch.Head)
	return nil
}

// checkTables tells whether hash tables name experts that exist. It looks once,
// when a loaded model is first used.
func (m *Model) checkTables() error {
	if m.tablesChecked {
		return nil
	}
	for _, p := range m.params {
		if p.Role != arch.GateHash {
			continue
		}
		for i, v := range p.Data {
			if e := int(v); float32(e) != v || e < 0 || e >= m.cfg.Experts {
				return fmt.Errorf("deepseek: %s sends token %d to expert %v, want a whole number from 0 to %d", p.Name, i/p.Cols(), v, m.cfg.Experts-1)
			}
		}
	}
	m.tablesChecked = true
	return nil
}

// Config returns the architecture.
func (m *Model) Config() *arch.Config { return m.cfg }

// Params returns the parameters in the architecture's order.
func (m *Model) Params() []*Param { return m.params }

// Param returns the parameter of that name, nil if there is none.
func (m *Model) Param(name string) *Param { return m.byName[name] }

// Trainable reports whether the model has gradients.
func (m *Model) Trainable() bool { return m.trainable }

// ZeroGrad clears every gradient.
func (m *Model) ZeroGrad() {
	for _, p := range m.params {
		clear(p.Grad)
	}
}

// Peak returns the most bytes of activations and scratch that the model has held
// at once, and Held what it keeps for the next step.
func (m *Model) Peak() (peak, held int64) { return m.arena.Peak(), m.arena.Held() }

// Param is one parameter tensor: its row in the architecture's table, its
// values, and its gradient accumulator. Values are row-major float32, also for
// the expert table tid2eid, whose entries are small integers. Grad is nil for
// frozen tensors and for a model made without gradients.
type Param struct {
	arch.Tensor
	Data, Grad []float32
}

func (p *Param) weight() nn.Weight { return nn.Weight{Data: p.Data, Grad: p.Grad} }

// allocate makes the parameters of a configuration in two slabs, values and
// gradients, in the architecture's order.
func allocate(cfg *arch.Config, gradients bool) []*Param {
	tensors := cfg.Tensors()
	values, trained := 0, 0
	for i := range tensors {
		values += align(tensors[i].Len())
		if !tensors[i].Frozen {
			trained += align(tensors[i].Len())
		}
	}
	data := make([]float32, values)
	hugepages.Advise(data)
	var grad []float32
	if gradients {
		grad = make([]float32, trained)
		hugepages.Advise(grad)
	}
	params := make([]*Param, len(tensors))
	for i, t := range tensors {
		p := &Param{Tensor: t}
		p.Data, data = cut(data, t.Len())
		if gradients && !t.Frozen {
			p.Grad, grad = cut(grad, t.Len())
		}
		params[i] = p
	}
	return params
}

// cut splits n aligned elements off the front of a slab.
func cut(slab []float32, n int) (piece, rest []float32) {
	return slab[:n:n], slab[align(n):]
}

// align rounds up to 64 bytes, so that every tensor starts on a cache line of its own.
func align(n int) int { return (n + 15) &^ 15 }
