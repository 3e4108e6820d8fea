package planner

import (
	"cmp"
)

// findings are the promising cells of a search: meshes and micro-batch sizes,
// by the lowest bound of their layouts, overall and under restrictions.
type findings struct {
	best  shortlist
	kinds [numKinds]shortlist // of one schedule
	under [buckets]shortlist  // of layouts that need so much memory
	short candidate           // the layout that needs least, of those that do not fit; bound is unused
}

// buckets is how finely memory is divided for the Pareto front: each holds
// layouts that need between i and i+1 of so many parts of the capacity.
const buckets = 24

// numKinds is the number of schedules.
const numKinds = 7

// How many cells are kept. The lists say when they were too short.
const (
	keepBest  = 1 << 12
	keepOther = 1 << 9
	maxKeep   = 1 << 20
)

func newFindings(keep int) findings {
	f := findings{best: newShortlist(keep), short: candidate{memory: 1<<63 - 1}}
	for i := range f.kinds {
		f.kinds[i] = newShortlist(min(keep, keepOther))
	}
	for i := range f.under {
		f.under[i] = newShortlist(min(keep, keepOther))
	}
	return f
}

// add notes one cell.
func (f *findings) add(c *minima) {
	if !c.seen {
		return
	}
	f.best.add(c.best)
	for i := range c.kinds {
		if c.kinds[i].bound < inf {
			f.kinds[i].add(c.kinds[i])
		}
	}
	for i := range c.under {
		if c.under[i].bound < inf {
			f.under[i].add(c.under[i])
		}
	}
}

// shortest notes a layout that does not fit.
func (f *findings) shortest(need int64, at place) {
	if need < f.short.memory || need == f.short.memory && at.order() < f.short.at.order() {
		f.short = candidate{memory: need, at: at}
	}
}

func (f *findings) merge(o *findings) {
	f.best.merge(&o.best)
	for i := range f.kinds {
		f.kinds[i].merge(&o.kinds[i])
	}
	for i := range f.under {
		f.under[i].merge(&o.under[i])
	}
	f.shortest(o.short.memory, o.short.at)
}

// candidate is one layout that fits and has not been timed exactly: its lower
// bound on the step time, its memory, and its place in the order of the search,
// which decides ties. It is small because a search holds many thousands.
type candidate struct {
	bound  float64
	memory int64
	at     place
}

// place says where in the space a layout stands: enough to write the layout
// down again, and a total order that no number of workers can change.
type place struct {
	mesh  uint32 // index of the mesh in the space
	micro uint16 // index of the micro-batch size among the legal ones of the mesh
	leaf  uint16 // recompute, schedule, ZeRO, offload, packed by [leafOf]
}

func (p place) order() uint64 {
	return uint64(p.mesh)<<32 | uint64(p.micro)<<16 | uint64(p.leaf)
}

// compareCandidates orders by bound, then by place.
func compareCandidates(a, b candidate) int {
	if c := cmp.Compare(a.bound, b.bound); c != 0 {
		return c
	}
	return cmp.Compare(a.at.order(), b.at.order())
}

// shortlist keeps the limit candidates of lowest bound and remembers the lowest
// bound it had to drop, so that a search knows how far it may trust the list.
// It is a binary heap with the worst candidate on top.
type shortlist struct {
	limit   int
	heap    []candidate
	dropped float64 // lowest bound ever dropped; +Inf when nothing was
}

func newShortlist(limit int) shortlist {
	return shortlist{limit: limit, dropped: inf}
}

// add offers one candidate. It allocates only while the list is filling.
func (s *shortlist) add(c candidate) {
	if len(s.heap) < s.limit {
		s.heap = append(s.heap, c)
		s.up(len(s.heap) - 1)
		return
	}
	if s.limit == 0 || compareCandidates(c, s.heap[0]) >= 0 {
		s.dropped = min(s.dropped, c.bound)
		return
	}
	s.dropped = min(s.dropped, s.heap[0].bound)
	s.heap[0] = c
	s.down(0)
}

// merge adds everything another list holds and dropped.
func (s *shortlist) merge(o *shortlist) {
	for _, c := range o.heap {
		s.add(c)
	}
	s.dropped = min(s.dropped, o.dropped)
}

func (s *shortlist) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if compareCandidates(s.heap[i], s.heap[parent]) <= 0 {
			return
		}
		s.heap[i], s.heap[parent] = s.heap[parent], s.heap[i]
		i = parent
	}
}

func (s *shortlist) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(s.heap) {
			return
		}
		if child+1 < len(s.heap) && compareCandidates(s.heap[child+1], s.heap[child]) > 0 {
			child++
		}
		if compareCandidates(s.heap[child], s.heap[i]) <= 0 {
			return
		}
		s.heap[i], s.heap[child] = s.heap[child], s.heap[i]
		i = child
	}
}
