package rollout

import (
	"fmt"

	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/model/arch"
)

// Spec is what generates.
type Spec struct {
	Model   *arch.Config
	Cluster *hardware.Cluster
	Replica int    // devices of one replica
	DType   string // of the weights: bf16, fp8 or int8, fp4; "" is bf16
	// CacheBytes is the size of one cached value, 2 when 0.
	CacheBytes float64
	// MemoryShare is the share of device memory for weights and cache, 0.85 when 0.
	MemoryShare float64
	// Share is what serving engines reach of the roofline: [ServingShare] when 0.
	Share float64
	// Imbalance is the busiest device's expert work over the mean; 1 when 0.
	Imbalance float64
}

// Engine answers for one Spec.
type Engine struct {
	Spec
	counts
	weight    float64 // bytes per parameter
	flops     float64 // FLOP/s of the replica
	bandwidth float64 // bytes/s of the replica's memory
	link      float64 // bytes/s of one device into the replica
	latency   float64 // of one message
	launch    float64 // gap between kernels of a graph
	capacity  float64 // bytes for weights and cache, of the replica
}

// ServingShare is the share of the roofline that a serving engine reaches:
// scheduling, sampling, small products and imbalance take the rest. It comes
// from one published figure, DeepSeek-R1 on CloudMatrix384 (arXiv 2506.12708):
// 1,943 tokens/s for each card of two dies with 96 sequences on it, 49 ms a
// step, where the roofline says 23 ms; and the same paper's prefill, 6,688
// tokens/s for each card, is 0.5 of the roofline.
const ServingShare = 0.47

// Kernels of one layer, and the gap between two of them when the whole step is
// one captured graph: assumptions, the same for every device.
const (
	kernelsPerLayer = 12
	graphGap        = 1.5e-6
)

// bytesOf are the formats that weights may have.
var bytesOf = map[string]float64{"bf16": 2, "fp16": 2, "fp8": 1, "int8": 1, "fp4": 0.5}

// BytesOf is how many bytes a weight takes in a format, 0 if it is not known.
func BytesOf(dtype string) float64 { return bytesOf[dtype] }

// New checks the spec.
func New(s Spec) (*Engine, error) {
	if s.Model == nil || s.Cluster == nil {
		return nil, fmt.Errorf("rollout: no model or no cluster")
	}
	if s.DType == "" {
		s.DType = "bf16"
	}
	for _, d := range []struct {
		v  *float64
		to float64
	}{{&s.CacheBytes, 2}, {&s.MemoryShare, 0.85}, {&s.Imbalance, 1}, {&s.Share, ServingShare}} {
		if *d.v == 0 {
			*d.v = d.to
		}
	}
	weight, ok := bytesOf[s.DType]
	switch {
	case !ok:
		return nil, fmt.Errorf("rollout: dtype is %q, want bf16, fp16, fp8, int8 or fp4", s.DType)
	case s.Replica < 1 || s.Cluster.MaxDevices > 0 && s.Replica > s.Cluster.MaxDevices:
		return nil, fmt.Errorf("rollout: replica is %d devices, must lie in 1..%d: nearest legal value %d", s.Replica, s.Cluster.MaxDevices, min(max(s.Replica, 1), s.Cluster.MaxDevices))
	case !(s.MemoryShare > 0 && s.MemoryShare <= 1):
		return nil, fmt.Errorf("rollout: memory share is %v, must lie in (0, 1]", s.MemoryShare)
	case !(s.CacheBytes > 0 && s.CacheBytes <= 8):
		return nil, fmt.Errorf("rollout: cache bytes is %v, must lie in (0, 8]", s.CacheBytes)
	case !(s.Share > 0 && s.Share <= 1):
		return nil, fmt.Errorf("rollout: share is %v, must lie in (0, 1]", s.Share)
	case !(s.Imbalance >= 1 && s.Imbalance <= 1000):
		return nil, fmt.Errorf("rollout: imbalance is %v, must lie in [1, 1000]", s.Imbalance)
	}
	e := &Engine{Spec: s, counts: count(s.Model), weight: weight}
	e.rates()
	if need := e.total * weight; need >= e.capacity {
		return nil, fmt.Errorf("rollout: replica is %d devices, which hold %.4g GB of weights and cache, but the weights in %s are %.4g GB: nearest legal value %d",
			s.Replica, e.capacity/1e9, s.DType, need/1e9, e.least())
	}
	return e, nil
}

