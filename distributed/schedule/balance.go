package schedule

import (
	"fmt"
	"math"
)

// LayerCosts is the cost of every layer of a model, in any unit: the time of
// its forward and backward, say. The embedding goes to the first part, the head
// and all MTP modules to the last.
type LayerCosts struct {
	Blocks          []float64
	Embedding, Head float64
	MTP             []float64
}

const maxBalanced = 1 << 12 // blocks that SplitBalanced takes

// SplitBalanced cuts a model so that the busiest stage has as little to do as
// possible. Of the shape it reads the kind, the stages and the chunks. Every
// part gets at least one block, except that the last may hold only the head and
// MTP modules.
//
// With one chunk per stage the busiest stage is minimal, and among such splits
// the sum of squared costs. With several chunks, parts are balanced like this,
// once as they are and once with what a stage holds besides its blocks spread
// over its parts; from both, blocks move between parts as long as the busiest
// stage, or after it the sum of squares of the stages, shrinks.
func SplitBalanced(c LayerCosts, s Shape) (Split, error) {
	if s.Stages < 1 || s.Stages > MaxStages || s.Chunks < 1 || s.Chunks > MaxChunks {
		return Split{}, fmt.Errorf("schedule: a split over %d stages of %d chunks: stages must lie in 1..%d and chunks in 1..%d, nearest legal value %dx%d",
			s.Stages, s.Chunks, MaxStages, MaxChunks, min(max(s.Stages, 1), MaxStages), min(max(s.Chunks, 1), MaxChunks))
	}
	b, err := newBalance(c, s)
	if err != nil {
		return Split{}, err
	}
	b.partition(b.cap())
	if b.parts > s.Stages || s.Kind == DualPipe {
		b.overStages(s)
	}
	counts := make([]int, b.parts)
	for q := range counts {
		counts[q] = b.ends[q+1] - b.ends[q]
	}
	return Layers{Blocks: len(c.Blocks), MTP: len(c.MTP)}.cut(counts), nil
}

// balance cuts blocks into parts: part q holds blocks ends[q] up to ends[q+1].
type balance struct {
	parts     int
	upTo      []float64 // cost of the blocks before each
	besides   []float64 // cost of what each part holds besides
	spareLast bool      // the last part may hold no block
	ends      []int
}

func newBalance(c LayerCosts, s Shape) (*balance, error) {
	blocks := len(c.Blocks)
	b := &balance{parts: s.Positions(), spareLast: c.Head > 0 || len(c.MTP) > 0, upTo: make([]float64, blocks+1)}
	b.besides = make([]float64, b.parts)
	b.besides[0] = c.Embedding
	b.besides[b.parts-1] += c.Head
	if blocks < 1 || blocks > maxBalanced {
		return nil, fmt.Errorf("schedule: a model of %d blocks, must have 1..%d to be balanced, nearest legal value %d", blocks, maxBalanced, min(max(blocks, 1), maxBalanced))
	}
	if b.parts > blocks {
		return nil, fmt.Errorf("schedule: %d parts (stages*chunks) for %d blocks, must be at most %d, nearest legal value %d", b.parts, blocks, blocks, blocks)
	}
	check := func(what string, i int, v float64) error {
		if !(v >= 0) || math.IsInf(v, 1) {
			return fmt.Errorf("schedule: cost of %s %d is %v, must be finite and at least 0, nearest legal value 0", what, i, v)
		}
		return nil
	}
	for i, v := range c.Blocks {
		if err := check("block", i, v); err != nil {
			return nil, err
		}
		b.upTo[i+1] = b.upTo[i] + v
	}
	for i, v := range c.MTP {
		if err := check("MTP module", i, v); err != nil {
			return nil, err
		}
		b.besides[b.parts-1] += v
	}
	if err := check("embedding", 0, c.Embedding); err != nil {
		return nil, err
	}
	return b, check("head", 0, c.Head)
}

// cost returns the cost of part q if it holds the blocks from..to-1.
func (b *balance) cost(q, from, to int) float64 {
	return b.upTo[to] - b.upTo[from] + b.besides[q]
}

// least returns how many blocks part q must hold.
func (b *balance) least(q int) int {
	if q == b.parts-1 && q > 0 && b.spareLast {
		return 0
	}
	return 1
}

