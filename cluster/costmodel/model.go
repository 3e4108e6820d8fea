package costmodel

import (
	"fmt"
	"math"
	"sync"

	"github.com/temper-ml/temper/cluster/costmodel/fabric"
	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/model/arch"
)

// Options are the choices that are not part of a layout.
type Options struct {
	Engine    *operator.Engine // the training program; nil is the cluster's usual one
	Constants *Constants       // nil is what comes with temper
	AnyMemory bool             // evaluate layouts that do not fit, too
	TimeOnly  bool             // leave memory out: Step.Memory stays empty, and nothing is refused for it
}

// Model predicts steps of one model, cluster and workload. It is safe for
// concurrent use; what it computes for one layout serves the next.
type Model struct {
	Arch      *arch.Config
	Cluster   *hardware.Cluster
	Devices   int
	Workload  Workload // with its defaults
	Engine    *operator.Engine
	Constants *Constants

	options   Options
	imbalance float64
	rates     *rates
	slowest   float64 // how much longer the slowest of all nodes takes
	fabric    *fabric.Fabric
	works     *works

	mu    sync.Mutex
	cells map[Key]*Cell
	flops map[arch.Convention]float64
}

// works caches operator lists.
type works struct {
	mu sync.Mutex
	at map[workKey]*operator.BlockWork
}

// New checks everything that does not depend on the layout.
func New(m *arch.Config, c *hardware.Cluster, devices int, w Workload, o Options) (*Model, error) {
	if m == nil || c == nil {
		return nil, fmt.Errorf("costmodel: no model or no cluster")
	}
	if devices < 1 || c.MaxDevices > 0 && devices > c.MaxDevices {
		return nil, fmt.Errorf("costmodel: devices is %d, must lie in 1..%d, which is what the description of %s covers: nearest legal value %d",
			devices, c.MaxDevices, c.Name, min(max(devices, 1), c.MaxDevices))
	}
	if err := w.Check(c); err != nil {
		return nil, err
	}
	if o.Engine == nil {
		e, err := operator.EngineNamed(UsualEngine(m, c))
		if err != nil {
			return nil, err
		}
		o.Engine = e
	}
	if o.Engine.HalfGradients && w.DType == "fp16" {
		half := *o.Engine
		half.Gradient = operator.FP16
		o.Engine = &half
	}
	out := &Model{Arch: m, Cluster: c, Devices: devices, Workload: w.filled().scaled(m), Engine: o.Engine, options: o, works: &works{at: map[workKey]*operator.BlockWork{}}}
	if o.Constants == nil {
		o.Constants = DefaultConstants()
	}
	out.resolve(o.Constants)
	return out, nil
}

// UsualEngine names the training program that the model is usually trained with
// on the cluster: the cluster's own, but for GPT on devices without fp8, which is
// the work of 2021.
func UsualEngine(m *arch.Config, c *hardware.Cluster) string {
	if _, fp8 := c.Device.PeakOf(hardware.FP8); m.Family == arch.GPT2 && c.Engine == "megatron" && !fp8 {
		return "megatron-2021"
	}
	return c.Engine
}

// With returns the same model under other constants. Operator lists are shared,
// and nothing else, which is what makes fitting cheap.
func (m *Model) With(k *Constants) *Model {
	out := &Model{Arch: m.Arch, Cluster: m.Cluster, Devices: m.Devices, Workload: m.Workload, Engine: m.Engine, options: m.options, works: m.works}
	out.resolve(k)
	if out.imbalance != m.imbalance {
		out.works = &works{at: map[workKey]*operator.BlockWork{}}
	}
	return out
}

// resolve sets everything that follows from the constants.
func (m *Model) resolve(k *Constants) {
	m.Constants = k
	m.rates = newRates(k, m.Cluster, m.Engine, m.Workload)
	m.slowest = 1 + float64(m.rates.jitter*math.Log(max(1, float64(m.Cluster.Nodes(m.Devices)))))
	m.fabric = fabric.New(m.Cluster, m.rates.fabric)
	m.cells = map[Key]*Cell{}
	m.flops = map[arch.Convention]float64{}
	m.imbalance = m.Workload.Imbalance
	if m.imbalance == 0 {
		m.imbalance = 1
		if m.Workload.Routing == "natural" {
			m.imbalance = max(1, k.Value("routing.natural", DeviceKey(m.Cluster.Device.Name)))
		}
	}
}