// rates resolves the hardware.
func (e *Engine) rates() {
	d, n := &e.Cluster.Device, float64(e.Replica)
	peak, ok := d.PeakOf(hardware.DType(e.DType))
	if !ok || e.weight < 1 { // 4-bit weights are widened before they are multiplied
		peak, ok = d.PeakOf(hardware.FP8)
	}
	if !ok || e.weight > 1 {
		peak, _ = d.PeakOf(d.Usual())
	}
	e.flops = n * peak * fallback(d.Efficiency.Product, 0.7)
	e.bandwidth = n * d.Bandwidth * fallback(d.Efficiency.Memory, 0.7)
	e.capacity = n * float64(d.Memory) * e.MemoryShare
	e.launch = graphGap
	if e.Replica > 1 {
		at := e.Cluster.Domains[e.Cluster.DomainOf(0, 1, e.Replica)]
		e.link = at.Bandwidth * fallback(at.Efficiency, 0.7)
		e.latency = at.Latency + d.Launch.Collective
	}
}

func fallback(x, otherwise float64) float64 {
	if x > 0 {
		return x
	}
	return otherwise
}

// least is the smallest power of two of devices that hold the weights and a
// little more.
func (e *Engine) least() int {
	n := 1
	for float64(n)*float64(e.Cluster.Device.Memory)*e.MemoryShare <= 1.1*e.total*e.weight && n < 1<<24 {
		n *= 2
	}
	return n
}

// Step is one decode step of a replica, in seconds.
type Step struct {
	Weights, Cache, Compute, Exchange, Launch float64
	Overhead                                  float64 // what engines do not reach of the roofline
}

// Roofline is how long it takes at best: memory and compute side by side, the
// rest not.
func (s Step) Roofline() float64 { return max(s.Weights+s.Cache, s.Compute) + s.Exchange + s.Launch }

// Seconds is how long it takes.
func (s Step) Seconds() float64 { return s.Roofline() + s.Overhead }

// BoundBy names what takes longest.
func (s Step) BoundBy() string {
	name, most := "memory bandwidth: weights", s.Weights
	for _, x := range []struct {
		name string
		v    float64
	}{{"memory bandwidth: cache", s.Cache}, {"compute", s.Compute}, {"links", s.Exchange}, {"launch", s.Launch}} {
		if x.v > most {
			name, most = x.name, x.v
		}
	}
	return name
}

// Step returns a decode step of batch sequences that are context tokens long.
func (e *Engine) Step(batch, context float64) Step {
	c := cacheAt(e.Model, context)
	out := Step{
		Weights: float64(e.needed(batch)*e.weight) / e.bandwidth,
		Cache:   batch * c.read * e.CacheBytes / e.bandwidth,
		Compute: batch * (float64(2*e.dense) + float64(2*e.topK*e.expert*e.Imbalance) + c.flops) / e.flops,
		Launch:  e.layers * kernelsPerLayer * e.launch,
	}
	if e.Replica > 1 {
		copies := 1.0
		if e.moe > 0 {
			copies = e.topK
		}
		each := batch / float64(e.Replica) * e.hidden * copies * 2
		out.Exchange = e.layers * 2 * (e.latency + each/e.link)
	}
	out.Overhead = out.Roofline() * (1/e.Share - 1)
	return out
}

// Prefill returns the seconds in which a replica reads prompts of seq tokens
// each, tokens in all: bound by compute, of which engines reach Share here too.
func (e *Engine) Prefill(tokens, seq float64) float64 {
	attention := prefillFLOPs(e.Model, seq/2) // on average a token sees half the prompt
	return tokens * (float64(2*e.dense) + float64(2*e.topK*e.expert*e.Imbalance) + attention) / e.flops / e.Share
}

// FLOPs returns the operations of a token at a place of its sequence.
func (e *Engine) FLOPs(context float64) float64 {
	c := cacheAt(e.Model, context)
	return float64(2*e.dense) + float64(2*e.topK*e.expert) + c.flops
}

// Slots is how many sequences of context tokens a replica can hold at once.
func (e *Engine) Slots(context float64) int {
	c := cacheAt(e.Model, context)
	return int((e.capacity - float64(e.total*e.weight)) / (c.kept * e.CacheBytes))
}
