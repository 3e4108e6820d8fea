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
	Boundary   int64 // bytes of the activations handed to the next chunk
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
		cc.Boundary = max(cc.Boundary, p.Work.Boundary)
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
	n := m.Arch.NumLayers
	counts := make([]int, positions)
	if n%positions == 0 {
		for i := range counts {
			counts[i] = n / positions
		}
	} else {
		counts = m.balanced(c, positions)
	}
	split := schedule.Split{Parts: make([]schedule.Part, positions)}
	first := 0
	for i, blocks := range counts {
		split.Parts[i] = schedule.Part{First: first, Blocks: blocks, Embedding: i == 0}
		first += blocks
	}
	split.Parts[positions-1].Head = true
	split.Parts[positions-1].MTP = m.Arch.NumMTP
	return split
}

// balanced returns how many blocks each position holds so that the slowest takes
// as little as possible, embedding, MTP and head counted where they are.
func (m *Model) balanced(c *Cell, positions int) []int {
	n := m.Arch.NumLayers
	before := make([]float64, n+1)
	for b := range n {
		before[b+1] = before[b] + c.Block(b).Seconds()
	}
	first := c.Parts[c.Embedding].Seconds()
	last := c.Parts[c.Head].Seconds()
	for d := range m.Arch.NumMTP {
		last += c.Block(n + d).Seconds()
	}
	counts := make([]int, positions)
	low, high := 0.0, before[n]+first+last
	for range 60 {
		limit := (low + high) / 2
		if fits(before, first, last, limit, counts) {
			high = limit
		} else {
			low = limit
		}
	}
	fits(before, first, last, high, counts)
	return counts
}

// fits cuts greedily under a limit, and reports whether every block found a place.
func fits(before []float64, first, last, limit float64, counts []int) bool {
	n, b := len(before)-1, 0
	for i := range counts {
		extra := 0.0
		if i == 0 {
			extra = first
		}
		if i == len(counts)-1 {
			extra += last
		}
		e := b
		for e < n && before[e+1]-before[b]+extra <= limit {
			e++
		}
		counts[i] = e - b
		b = e
	}
	return b == n
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
			d.Send[i] = m.fabric.Send(float64(c.Boundary), stride)
		}
	}
	if d.Pair != nil {
		for i := range cs {
			other := &cs[i^1]
			d.Pair[i] = m.pair(&cs[i].PassCost, &other.PassCost)
		}
	}
	return d
}

// pair returns the time of one chunk's forward beside the other's backward: the
// all-to-alls of one run beside the compute of the other.
func (m *Model) pair(f, b *PassCost) float64 {
	back := b.Backward()
	compute := f.Forward.Compute() + back.Compute()
	messages := f.Forward.EP + back.EP
	hidden := min(messages, m.rates.ep*compute)
	return f.Forward.Seconds() + back.Seconds() - hidden + float64(hidden*m.rates.slow)
}
