package costmodel

import (
	"github.com/temper-ml/temper/cluster/costmodel/fabric"
	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/distributed/schedule"
)

// stage returns what one stage does once per step.
func (m *Model) stage(l Layout, shape schedule.Shape, chunks []ChunkCost) StageCost {
	var p operator.Parameters
	for i := range chunks {
		p = p.Add(chunks[i].Parameters)
	}
	var out StageCost
	m.reduce(&out, l, shape, chunks, p)
	m.update(&out, l, p)
	return out
}

// groups returns the groups that share dense and expert parameters.
func (l Layout) groups() (dense, expert mesh.Group) {
	return l.Mesh.Group(mesh.DPCP, 0), l.Mesh.Group(mesh.EDP, 0)
}

// reduce adds the reduction of gradients and the gathering of weights.
func (m *Model) reduce(out *StageCost, l Layout, shape schedule.Shape, chunks []ChunkCost, p operator.Parameters) {
	dense, expert := l.groups()
	grad, weight := m.Engine.Gradient.Bytes(), m.Engine.Weights.Bytes()
	sum := func(pattern fabric.Pattern, bytes float64) float64 {
		return m.fabric.Collective(pattern, float64(p.Dense())*bytes, dense) + m.fabric.Collective(pattern, float64(p.Expert)*bytes, expert)
	}
	var forward, backward float64
	blocks := 0
	for i := range chunks {
		forward += chunks[i].Forward.Seconds()
		b := chunks[i].Backward()
		backward += b.Seconds()
		blocks += max(1, chunks[i].Part.Blocks)
	}
	switch {
	case l.Zero == 0:
		m.hide(sum(fabric.AllReduce, grad), backward, blocks, &out.Gradients, &out.Hidden)
	case l.Zero < 3:
		m.hide(sum(fabric.ReduceScatter, grad), backward, blocks, &out.Gradients, &out.Hidden)
		m.hide(sum(fabric.AllGather, weight), forward, blocks, &out.Gather, &out.Hidden)
	default:
		passes := float64(shape.Micro)
		if shape.Stages > 1 { // weights stay gathered, gradients whole, between micro-batches
			passes = 1
		}
		gather := sum(fabric.AllGather, weight)
		m.hide(gather*passes, forward*float64(shape.Micro), blocks*int(passes), &out.Gather, &out.Hidden)
		if shape.Stages == 1 {
			m.hide(gather*passes, backward*float64(shape.Micro)/2, blocks*int(passes), &out.Gather, &out.Hidden)
		}
		m.hide(sum(fabric.ReduceScatter, grad)*passes, backward*float64(shape.Micro), blocks*int(passes), &out.Gradients, &out.Hidden)
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
func (m *Model) update(out *StageCost, l Layout, p operator.Parameters) {
	e := m.Engine
	moments := 2 * e.Moments.Bytes()
	if m.Workload.Optimizer == "muon" {
		moments = e.Moments.Bytes()
	}
	each := float64(2*(e.Master.Bytes()+moments)) + float64((1+normReads)*e.Gradient.Bytes()) + e.Weights.Bytes()
	dense, expert := 1.0, 1.0
	if l.Zero > 0 {
		dg, eg := l.groups()
		dense, expert = float64(dg.Size), float64(eg.Size)
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
