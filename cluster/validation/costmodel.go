package validation

import (
	"math"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/validation/fit"
	"github.com/temper-ml/temper/cluster/validation/measured"
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
func (m *CostModel) Affects(parameter int, c *measured.Case) bool {
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
func (m *CostModel) Prepare(c *measured.Case) (Prepared, error) {
	config, err := c.Config()
	if err != nil {
		return nil, err
	}
	cluster, err := c.Cluster()
	if err != nil {
		return nil, err
	}
	engine, err := c.Program(costmodel.UsualEngine(config, cluster))
	if err != nil {
		return nil, err
	}
	if c.Seconds == 0 {
		c.Seconds = c.Counted(config) / (c.TeraFLOPs * 1e12 * float64(c.Devices))
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
func (p *modelled) Memory(kind measured.MemoryKind) float64 {
	most := int64(0)
	for _, r := range p.step.Memory {
		if kind == measured.Allocated {
			most = max(most, r.Allocated)
		} else {
			most = max(most, r.Reserved)
		}
	}
	return float64(most)
}

// MoE implements [Prepared].
func (p *modelled) MoE() bool { return p.moe }
