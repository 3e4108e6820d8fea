package costmodel

import (
	"github.com/temper-ml/temper/cluster/costmodel/fabric"
	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/distributed/schedule"
)

// StageWork is what the costs that a stage has once per step follow from.
type StageWork struct {
	Parameters        operator.Parameters
	Forward, Backward float64 // seconds of one micro-batch through all its chunks
	Blocks            int     // at least 1 for each chunk
}

// Sync is how long the messages of a stage's parameters take, if nothing hides
// them.
type Sync struct {
	AllReduce, ReduceScatter float64 // of gradients
	AllGather                float64 // of weights
}

// stage returns what one stage does once per step.
func (m *Model) stage(l Layout, shape schedule.Shape, chunks []ChunkCost) StageCost {
	var w StageWork
	for i := range chunks {
		w.Parameters = w.Parameters.Add(chunks[i].Parameters)
		w.Forward += chunks[i].Forward.Seconds()
		b := chunks[i].Backward()
		w.Backward += b.Seconds()
		w.Blocks += max(1, chunks[i].Part.Blocks)
	}
	return m.Once(&l, shape, &w, m.Sync(l.Mesh, w.Parameters))
}

// Sync times the messages of the parameters that one rank of the mesh holds.
func (m *Model) Sync(ms mesh.Mesh, p operator.Parameters) Sync {
	dense, expert := ms.Group(mesh.DPCP, 0), ms.Group(mesh.EDP, 0)
	sum := func(pattern fabric.Pattern, bytes float64) float64 {
		return m.fabric.Collective(pattern, float64(p.Dense())*bytes, dense) + m.fabric.Collective(pattern, float64(p.Expert)*bytes, expert)
	}
	grad, weight := m.Engine.Gradient.Bytes(), m.Engine.Weights.Bytes()
	return Sync{sum(fabric.AllReduce, grad), sum(fabric.ReduceScatter, grad), sum(fabric.AllGather, weight)}
}

// Once returns what a stage does once per step.
func (m *Model) Once(l *Layout, shape schedule.Shape, w *StageWork, y Sync) StageCost {
	var out StageCost
	m.reduce(&out, l.Zero, shape, w, y)
	m.update(&out, l, w.Parameters)
	return out
}

// reduce adds the reduction of gradients and the gathering of weights.
func (m *Model) reduce(out *StageCost, zero int, shape schedule.Shape, w *StageWork, y Sync) {
	switch {
	case zero == 0:
		m.hide(y.AllReduce, w.Backward, w.Blocks, &out.Gradients, &out.Hidden)
	case zero < 3:
		m.hide(y.ReduceScatter, w.Backward, w.Blocks, &out.Gradients, &out.Hidden)
		m.hide(y.AllGather, w.Forward, w.Blocks, &out.Gather, &out.Hidden)
	default:
		passes := float64(shape.Micro)
		if shape.Stages > 1 { // weights stay gathered, gradients whole, between micro-batches
			passes = 1
		}
		blocks, micro := w.Blocks*int(passes), float64(shape.Micro)
		if shape.Kind == schedule.DualPipe { // each of its two copies works on half of them
			micro /= 2
		}
		m.hide(y.AllGather*passes, w.Forward*micro, blocks, &out.Gather, &out.Hidden)
		if shape.Stages == 1 {
			m.hide(y.AllGather*passes, w.Backward*micro/2, blocks, &out.Gather, &out.Hidden)
		}
		m.hide(y.ReduceScatter*passes, w.Backward*micro, blocks, &out.Gradients, &out.Hidden)
	}
}

// hide splits a message of the given length, sent in pieces beside compute, into
// what is exposed and what is hidden. The first piece has nothing to hide behind.
func (m *Model) hide(seconds, compute float64, pieces int, exposed, hidden *float64) {
	if !m.Engine.OverlapDP {
		*exposed += seconds
		return
	}
	beside := min(seconds*(1-1/float64(max(1, pieces))), m.rates.dp*compute)
	*hidden += beside
	*exposed += seconds - beside + float64(beside*m.rates.slow)
}

// Bytes that the optimizer reads and writes per parameter: AdamW reads master
// weight, two moments and gradient, writes the first three and the weight that
// products read, and the gradient's norm has been read before.
const normReads = 1

// update adds the optimizer's own time.
func (m *Model) update(out *StageCost, l *Layout, p operator.Parameters) {
	e := m.Engine
	moments := 2 * e.Moments.Bytes()
	if m.Workload.Optimizer == "muon" {
		moments = e.Moments.Bytes()
	}
	each := float64(2*(e.Master.Bytes()+moments)) + float64((1+normReads)*e.Gradient.Bytes()) + e.Weights.Bytes()
	dense, expert := 1.0, 1.0
	if l.Zero > 0 {
		dense, expert = float64(l.Mesh.CP*l.Mesh.DP), float64(l.Mesh.EDP())
	}
	mine := float64(p.Dense())/dense + float64(p.Expert)/expert
	out.Optimizer = mine * each / m.rates.memory
	if m.Workload.Optimizer == "muon" {
		out.Optimizer += m.orthogonalise(p, dense, expert)
	}
	if l.Offload == "optimizer" && m.Cluster.Device.HostLink > 0 {
		out.Offload = 2 * mine * (e.Master.Bytes() + moments) / m.Cluster.Device.HostLink
	}
}

// newtonSchulz is the number of iterations Muon takes.
const newtonSchulz = 5

// orthogonalise returns the time of Muon's Newton-Schulz iterations: three
// products each, two of r x r by r x c and one of r x r by r x r.
func (m *Model) orthogonalise(p operator.Parameters, dense, expert float64) float64 {
	wide := float64(m.Arch.HiddenSize)
	narrow := wide
	if m.Arch.MoEIntermediate > 0 {
		narrow = min(wide, float64(m.Arch.MoEIntermediate))
	}
	flops := func(values int64, r, c float64) float64 { return newtonSchulz * 2 * float64(values) * r * (2 + r/c) }
	sum := flops(p.Muon, wide/2, wide)/dense + flops(p.MuonExpert, narrow, wide)/expert
	return sum / m.rates.product[operator.BF16]
}
