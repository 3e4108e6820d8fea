package costmodel

import (
	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/distributed/schedule"
)

// ChunkCost is one virtual stage: what it holds and what one micro-batch costs.
type ChunkCost struct {
	Stage, Chunk int
	Part         schedule.Part
	PassCost
	Kept       int64 // activation bytes that one micro-batch in flight keeps
	Boundary   int64 // bytes of activations that one rank sends to the next chunk
	Parameters operator.Parameters
}

// chunks lists what every chunk of every stage costs, index stage*chunks+chunk.
func (m *Model) chunks(c *Cell, s schedule.Shape, split schedule.Split) []ChunkCost {
	out := make([]ChunkCost, s.Stages*s.Chunks)
	for stage := range s.Stages {
		for chunk := range s.Chunks {
			cc := &out[stage*s.Chunks+chunk]
			cc.Stage, cc.Chunk = stage, chunk
			cc.Part = split.Parts[s.Position(stage, chunk)]
			m.fill(cc, c)
		}
	}
	return out
}

// fill adds up the parts that a chunk holds.
func (m *Model) fill(cc *ChunkCost, c *Cell) {
	add := func(p *PartCost, times float64) {
		cc.PassCost = cc.PassCost.Add(p.Times(times))
		cc.Kept += int64(times) * p.Kept
		cc.Boundary = max(cc.Boundary, p.Work.Sent)
		for range int(times) {
			cc.Parameters = cc.Parameters.Add(p.Work.Parameters)
		}
	}
	if cc.Part.Embedding {
		add(&c.Parts[c.Embedding], 1)
	}
	last := cc.Part.First + cc.Part.Blocks
	for b := cc.Part.First; b < last; {
		n := 1
		for b+n < last && c.Class[b+n] == c.Class[b] {
			n++
		}
		add(c.Block(b), float64(n))
		b += n
	}
	for d := range cc.Part.MTP {
		add(c.Block(m.Arch.NumLayers+d), 1)
	}
	if cc.Part.Head {
		add(&c.Parts[c.Head], 1)
	}
}

// even cuts the blocks into parts of equal number; where they do not divide,
// into those whose slowest is fastest, as the layouts do that engines are given.
func (m *Model) even(c *Cell, positions int) schedule.Split {
	before := make([]float64, m.Arch.NumLayers+1)
	first, last := c.Before(before)
	counts := make([]int, positions)
	Cut(before, first, last, counts)
	split := schedule.Split{Parts: make([]schedule.Part, positions)}
	at := 0
	for i, blocks := range counts {
		split.Parts[i] = schedule.Part{First: at, Blocks: blocks, Embedding: i == 0}
		at += blocks
	}
	split.Parts[positions-1].Head = true
	split.Parts[positions-1].MTP = m.Arch.NumMTP
	return split
}

// durations turns chunk costs into what the schedule needs.
func (m *Model) durations(cs []ChunkCost, s schedule.Shape, mesh Layout) *schedule.Durations {
	d := schedule.NewDurations(s)
	if s.Chunks != 2 || !s.Kind.SplitsBackward() || s.Kind == schedule.ZBV {
		d.Pair = nil
	}
	stride := mesh.Mesh.Block()
	for i := range cs {
		c := &cs[i]
		d.Forward[i] = c.Forward.Seconds()
		d.Input[i] = c.Recompute.Seconds() + c.BackwardInput.Seconds()
		d.Weight[i] = c.BackwardWeight.Seconds()
		d.Backward[i] = d.Input[i] + d.Weight[i]
		if s.Stages > 1 {
			d.Send[i] = m.Send(c.Boundary, stride)
		}
	}
	if d.Pair != nil {
		for i := range cs {
			other := &cs[i^1]
			d.Pair[i] = m.Pair(&cs[i].PassCost, &other.PassCost)
		}
	}
	return d
}

// Send returns the seconds of handing a boundary of so many bytes to the rank
// stride away, in a pipeline over all devices.
func (m *Model) Send(boundary int64, stride int) float64 {
	return m.fabric.Send(float64(boundary), stride, m.Devices/max(1, stride))
}

// Pair returns the time of one chunk's forward beside the other's backward: the
// all-to-alls of one run beside the compute of the other.
func (m *Model) Pair(f, b *PassCost) float64 {
	back := b.Backward()
	return m.PairOf(f.Forward.Compute()+back.Compute(), f.Forward.EP+back.EP, f.Forward.Seconds()+back.Seconds())
}

// PairOf returns the time of passes that overlap: their compute and all-to-alls,
// and the seconds they take one after the other.
func (m *Model) PairOf(compute, messages, alone float64) float64 {
	hidden := min(messages, m.rates.ep*compute)
	return alone - hidden + float64(hidden*m.rates.slow)
}
