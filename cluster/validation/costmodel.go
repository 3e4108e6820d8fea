package validation

import (
	"fmt"
	"math"
	"strings"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/cluster/validation/fit"
	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/distributed/schedule"
	"github.com/temper-ml/temper/model/arch"
)

// CostModel predicts with package costmodel. Its parameters are the logarithms
// of the constants that have a prior.
type CostModel struct {
	constants *costmodel.Constants
	fitted    []costmodel.Constant
	prior     func(costmodel.Constant) (center, sd float64)
}

// NewCostModel returns the predictor whose constants start from their priors.
func NewCostModel(k *costmodel.Constants) *CostModel {
	return newCostModel(k, func(c costmodel.Constant) (float64, float64) { return c.Prior, c.SD })
}

// newCostModel returns a predictor with priors of the caller's choice.
func newCostModel(k *costmodel.Constants, prior func(costmodel.Constant) (center, sd float64)) *CostModel {
	m := &CostModel{constants: k, prior: prior}
	for _, c := range k.All() {
		if c.SD > 0 {
			m.fitted = append(m.fitted, c)
		}
	}
	return m
}

// Parameters implements [Predictor].
func (m *CostModel) Parameters() []fit.Parameter {
	ps := make([]fit.Parameter, 0, len(m.fitted))
	for _, c := range m.fitted {
		center, sd := m.prior(c)
		ps = append(ps, fit.Parameter{Name: c.Name, Prior: math.Log(center), Sigma: sd})
	}
	return ps
}

// Affects implements [Predictor]: a constant of one device says nothing of others.
func (m *CostModel) Affects(parameter int, c *Case) bool {
	device := m.fitted[parameter].Device()
	if device == "" {
		return true
	}
	cl, err := c.Cluster()
	return err == nil && costmodel.DeviceKey(cl.Device.Name) == device
}

// Values are the constants' values at theta, by name.
func (m *CostModel) Values(theta []float64) map[string]float64 {
	values := make(map[string]float64, len(theta))
	for i, x := range theta {
		values[m.fitted[i].Name] = math.Exp(x)
	}
	return values
}

// modelled is a prepared case.
type modelled struct {
	from  *CostModel
	model *costmodel.Model
	plan  costmodel.Layout
	step  *costmodel.Step // under the starting constants
	moe   bool
}

// Prepare implements [Predictor].
func (m *CostModel) Prepare(c *Case) (Prepared, error) {
	config, err := c.Config()
	if err != nil {
		return nil, err
	}
	cluster, err := c.Cluster()
	if err != nil {
		return nil, err
	}
	engine, err := c.engine(cluster.Engine)
	if err != nil {
		return nil, err
	}
	if c.Seconds == 0 {
		c.Seconds = c.counted(config) / (c.TeraFLOPs * 1e12 * float64(c.Devices))
	}
	model, err := costmodel.New(config, cluster, c.Devices, c.Workload(), costmodel.Options{Engine: engine, Constants: m.constants, AnyMemory: true})
	if err != nil {
		return nil, err
	}
	step, err := model.Evaluate(c.Layout())
	if err != nil {
		return nil, err
	}
	timed, err := costmodel.New(config, cluster, c.Devices, c.Workload(), costmodel.Options{Engine: engine, Constants: m.constants, TimeOnly: true})
	if err != nil {
		return nil, err
	}
	return &modelled{from: m, model: timed, plan: c.Layout(), step: step, moe: config.Experts > 0}, nil
}

// Seconds implements [Prepared].
func (p *modelled) Seconds(theta []float64) (float64, error) {
	k, err := p.from.constants.With(p.from.Values(theta))
	if err != nil {
		return 0, err
	}
	step, err := p.model.With(k).Evaluate(p.plan)
	if err != nil {
		return 0, err
	}
	return step.Seconds, nil
}

// Memory implements [Prepared].
func (p *modelled) Memory(kind MemoryKind) float64 {
	most := int64(0)
	for _, r := range p.step.Memory {
		if kind == Allocated {
			most = max(most, r.Allocated)
		} else {
			most = max(most, r.Reserved)
		}
	}
	return float64(most)
}

// MoE implements [Prepared].
func (p *modelled) MoE() bool { return p.moe }

// Config returns the case's model, cut down if it was.
func (c *Case) Config() (*arch.Config, error) {
	if c.Arch != nil {
		return c.Arch, nil
	}
	m, err := arch.Builtin(c.Model)
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if c.KVHeads > 0 {
		m.NumKVHeads = c.KVHeads
	}
	if c.Layers == 0 {
		return m, nil
	}
	m.NumMTP = 0
	if m.Experts > 0 {
		m.DenseLayers = min(m.DenseLayers, 1)
	}
	if m, err = m.WithLayers(c.Layers); err != nil {
		return nil, fmt.Errorf("layers: %w", err)
	}
	return m, nil
}

// engine returns the case's engine; usual is the machine's.
func (c *Case) engine(usual string) (*operator.Engine, error) {
	name := c.Engine
	if strings.TrimSuffix(name, "-eager") == "" {
		name = usual + name
	}
	e, err := operator.EngineNamed(name)
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	e.AsyncTP = e.AsyncTP || c.AsyncTP
	return e, nil
}

// Workload is the case's workload as the cost model takes it.
func (c *Case) Workload() costmodel.Workload {
	return costmodel.Workload{Seq: c.Seq, GlobalBatch: c.GlobalBatch, DType: c.DType, Scaling: c.Scaling, Routing: c.Routing, Optimizer: c.Optimizer}
}

// Layout is the case's layout as the cost model takes it.
func (c *Case) Layout() costmodel.Layout {
	return costmodel.Layout{
		Mesh:   mesh.Mesh{TP: c.TP, CP: c.CP, DP: c.DP, PP: c.PP, EP: c.EP, ETP: c.ETP},
		Chunks: c.Chunks, MicroBatch: c.MicroBatch, Schedule: schedule.Kind(c.Schedule), Recompute: c.Recompute, Zero: c.Zero, Offload: c.Offload,
	}
}

// counted is the number of operations of a step as the source of a TFLOP/s
// figure counts them, by the formula of Megatron-LM of 2021: for l layers of
// width h, 96 s l h^2 (1 + s/6h) for each sequence of s tokens with the forward
// pass done twice, and 6 s V h for the logits.
func (c *Case) counted(m *arch.Config) float64 {
	s, l, h, v := float64(c.Seq), float64(m.NumLayers), float64(m.HiddenSize), float64(m.VocabSize)
	blocks := 96 * s * l * h * h * (1 + s/(6*h))
	if c.Recompute != "full" {
		blocks *= 3.0 / 4
	}
	return float64(c.GlobalBatch) * (blocks + float64(6*s*v*h))
}
