package schedule

// Peak returns the most a stage holds in activations at any moment, exactly, by
// replaying its order. full[chunk] is what one microbatch of a chunk keeps from
// the start of its forward to the end of its backward. Where backwards are
// split, kept[chunk] of it stays from the end of the input gradient to the end
// of the weight gradient; nil means all of it.
func (p *Pipeline) Peak(stage int, full, kept []int64) int64 {
	if kept == nil {
		kept = full
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

// PeakInFlight returns the most activations, one per chunk and microbatch, that
// a stage holds at any moment: Peak with weight 1 everywhere.
func PeakInFlight(k Kind, stages, chunks, micro, stage int) int {
	p, err := NewPipeline(k, stages, chunks, micro)
	if err != nil || stage < 0 || stage >= stages {
		return 0
	}
	ones := make([]int64, chunks)
	for i := range ones {
		ones[i] = 1
	}
	return int(p.Peak(stage, ones, nil))
}
