package memory

import "github.com/temper-ml/temper/cluster/costmodel/operator"

// Of returns the memory of one rank of the stage. The sharding must have passed
// [operator.Sharding.Check].
func Of(s *Stage) *Report {
	var p operator.Parameters
	var r Report
	for _, ch := range s.Chunks {
		var kept int64
		for _, w := range s.works(ch) {
			p = p.Add(w.Parameters)
			kept += w.Kept(s.Recompute)
			r.Workspace = max(r.Workspace, w.BackwardPeak, w.ForwardPeak)
		}
		r.Activations += int64(float64(kept) * ch.InFlight)
	}
	r.state(s, p)
	r.Allocated = r.Weights + r.Gradients + r.Optimizer + r.Activations + r.Buffers + r.Workspace
	r.Fragmentation = int64(float64(r.Allocated) * (s.Numbers.Engine.Fragmentation - 1))
	r.Total = r.Allocated + r.Fragmentation
	r.PeakMoment = "backward of head"
	return &r
}

// works returns the parts of a chunk in the order of the forward pass.
func (s *Stage) works(ch Chunk) []*operator.BlockWork {
	var out []*operator.BlockWork
	if ch.Embedding {
		out = append(out, operator.Embedding(s.Model, s.Sharding, s.Numbers))
	}
	for _, l := range ch.Blocks {
		if s.Model.IsMTP(l) {
			continue
		}
		out = append(out, operator.Block(s.Model, l, s.Sharding, s.Numbers))
	}
	if ch.Head {
		out = append(out, operator.Head(s.Model, s.Sharding, s.Numbers))
	}
	for _, l := range ch.Blocks {
		if s.Model.IsMTP(l) {
			out = append(out, operator.MTP(s.Model, l-s.Model.NumLayers, s.Sharding, s.Numbers))
		}
	}
	return out
}

// state adds weights, gradients and optimizer state.
func (r *Report) state(s *Stage, p operator.Parameters) {
	e := s.Numbers.Engine
	dense := int64(s.DP * s.Sharding.CP)
	expert := max(1, dense*int64(s.Sharding.TP)/int64(s.Sharding.EP*s.Sharding.ETP))
	share := func(values int64, bytes float64, ranks int64, zero int) int64 {
		if s.Zero < zero {
			ranks = 1
		}
		return int64(float64(values) * bytes / float64(ranks))
	}
	both := func(bytes float64, zero int) int64 {
		return share(p.Dense(), bytes, dense, zero) + share(p.Expert, bytes, expert, zero)
	}
	r.Weights = both(e.Weights.Bytes(), 3)
	r.Gradients = both(e.Gradient.Bytes(), 2)
	r.Optimizer = both(e.Master.Bytes()+float64(2*e.Moments.Bytes()), 1)
}
