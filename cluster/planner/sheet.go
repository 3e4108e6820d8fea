package planner

import (
	"math/bits"
	"slices"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/cluster/planner/order"
)

// sums is what a run of consecutive parts of the model costs one rank for one
// micro-batch, and what it holds: everything about a chunk that times, bounds
// and memory follow from.
type sums struct {
	forward, input, weight      float64 // seconds; input includes recomputation
	forwardCompute, forwardEP   float64 // of forward: without messages, and waiting for all-to-alls
	backwardCompute, backwardEP float64 // the same of the whole backward
	kept                        int64   // activation bytes
	parameters                  operator.Parameters
}

// sumsOf reads one part's sums.
func sumsOf(p *costmodel.PartCost) sums {
	back := p.Backward()
	return sums{
		forward: p.Forward.Seconds(), input: p.Recompute.Seconds() + p.BackwardInput.Seconds(), weight: p.BackwardWeight.Seconds(),
		forwardCompute: p.Forward.Compute(), forwardEP: p.Forward.EP, backwardCompute: back.Compute(), backwardEP: back.EP,
		kept: p.Kept, parameters: p.Work.Parameters,
	}
}

func (s *sums) add(o *sums) {
	s.forward += o.forward
	s.input += o.input
	s.weight += o.weight
	s.forwardCompute += o.forwardCompute
	s.forwardEP += o.forwardEP
	s.backwardCompute += o.backwardCompute
	s.backwardEP += o.backwardEP
	s.kept += o.kept
	s.parameters = s.parameters.Add(o.parameters)
}

// sheet lays one cell of the cost model out for the inner loop: sums up to every
// block, so that any run of blocks is one subtraction.
type sheet struct {
	cell        *costmodel.Cell
	upTo        []sums    // of the blocks before each block
	before      []float64 // seconds of the same, as costmodel.Cut reads them
	first, last float64
	ends        [2]sums   // the embedding; the head with the MTP depths
	masks       [2]uint64 // their parts, as bits
	class       []uint64  // of each block, its part as a bit
	boundary    []int64   // bytes a part hands on
	sent        []int64   // of these, what one rank sends
	peak        []int64   // bytes of temporaries of a part, what is computed again included
	size        []int64   // values of a part
	matrix      []int64   // values of a part's largest matrix for Muon
	blocks      uint64    // the parts that are blocks of the trunk
	depths      uint64    // the parts that are MTP depths
	shapes      map[uint64]int64
	cuts        []cut // by number of positions
}

// cut is how many blocks each position holds, and the sums of every position.
type cut struct {
	made   bool
	counts []int
	at     []sums
	masks  []uint64
}

// fill reads a cell; layers is the number of blocks without MTP.
func (s *sheet) fill(c *costmodel.Cell, layers int) {
	s.cell = c
	s.upTo, s.before, s.class = grow(s.upTo, layers+1), grow(s.before, layers+1), grow(s.class, layers)
	n := len(c.Parts)
	s.boundary, s.sent, s.peak, s.size, s.matrix = grow(s.boundary, n), grow(s.sent, n), grow(s.peak, n), grow(s.size, n), grow(s.matrix, n)
	for i := range c.Parts {
		w := c.Parts[i].Work
		s.boundary[i], s.sent[i], s.size[i], s.matrix[i] = w.Boundary, w.Sent, w.Parameters.Total(), w.Parameters.Largest
		s.peak[i] = max(0, w.Kept(0)-c.Parts[i].Kept) + w.BackwardPeak
	}
	s.blocks, s.depths = 0, 0
	if s.shapes == nil {
		s.shapes = map[uint64]int64{}
	}
	clear(s.shapes)
	s.first, s.last = c.Before(s.before)
	s.upTo[0] = sums{}
	for b := range layers {
		part := sumsOf(c.Block(b))
		s.upTo[b+1] = s.upTo[b]
		s.upTo[b+1].add(&part)
		s.class[b] = 1 << c.Class[b]
		s.blocks |= s.class[b]
	}
	s.ends[0], s.masks[0] = sumsOf(&c.Parts[c.Embedding]), 1<<c.Embedding
	s.ends[1], s.masks[1] = sumsOf(&c.Parts[c.Head]), 1<<c.Head
	for _, class := range c.Class[layers:] {
		part := sumsOf(&c.Parts[class])
		s.ends[1].add(&part)
		s.masks[1] |= 1 << class
		s.depths |= 1 << class
	}
	s.cuts = grow(s.cuts, layers+1)
	for i := range s.cuts {
		s.cuts[i].made = false
	}
}

