package schedule

import (
	"cmp"
	"slices"
)

// skeleton is a pipeline reduced to the actions of the first and the last few
// microbatches. The actions between two of them on a stage are only counted.
// Every path through the skeleton is a path through the pipeline, so the longest
// one is a lower bound of the makespan, and it passes the fill, the bottleneck
// and the drain that decide the makespan.
//
// The counts grow linearly with the microbatches beyond the first base ones, so
// that one skeleton serves all larger runs.
type skeleton struct {
	base, period int
	nodes        []node // in an order in which every node follows its inputs
	terms        []term // counted actions, of one node after the other
	tail         []span // per stage: its last node (-1: none) and what follows
}

// node is one action of the skeleton. It starts when the node before it on its
// stage and what lies between are over, and when its inputs have arrived.
type node struct {
	span
	inputs [2]int32 // nodes that send to it, or -1: of its forward, of its backward
	cost   int32    // index of its own cost
	// Indices stage*Chunks+chunk of its forward and its backward half, or -1.
	forward, backward int32
	steady            int32 // its stage if the steady phase lies before it, or -1
}

// span is the counted work after a node of the same stage.
type span struct {
	after      int32 // node, -1 for the start of the step
	terms, end int32 // range in skeleton.terms
}

// term counts actions of one cost: fixed, and more for each period beyond base.
type term struct {
	cost         int32
	fixed, slope float64
}

// Costs are indexed by class*Stages*Chunks + stage*Chunks + chunk.
const (
	classForward = iota
	classBackward
	classInput
	classWeight
	classPair
	classes
)

var classOf = [...]int32{Forward: classForward, Backward: classBackward, BackwardInput: classInput, BackwardWeight: classWeight, Pair: classPair}

// period returns how many more microbatches extend a schedule by one repetition
// of its steady phase.
func (s Shape) period() int {
	switch s.Kind {
	case Interleaved:
		return s.GroupSize()
	case DualPipe:
		return 2
	}
	return 1
}

// skeletonMicro returns the smallest number of microbatches, equal to Micro up
// to whole periods, from which on only the steady phase grows.
func (s Shape) skeletonMicro() int {
	base := 4 * s.Stages
	switch s.Kind {
	case GPipe, OneFOneB, ZBH1:
		base = 2*s.Stages + 2
	case Interleaved:
		n := s.GroupSize()
		base = 4*n + s.Micro%n
	}
	return min(s.Micro, base)
}

// family returns the shape under which larger runs, and the smallest that they
// grow from, share what was found: with a negative number of microbatches, which
// tells apart those that are left over beside whole groups. Smaller runs have
// only themselves.
func (s Shape) family() Shape {
	if s.Kind == Interleaved {
		s.Group = s.GroupSize()
	}
	if s.skeletonMicro() < s.Micro {
		s.Micro = -1 - s.Micro%s.period()
	}
	return s
}

// edges is how many microbatches at each end a skeleton keeps.
const edges = 1

func newSkeleton(s Shape) (*skeleton, error) {
	k := &skeleton{base: s.skeletonMicro(), period: s.period()}
	if s.Kind == Interleaved {
		s.Group = s.GroupSize() // smaller runs might choose another
	}
	small, large := s, s
	small.Micro = k.base
	if large.Micro = k.base + k.period; s.Micro == k.base {
		large.Micro = k.base // the skeleton serves this one size
	}
	a, err := sketch(small)
	if err != nil {
		return nil, err
	}
	b, err := sketch(large)
	if err != nil {
		return nil, err
	}
	k.join(s, a, b)
	return k, nil
}

// mark is a kept action while a skeleton is made.
type mark struct {
	stage, at int // its place in the order
	action    Action
	start     float64 // when it runs if everything takes one second
	counts    []int32 // actions of each cost of the stage since the mark before
}

