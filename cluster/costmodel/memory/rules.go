package memory

import "github.com/temper-ml/temper/cluster/costmodel/operator"

// Rules is everything but a stage's contents that memory depends on: how state is
// shared, and what the engine holds beside it.
type Rules struct {
	Engine         *operator.Engine
	Replicas       int // ranks with equal dense parameters: DP*CP
	ExpertReplicas int // ranks with equal experts
	Zero           int
	Muon           bool
	Offload        bool // optimizer state lives in host memory
	Stages         int
	Micro          int
	Chunks         int // of this stage
}

// Rules returns the rules of a stage.
func (s *Stage) Rules() Rules {
	x := s.Works.Sharding
	replicas := s.DP * x.CP
	return Rules{
		Engine: s.Works.Numbers.Engine, Replicas: replicas, ExpertReplicas: max(1, replicas*x.TP/(x.EP*x.ETP)),
		Zero: s.Zero, Muon: s.Optimizer == "muon", Offload: s.Offload == "optimizer",
		Stages: s.Stages, Micro: s.Micro, Chunks: len(s.Chunks),
	}
}

// state is what outlives the passes.
type state struct {
	weights, gradients, optimizer, host int64
}

// state adds up weights, gradients and optimizer state.
func (r *Rules) state(t *Contents) state {
	e, p := r.Engine, &t.Parameters
	trained, expert := float64(p.Dense()-p.Frozen), float64(p.Expert)
	var out state
	if !(e.FSDP && r.sharded()) { // FSDP gathers from the master weights: there is no other copy
		out.weights = r.share(3, e.Weights.Bytes()*float64(p.Dense()), e.Weights.Bytes()*expert)
	}
	out.weights += int64(e.FP8Copies*float64(p.Quantised)) + 8*p.Hash
	out.gradients = r.share(2, e.Gradient.Bytes()*trained, e.Gradient.Bytes()*expert)
	moments := e.Moments.Bytes()
	each := e.Master.Bytes() + float64(2*moments)
	if e.ReuseMaster { // the optimizer keeps the lower halves alone
		each -= e.Weights.Bytes()
	}
	dense, experts := each*trained, each*expert
	if r.Muon { // one moment for matrices
		dense -= float64(moments * float64(p.Muon))
		experts -= float64(moments * float64(p.MuonExpert))
	}
	out.optimizer = r.share(1, dense, experts)
	if r.Offload {
		out.host, out.optimizer = out.optimizer, 0
	}
	return out
}

// share divides bytes over the ranks that hold equal parameters, if the ZeRO
// level says so.
func (r *Rules) share(level int, dense, expert float64) int64 {
	if r.Zero < level {
		return int64(dense + expert)
	}
	return int64(dense/float64(r.Replicas) + expert/float64(r.ExpertReplicas))
}

// sharded reports whether weights are sharded between uses, by any engine.
func (r *Rules) sharded() bool { return r.Zero == 3 }

// steady are the buffers that stay: placeholders of gradients, library
// workspaces, and the messages of the pipeline.
func (r *Rules) steady(t *Contents) int64 {
	sum := r.Engine.Libraries
	for _, shape := range t.shapes {
		sum += int64(r.Engine.Weights.Bytes() * float64(shape.Len()))
	}
	switch {
	case r.Stages > 1 && r.Engine.EagerMessages:
		sum += int64(3*r.Micro*r.Chunks) * t.Boundary
	case r.Stages > 1:
		sum += 2 * t.Boundary
	}
	return sum
}

// gathered are the weights that FSDP has gathered: the tables, and two blocks, the
// one that runs and the next. Under a pipeline everything stays gathered.
func (r *Rules) gathered(t *Contents) int64 {
	switch {
	case !r.sharded():
		return 0
	case r.Stages > 1:
		return int64(r.Engine.Weights.Bytes() * float64(t.Parameters.Total()))
	}
	return int64(r.Engine.Weights.Bytes() * float64(t.Tables+2*t.Largest))
}

// blockGradient is what FSDP holds while a block's gradients are reduced: the
// gradients, and the message of this block and of the one before it. Under a
// pipeline gradients of all micro-batches are summed before they are reduced.
func (r *Rules) blockGradient(t *Contents) int64 {
	e := r.Engine
	switch {
	case !r.sharded():
		return 0
	case r.Stages > 1 && r.Micro > 1:
		return int64(e.Gradient.Bytes()*float64(t.Parameters.Total())) + int64(e.Weights.Bytes()*float64(t.Largest))
	}
	return int64((e.Weights.Bytes() + float64(2*e.Gradient.Bytes())) * float64(t.Largest))
}

// tableGradient is the same while the head's gradient is formed.
func (r *Rules) tableGradient(t *Contents) int64 {
	switch {
	case !r.sharded():
		return 0
	case r.Stages > 1 && r.Micro > 1:
		return r.blockGradient(t)
	}
	return int64(r.Engine.Weights.Bytes() * float64(t.Table))
}

// optimizerWorkspace is what the step needs beside its state: Muon brings the
// largest matrix together and multiplies it with itself, in three copies.
func (r *Rules) optimizerWorkspace(t *Contents) int64 {
	if !r.Muon {
		return 0
	}
	return int64(3 * r.Engine.Weights.Bytes() * float64(t.Parameters.Largest))
}