// cut returns the sums of every position of a pipeline of so many.
func (s *sheet) cut(positions int) *cut {
	c := &s.cuts[positions]
	if c.made {
		return c
	}
	c.made = true
	c.counts, c.at, c.masks = grow(c.counts, positions), grow(c.at, positions), grow(c.masks, positions)
	costmodel.Cut(s.before, s.first, s.last, c.counts)
	b := 0
	for q, n := range c.counts {
		c.at[q] = difference(&s.upTo[b+n], &s.upTo[b])
		mask := uint64(0)
		for ; n > 0; n-- {
			mask |= s.class[b]
			b++
		}
		c.masks[q] = mask
	}
	for i, q := range [2]int{0, positions - 1} {
		c.at[q].add(&s.ends[i])
		c.masks[q] |= s.masks[i]
	}
	return c
}

// difference returns a - b. The largest matrix is not a sum and is left 0.
func difference(a, b *sums) sums {
	p, q := &a.parameters, &b.parameters
	return sums{
		forward: a.forward - b.forward, input: a.input - b.input, weight: a.weight - b.weight,
		forwardCompute: a.forwardCompute - b.forwardCompute, forwardEP: a.forwardEP - b.forwardEP,
		backwardCompute: a.backwardCompute - b.backwardCompute, backwardEP: a.backwardEP - b.backwardEP,
		kept: a.kept - b.kept,
		parameters: operator.Parameters{
			Split: p.Split - q.Split, Replicated: p.Replicated - q.Replicated, Expert: p.Expert - q.Expert, Frozen: p.Frozen - q.Frozen,
			Hash: p.Hash - q.Hash, Muon: p.Muon - q.Muon, MuonExpert: p.MuonExpert - q.MuonExpert, Quantised: p.Quantised - q.Quantised,
		},
	}
}

// distinct returns the values of the distinct matrices of some parts: autograd
// keeps a placeholder of each.
func (s *sheet) distinct(mask uint64) int64 {
	if n, ok := s.shapes[mask]; ok {
		return n
	}
	var known []operator.Shape
	var bytes int64
	for i := range s.cell.Parts {
		if mask>>i&1 == 0 {
			continue
		}
		w := s.cell.Parts[i].Work
		for _, shape := range w.Weights {
			if !slices.Contains(known, shape) {
				known = append(known, shape)
				bytes += int64(s.cell.Numbers.Engine.Weights.Bytes() * float64(shape.Len()))
			}
		}
	}
	s.shapes[mask] = bytes
	return bytes
}

// most returns the largest of the values whose bits are set, -1 when none is.
func most(values []int64, mask uint64) int64 {
	m := int64(-1)
	for ; mask != 0; mask &= mask - 1 {
		m = max(m, values[bits.TrailingZeros64(mask)])
	}
	return m
}

// grow returns a slice of length n, reusing the memory of s where it suffices.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return append(s[:cap(s)], make([]T, n-cap(s))...)
	}
	return s[:n]
}

// least returns seconds that one microbatch takes at least on all stages of an
// order together.
func (s *sheet) least(g *order.Order) float64 {
	seconds, messages := s.whole()
	if g.Split && g.Shape.Chunks == 2 {
		return max(0, seconds-messages)
	}
	return seconds
}

// whole returns the seconds of one microbatch through the whole model, and how
// much of it are all-to-alls, which an order with pairs may hide.
func (s *sheet) whole() (seconds, messages float64) {
	n := len(s.upTo) - 1
	for _, part := range [3]*sums{&s.upTo[n], &s.ends[0], &s.ends[1]} {
		seconds += part.forward + part.input + part.weight
		messages += part.forwardEP + part.backwardEP
	}
	return seconds, messages
}

// hold fills in what a stage of the given parts holds, but for activations.
func (s *sheet) hold(h *holding, p *operator.Parameters, mask uint64, tied bool) {
	head, embedding := mask>>s.cell.Head&1 != 0, mask>>s.cell.Embedding&1 != 0
	depths := mask & s.depths
	table := s.cell.Parts[s.cell.Embedding].Work.Parameters.Split
	h.parameters = *p
	if tied && head && !embedding {
		h.parameters.Split += table
	}
	if depths != 0 && !embedding {
		h.parameters.Split += table
	}
	if depths != 0 && !head {
		h.parameters.Split += table
	}
	if embedding || depths != 0 {
		h.root += table
	}
	if (head || depths != 0) && !(tied && (embedding || depths != 0)) {
		h.root += table
	}
	h.largest = max(0, most(s.size, mask&s.blocks))
	h.shapes = s.distinct(mask)
	h.head, h.embedding = -1, -1
	if head {
		h.head = s.cell.Parts[s.cell.Head].Work.BackwardPeak
	}
	if embedding {
		h.embedding = s.cell.Parts[s.cell.Embedding].Work.Table
	}
	h.mtp, h.block = most(s.peak, depths), most(s.peak, mask&s.blocks)
}
