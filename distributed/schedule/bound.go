package schedule

import (
	"sync"
	"sync/atomic"
)

// LowerBound returns a time that no run of the pipeline with these durations
// can undercut: Timeline.Makespan is never below it. It is the longest path
// through the actions of the first and the last microbatch and the work between
// them, exact for even durations without sends. It takes time proportional to
// Stages*Chunks, whatever the number of microbatches, and is 0 for durations or
// shapes that Time refuses.
//
// The first call for a kind, number of stages and number of chunks prepares a
// skeleton of the schedule, which later calls share. It may be called from
// several goroutines.
func (s Shape) LowerBound(d *Durations) float64 {
	k := skeletonOf(s)
	if k == nil {
		return 0
	}
	b := bounders.Get().(*bounder)
	defer bounders.Put(b)
	if !b.run(s, d, k) {
		return 0
	}
	end := 0.0
	for stage := range k.tail {
		end = max(end, b.over(k, &k.tail[stage], k.periods(s)))
	}
	return end
}

// LowerEnds is LowerBound for every stage: it appends to ends a time before
// which the last action of each stage cannot be over. The largest of them is
// LowerBound. It appends zeros for durations or shapes that Time refuses, and
// nothing for a number of stages that Shape.Check refuses.
func (s Shape) LowerEnds(d *Durations, ends []float64) []float64 {
	k := skeletonOf(s)
	b := bounders.Get().(*bounder)
	defer bounders.Put(b)
	known := k != nil && b.run(s, d, k)
	for stage := range s.Stages {
		switch {
		case known:
			ends = append(ends, b.over(k, &k.tail[stage], k.periods(s)))
		case s.Stages <= MaxStages:
			ends = append(ends, 0)
		}
	}
	return ends
}

// skeletons holds the skeletons made so far, by family.
var (
	skeletons     sync.Map
	skeletonCount atomic.Int64
)

// maxSkeletons bounds the memory that skeletons take.
const maxSkeletons = 1 << 14

func skeletonOf(s Shape) *skeleton {
	if s.Stages < 1 || s.Micro < 1 {
		return nil
	}
	key := s.family()
	if k, ok := skeletons.Load(key); ok {
		return k.(*skeleton)
	}
	if s.Check() != nil {
		return nil
	}
	k, err := newSkeleton(s)
	if err != nil {
		return nil
	}
	if skeletonCount.Add(1) <= maxSkeletons {
		skeletons.Store(key, k)
	}
	return k
}

var bounders = sync.Pool{New: func() any { return new(bounder) }}

// bounder is the memory of one LowerBound.
type bounder struct {
	costs costs
	cost  []float64 // of an action, by class and chunk
	busy  []float64 // the same with what a blocking send adds
	start []float64 // of every node
	cycle cycle
}

// spread lays the costs out as nodes and terms index them.
func (b *bounder) spread(s Shape) {
	c := &b.costs
	n := s.Stages * s.Chunks
	b.cost, b.busy = resize(b.cost, classes*n), resize(b.busy, classes*n)
	for class, in := range [...]struct{ cost, hold []float64 }{
		classForward:  {c.forward, c.holdForward},
		classBackward: {c.backward, c.holdBackward},
		classInput:    {c.input, c.holdBackward},
		classWeight:   {c.weight, nil},
	} {
		for i, v := range in.cost {
			b.cost[class*n+i], b.busy[class*n+i] = v, v
			if in.hold != nil {
				b.busy[class*n+i] = v + in.hold[i]
			}
		}
	}
	if s.Chunks == 2 {
		for i, v := range c.pair[:n] {
			b.cost[classPair*n+i] = v
			b.busy[classPair*n+i] = v + max(c.holdForward[i], c.holdBackward[i^1])
		}
	}
}

// run finds the earliest start of every node, and reports whether the durations
// fit the shape.
func (b *bounder) run(s Shape, d *Durations, k *skeleton) bool {
	if b.costs.reset(s, d) != nil {
		return false
	}
	b.spread(s)
	b.slowest(s)
	b.longest(s, k)
	return true
}

// periods is how many periods a run has beyond the base of its skeleton.
func (k *skeleton) periods(s Shape) float64 { return float64((s.Micro - k.base) / k.period) }

// longest finds the longest path to every node of a skeleton.
func (b *bounder) longest(s Shape, k *skeleton) {
	periods := k.periods(s)
	b.start = resize(b.start, len(k.nodes))
	for id := range k.nodes {
		n := &k.nodes[id]
		at := b.over(k, &n.span, periods)
		if n.steady >= 0 && b.cycle.length > 0 {
			at += b.gain(s, int(n.steady))
		}
		if from := n.inputs[0]; from >= 0 {
			sender := &k.nodes[from]
			at = max(at, b.start[from]+b.cost[sender.cost]+b.costs.flightForward[sender.forward])
		}
		if from := n.inputs[1]; from >= 0 {
			sender := &k.nodes[from]
			at = max(at, b.start[from]+b.cost[sender.cost]+b.costs.flightBackward[sender.backward])
		}
		b.start[id] = at
	}
}

// over returns when the work of a span is over.
func (b *bounder) over(k *skeleton, s *span, periods float64) float64 {
	at := 0.0
	if s.after >= 0 {
		at = b.start[s.after] + b.busy[k.nodes[s.after].cost]
	}
	for i := s.terms; i < s.end; i++ {
		t := &k.terms[i]
		at += float64((t.fixed + float64(t.slope*periods)) * b.busy[t.cost])
	}
	return at
}
