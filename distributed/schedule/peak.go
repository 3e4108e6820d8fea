package schedule

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Peak returns the most a stage holds in activations at any moment, exactly, by
// replaying its order. full[chunk] is what one microbatch of a chunk keeps from
// the start of its forward to the end of its backward. Where backwards are
// split, kept[chunk] of it stays from the end of the input gradient to the end
// of the weight gradient; nil means all of it. It returns 0 for a stage that
// does not exist or weights that are not one per chunk.
func (p *Pipeline) Peak(stage int, full, kept []int64) int64 {
	if kept == nil {
		kept = full
	}
	if stage < 0 || stage >= len(p.Compute) || len(full) != p.Chunks || len(kept) != p.Chunks {
		return 0
	}
	var live, peak int64
	for _, a := range p.Compute[stage] {
		switch a.Op {
		case Forward:
			live += full[a.Chunk]
			peak = max(peak, live)
		case Pair:
			live += full[a.Chunk]
			peak = max(peak, live)
			live -= full[a.Chunk2]
		case Backward:
			live -= full[a.Chunk]
		case BackwardInput:
			live -= full[a.Chunk] - kept[a.Chunk]
		case BackwardWeight:
			live -= kept[a.Chunk]
		}
	}
	return peak
}

// PeakInFlight is Shape.PeakInFlight of a shape.
func PeakInFlight(k Kind, stages, chunks, micro, stage int) int {
	return Shape{Kind: k, Stages: stages, Chunks: chunks, Micro: micro}.PeakInFlight(stage)
}

// PeakInFlight returns the most activations, one per chunk and microbatch, that
// a stage holds at any moment: Peak with weight 1 everywhere, in closed form. It
// returns 0 for shapes that Shape.Check refuses and stages that do not exist.
func (s Shape) PeakInFlight(stage int) int {
	if stage < 0 || stage >= s.Stages || s.Check() != nil {
		return 0
	}
	stages, micro := s.Stages, s.Micro
	switch s.Kind {
	case GPipe:
		return micro
	case OneFOneB:
		return min(micro, stages-stage)
	case Interleaved:
		return min(micro*s.Chunks, 2*(stages-1-stage)+(s.Chunks-1)*s.GroupSize()+1)
	case ZBH1:
		return min(micro, stages)
	case ZBV:
		return min(2*micro, micro+1+stage, 2*stages)
	case DualPipe:
		return stages + 1
	}
	return 2*stages + 1
}

// Peak returns what Pipeline.Peak returns for this shape, in a time that does
// not depend on the number of microbatches. The first call for a kind, number
// of stages and number of chunks replays a short run; later calls share what it
// found. It may be called from several goroutines.
func (s Shape) Peak(stage int, full, kept []int64) int64 {
	if kept == nil {
		kept = full
	}
	if stage < 0 || stage >= s.Stages || len(full) != s.Chunks || len(kept) != s.Chunks || s.Check() != nil {
		return 0
	}
	if same(full) && (!s.Kind.SplitsBackward() || slices.Equal(full, kept)) {
		return full[0] * int64(s.PeakInFlight(stage))
	}
	var peak int64
	for _, v := range momentsOf(s)[stage] {
		var live int64
		for c, n := range v {
			if c < s.Chunks {
				live += int64(n) * full[c]
			} else {
				live += int64(n) * kept[c-s.Chunks]
			}
		}
		peak = max(peak, live)
	}
	return peak
}

func same(weights []int64) bool {
	for _, w := range weights {
		if w != weights[0] {
			return false
		}
	}
	return true
}

// moment is how many activations of each chunk a stage holds at one time:
// first those held in full, then those kept for a weight gradient.
type moment []int32

// peaks holds the moments, per stage, that can be the peak, by family.
var (
	peaks     sync.Map
	peakCount atomic.Int64
)

func momentsOf(s Shape) [][]moment {
	key := s.family()
	s.Micro, s.Group = s.skeletonMicro(), key.Group
	if m, ok := peaks.Load(key); ok {
		return m.([][]moment)
	}
	out := make([][]moment, s.Stages)
	var p Pipeline
	if p.Reset(s) != nil {
		return out
	}
	for stage := range out {
		out[stage] = p.moments(stage)
	}
	if peakCount.Add(1) <= maxSkeletons {
		peaks.Store(key, out)
	}
	return out
}

// moments returns the moments of a stage that hold no less than any other.
func (p *Pipeline) moments(stage int) []moment {
	var out []moment
	live := make(moment, 2*p.Chunks)
	for _, a := range p.Compute[stage] {
		c, kept := int(a.Chunk), p.Chunks+int(a.Chunk)
		switch a.Op {
		case Forward:
			live[c]++
			out = keepMoment(out, live)
		case Pair:
			live[c]++
			out = keepMoment(out, live)
			live[a.Chunk2]--
		case Backward:
			live[c]--
		case BackwardInput:
			live[c]--
			live[kept]++
		case BackwardWeight:
			live[kept]--
		}
	}
	return out
}

// keepMoment adds a moment unless another holds at least as much of everything,
// and removes those that hold no more than it.
func keepMoment(out []moment, live moment) []moment {
	for _, m := range out {
		if m.covers(live) {
			return out
		}
	}
	out = slices.DeleteFunc(out, live.covers)
	return append(out, slices.Clone(live))
}

func (m moment) covers(n moment) bool {
	for i := range m {
		if m[i] < n[i] {
			return false
		}
	}
	return true
}
