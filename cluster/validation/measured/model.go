package measured

import (
	"fmt"
	"strings"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/distributed/schedule"
	"github.com/temper-ml/temper/model/arch"
)

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

// Program returns the case's engine; usual is the machine's.
func (c *Case) Program(usual string) (*operator.Engine, error) {
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

// Counted is the number of operations of a step as the source of a TFLOP/s
// figure counts them, by the formula of Megatron-LM of 2021: for l layers of
// width h, 96 s l h^2 (1 + s/6h) for each sequence of s tokens with the forward
// pass done twice, and 6 s V h for the logits.
func (c *Case) Counted(m *arch.Config) float64 {
	s, l, h, v := float64(c.Seq), float64(m.NumLayers), float64(m.HiddenSize), float64(m.VocabSize)
	blocks := 96 * s * l * h * h * (1 + s/(6*h))
	if c.Recompute != "full" {
		blocks *= 3.0 / 4
	}
	return float64(c.GlobalBatch) * (blocks + float64(6*s*v*h))
}