// sketch finds the kept actions of a pipeline, per stage, the last one being
// the end of the stage.
func sketch(s Shape) ([][]mark, error) {
	var p Pipeline
	if err := p.Reset(s); err != nil {
		return nil, err
	}
	d := NewDurations(s)
	for i := range d.Forward {
		d.Forward[i], d.Backward[i], d.Input[i], d.Weight[i], d.Pair[i] = 1, 1, 1, 1, 1
	}
	var t Timeline
	if err := p.Time(d, &t); err != nil {
		return nil, err
	}
	out := make([][]mark, s.Stages)
	for stage, order := range p.Compute {
		counts := make([]int32, classes*s.Chunks)
		for n, a := range order {
			if s.keeps(a) {
				out[stage] = append(out[stage], mark{stage, n, a, t.Start[stage][n], counts})
				counts = make([]int32, classes*s.Chunks)
			} else {
				counts[int(classOf[a.Op])*s.Chunks+int(a.Chunk)]++
			}
		}
		out[stage] = append(out[stage], mark{stage: stage, at: len(order), counts: counts})
	}
	return out, nil
}

// keeps reports whether a skeleton keeps an action.
func (s Shape) keeps(a Action) bool {
	if a.Op == BackwardWeight {
		return false
	}
	for _, half := range a.halves() {
		first, last := s.Micros(int(half.Chunk))
		if int(half.Micro) < first+edges || int(half.Micro) >= last-edges {
			return true
		}
	}
	return false
}

// join makes the nodes from the marks of the smaller run, and the growth of the
// counts from those of the larger.
func (k *skeleton) join(s Shape, small, large [][]mark) {
	var all []*mark
	next := make([]int, s.Stages) // per stage: index of its next mark
	for stage := range small {
		for n := range small[stage][:len(small[stage])-1] {
			all = append(all, &small[stage][n])
		}
	}
	slices.SortStableFunc(all, func(a, b *mark) int { return cmp.Compare(a.start, b.start) })
	last := make([]int32, s.Stages)
	for stage := range last {
		last[stage] = -1
	}
	var l links
	l.reset(s)
	made := map[[3]int]int32{} // pass, chunk index and microbatch to node
	for _, m := range all {
		n := node{inputs: [2]int32{-1, -1}, forward: -1, backward: -1, steady: -1}
		if s.reduced(k.base).endsSteady(m) {
			n.steady = int32(m.stage)
		}
		n.span = k.count(s, m, &large[m.stage][next[m.stage]], last[m.stage])
		next[m.stage]++
		n.cost = classOf[m.action.Op]*int32(s.Stages*s.Chunks) + int32(m.stage*s.Chunks) + int32(m.action.Chunk)
		id := int32(len(k.nodes))
		for _, half := range m.action.halves() {
			n.wire(s, &l, m.stage, half, made, id)
		}
		last[m.stage] = id
		k.nodes = append(k.nodes, n)
	}
	k.tail = make([]span, s.Stages)
	for stage := range k.tail {
		end := len(small[stage]) - 1
		k.tail[stage] = k.count(s, &small[stage][end], &large[stage][end], last[stage])
	}
}

// endsSteady reports whether a mark is the forward of the last microbatch that
// enters the stage's arm of the pipeline, before which the steady phase lies.
func (s Shape) endsSteady(m *mark) bool {
	near := uint8(0)
	if s.Kind == DualPipe && m.stage >= s.Stages/2 {
		near = 1
	}
	a := m.action
	if a.Op != Forward && a.Op != Pair || a.Chunk != near {
		return false
	}
	_, last := s.Micros(int(near))
	return int(a.Micro) == last-1
}

// wire connects a node to the nodes that send to it.
func (n *node) wire(s Shape, l *links, stage int, half Action, made map[[3]int]int32, id int32) {
	i, micro := stage*s.Chunks+int(half.Chunk), int(half.Micro)
	pass, slot, from := 0, 0, [3]int{0, int(l.prev[i]), micro}
	if half.Op == Forward {
		n.forward = int32(i)
	} else {
		n.backward = int32(i)
		pass, slot, from = 1, 1, [3]int{1, int(l.next[i]), micro}
	}
	if sender, ok := made[from]; ok {
		n.inputs[slot] = sender
	}
	made[[3]int{pass, i, micro}] = id
}

// count notes the work between two marks.
func (k *skeleton) count(s Shape, small, large *mark, after int32) span {
	begin := int32(len(k.terms))
	for c, n := range small.counts {
		if large.counts[c] > 0 {
			class, chunk := c/s.Chunks, c%s.Chunks
			k.terms = append(k.terms, term{
				cost:  int32((class*s.Stages+small.stage)*s.Chunks + chunk),
				fixed: float64(n), slope: float64(large.counts[c] - n),
			})
		}
	}
	return span{after: after, terms: begin, end: int32(len(k.terms))}
}
