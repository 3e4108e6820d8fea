package deepseek

import (
	"fmt"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/nn"
)

// Model is a DeepSeek model with its parameters and working memory. Its methods
// must not be called concurrently.
type Model struct {
	cfg    *arch.Config
	params []*Param
	byName map[string]*Param
	arena  *nn.Arena
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
	m := &Model{cfg: cfg, params: allocate(cfg, gradients), arena: nn.NewArena(), byName: map[string]*Param{}}
	for _, p := range m.params {
		m.byName[p.Name] = p
	}
	return m, nil
}

// Config returns the architecture.
func (m *Model) Config() *arch.Config { return m.cfg }

// Params returns the parameters in the architecture's order.
func (m *Model) Params() []*Param { return m.params }

// Param returns the parameter of that name, nil if there is none.
func (m *Model) Param(name string) *Param { return m.byName[name] }
