package costmodel

import (
	"math"

	"github.com/temper-ml/temper/cluster/costmodel/operator"
)

// A search over layouts sees the same few tables again and again. What it needs
// of the model, piece by piece, is here; Evaluate is made of the same pieces, so
// that both agree.

// Tables returns the cells of a key under several choices of recomputation (the
// key's own is not read). They share operators and are not kept.
func (m *Model) Tables(k Key, again []operator.Recompute) []*Cell {
	t := m.timer(k)
	base := &Cell{Sharding: m.sharding(k), Numbers: m.numbers(k.MicroBatch)}
	add := func(layer int) int {
		w := m.build(k, layer)
		base.Parts = append(base.Parts, PartCost{PassCost: t.cost(w, 0), Work: w})
		return len(base.Parts) - 1
	}
	seen := map[class]int{}
	for layer := range m.Arch.Blocks() {
		key := classOf(m.Arch, layer)
		i, ok := seen[key]
		if !ok {
			i = add(layer)
			seen[key] = i
		}
		base.Class = append(base.Class, i)
	}
	base.Embedding, base.Head = add(embeddingPart), add(headPart)
	cells := make([]*Cell, len(again))
	for i, r := range again {
		c := *base
		c.Key = k
		c.Key.Recompute = r
		c.Parts = append([]PartCost(nil), base.Parts...)
		for j := range c.Parts {
			p := &c.Parts[j]
			p.Recompute, p.Kept = t.pass(p.Work.Again(r), false), p.Work.Kept(r)
		}
		cells[i] = &c
	}
	return cells
}

// Before fills in the seconds of one micro-batch through the blocks before each
// block (one value more than there are blocks), and returns those of what comes
// first, the embedding, and last, the head with the MTP depths.
func (c *Cell) Before(before []float64) (first, last float64) {
	layers := len(before) - 1
	before[0] = 0
	for b := range layers {
		before[b+1] = before[b] + c.Block(b).Seconds()
	}
	last = c.Parts[c.Head].Seconds()
	for _, class := range c.Class[layers:] {
		last += c.Parts[class].Seconds()
	}
	return c.Parts[c.Embedding].Seconds(), last
}

// Cut fills in how many blocks each position of a pipeline holds: as many
// everywhere if they divide, else so that the slowest position takes as little
// time as possible, what comes first and last counted where it is. See [Cell.Before].
func Cut(before []float64, first, last float64, counts []int) {
	n, parts := len(before)-1, len(counts)
	if n%parts == 0 {
		for i := range counts {
			counts[i] = n / parts
		}
		return
	}
	// Under a limit a greedy cut is best. The next limit worth trying is the
	// least time that the last try found to be too long.
	limit := (before[n] + first + last) / float64(parts)
	for {
		placed, next := fill(before, first, last, limit, counts)
		if placed == n {
			return
		}
		limit = next
	}
}

// fill gives each position as many blocks as stay under the limit, but leaves one
// for each position that follows, the last one excepted: what comes last may be
// work enough, and empty positions before it would undo what chunks are for. It
// returns how many blocks it placed, and the least time that was too long.
func fill(before []float64, first, last, limit float64, counts []int) (placed int, next float64) {
	n, parts := len(before)-1, len(counts)
	next = math.Inf(1)
	for i := range counts {
		extra := 0.0
		if i == 0 {
			extra = first
		}
		if i == parts-1 {
			extra += last
		}
		most := n
		if leave := n - max(0, parts-2-i); leave > placed {
			most = leave
		}
		e := placed
		for e < most && before[e+1]-before[placed]+extra <= limit {
			e++
		}
		if e < most {
			next = min(next, before[e+1]-before[placed]+extra)
		}
		counts[i] = e - placed
		placed = e
	}
	return placed, next
}

// Whole returns the seconds of a step whose critical stage has run its passes
// and done its part of what comes once per step at the given time.
func (m *Model) Whole(end float64) float64 {
	nodes := float64(m.Cluster.Nodes(m.Devices))
	return (end + m.rates.fixed) * (1 + float64(m.rates.jitter*math.Log(max(1, nodes))))
}
