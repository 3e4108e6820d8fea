package memory

// state is what outlives the passes: weights, gradients and optimizer state.
type state struct {
	weights, gradients, optimizer, host int64
}

// sizes are bytes per parameter of each part of the state, and the lowest ZeRO
// level that shards the part.
func (s *Stage) state(t *contents) state {
	e := s.Works.Numbers.Engine
	p := t.params
	trained, expert := float64(p.Dense()-p.Frozen), float64(p.Expert)
	var out state
	if !e.ReuseMaster && !(e.FSDP && s.Zero == 3) { // gathered weights are buffers, not state
		out.weights = s.share(3, e.Weights.Bytes()*float64(p.Dense()), e.Weights.Bytes()*expert)
	}
	out.weights += int64(e.FP8Copies*float64(p.Quantised)) + 8*p.Hash
	out.gradients = s.share(2, e.Gradient.Bytes()*trained, e.Gradient.Bytes()*expert)
	moments := e.Moments.Bytes()
	dense, experts := (e.Master.Bytes()+float64(2*moments))*trained, (e.Master.Bytes()+float64(2*moments))*expert
	if s.Optimizer == "muon" { // one moment for matrices
		dense -= float64(moments * float64(p.Muon))
		experts -= float64(moments * float64(p.MuonExpert))
	}
	out.optimizer = s.share(1, dense, experts)
	if s.Offload == "optimizer" {
		out.host, out.optimizer = out.optimizer, 0
	}
	return out
}

// share divides bytes over the ranks that hold equal parameters, if the ZeRO
// level says so: dense ones over DP*CP, experts over what is left of the block of
// TP*CP*DP ranks when EP*ETP share them.
func (s *Stage) share(level int, dense, expert float64) int64 {
	if s.Zero < level {
		return int64(dense + expert)
	}
	x := s.Works.Sharding
	replicas := s.DP * x.CP
	return int64(dense/float64(replicas) + expert/float64(max(1, replicas*x.TP/(x.EP*x.ETP))))
}