// fits reports whether no part need cost more than limit: each takes as many
// blocks as it can and leaves enough for the rest.
func (b *balance) fits(limit float64) bool {
	at, blocks := 0, len(b.upTo)-1
	for q := range b.parts {
		leave := 0 // blocks that the later parts must hold
		if q < b.parts-1 {
			leave = b.parts - 2 - q + b.least(b.parts-1)
		}
		to := at + b.least(q)
		if b.cost(q, at, to) > limit {
			return false
		}
		for to < blocks-leave && b.cost(q, at, to+1) <= limit {
			to++
		}
		at = to
	}
	return at == blocks
}

// cap returns the least cost of the costliest part.
func (b *balance) cap() float64 {
	low, high := 0.0, b.upTo[len(b.upTo)-1]
	for _, v := range b.besides {
		high += v
	}
	for range 64 {
		if middle := low + (high-low)/2; b.fits(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// partition finds the ends of the parts that keep every part within limit, at
// the least sum of squares, by dynamic programming over parts and blocks.
func (b *balance) partition(limit float64) {
	blocks := len(b.upTo) - 1
	limit *= 1 + 1e-12
	best := make([]float64, blocks+1) // of the parts so far, if they hold so many blocks
	from := make([][]int32, b.parts)  // and where the last of them begins
	for i := range best {
		best[i] = math.Inf(1)
	}
	best[0] = 0
	for q := range b.parts {
		next := make([]float64, blocks+1)
		from[q] = make([]int32, blocks+1)
		for to := range next {
			next[to] = math.Inf(1)
			for at := to - b.least(q); at >= 0; at-- {
				v := b.cost(q, at, to)
				if v > limit {
					break
				}
				if sum := best[at] + float64(v*v); sum < next[to] {
					next[to], from[q][to] = sum, int32(at)
				}
			}
		}
		best = next
	}
	b.ends = make([]int, b.parts+1)
	b.ends[b.parts] = blocks
	for q := b.parts - 1; q >= 0; q-- {
		b.ends[q] = int(from[q][b.ends[q+1]])
	}
}

// overStages improves the split for stages of several parts, from two starts.
func (b *balance) overStages(s Shape) {
	top, squares := b.improve(s)
	ends, besides := b.ends, b.besides
	b.besides = make([]float64, b.parts)
	for stage := range s.Stages {
		sum := 0.0
		for chunk := range s.Chunks {
			sum += besides[s.Position(stage, chunk)]
		}
		for chunk := range s.Chunks {
			b.besides[s.Position(stage, chunk)] = sum / float64(s.Chunks)
		}
	}
	b.partition(b.cap())
	b.besides = besides
	if t, sq := b.improve(s); t > top || t == top && sq >= squares {
		b.ends = ends
	}
}

// improve moves blocks between parts while that helps the stages: a run of
// boundaries shifts by one block, so that a block goes from one end of the run
// to the other. It returns the cost of the busiest stage and the sum of squares.
func (b *balance) improve(s Shape) (top, squares float64) {
	loads := make([]float64, s.Stages)
	top, squares = b.stages(s, loads)
	for moved := true; moved; {
		moved = false
		for first := 1; first < b.parts; first++ {
			for last := first; last < min(b.parts, first+2*s.Stages); last++ {
				for _, by := range [2]int{-1, 1} {
					if !b.shift(first, last, by) {
						continue
					}
					if t, sq := b.stages(s, loads); t < top || t == top && sq < squares*(1-1e-12) {
						top, squares, moved = t, sq, true
					} else {
						b.shift(first, last, -by)
					}
				}
			}
		}
	}
	return top, squares
}

// shift moves the ends first..last by one block, if every part keeps enough.
func (b *balance) shift(first, last, by int) bool {
	for q := first; q <= last; q++ {
		b.ends[q] += by
	}
	if b.ends[first]-b.ends[first-1] >= b.least(first-1) && b.ends[last+1]-b.ends[last] >= b.least(last) {
		return true
	}
	for q := first; q <= last; q++ {
		b.ends[q] -= by
	}
	return false
}

// stages returns the cost of the busiest stage and the sum of squares of all.
func (b *balance) stages(s Shape, loads []float64) (top, squares float64) {
	for stage := range loads {
		loads[stage] = 0
		for chunk := range s.Chunks {
			q := s.Position(stage, chunk)
			loads[stage] += b.cost(q, b.ends[q], b.ends[q+1])
		}
		top = max(top, loads[stage])
		squares += float64(loads[stage] * loads[stage])
	}
	return top, squares
}
