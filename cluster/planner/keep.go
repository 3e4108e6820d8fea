package planner

import (
	"github.com/temper-ml/temper/cluster/costmodel/operator"
)

// A keeper is the closed form of package memory: what the fullest moment of a
// step needs on a rank, from sums over the parts of its stage. It equals
// memory.Of to the byte, which the tests hold it to.
type keeper struct {
	engine                             *operator.Engine
	weights, gradient, master, moments float64 // bytes per value
	muon                               bool
	denseRanks, expertRanks            float64 // ranks that hold equal parameters
	stages, micro, chunks              int
	table, boundary                    int64 // values of the input embedding; bytes a pipeline sends on
	fsdp                               bool  // FSDP: products read gathered master weights, there is no other copy
}

func newKeeper(e *operator.Engine, optimizer string) keeper {
	master := e.Master.Bytes()
	if e.ReuseMaster { // the optimizer keeps the lower halves alone
		master -= e.Weights.Bytes()
	}
	return keeper{
		engine: e, weights: e.Weights.Bytes(), gradient: e.Gradient.Bytes(), master: master, moments: e.Moments.Bytes(),
		muon: optimizer == "muon", fsdp: e.FSDP,
	}
}

// holding is what one stage holds.
type holding struct {
	parameters operator.Parameters // with copies of tables
	live       int64               // activations at the worst moment
	one        int64               // activations of one micro-batch of the first chunk
	root       int64               // values of tables
	largest    int64               // values of the largest block
	shapes     int64               // values of the distinct matrices
	head       int64               // temporaries at the worst moment of the head's backward pass, -1 without a head
	mtp        int64               // the same of MTP depths
	block      int64               // the same of blocks
	embedding  int64               // bytes of the gradient of the embedding, -1 without one

	weightsDense, weightsExpert     float64 // bytes of state, before any sharding
	gradientDense, gradientExpert   float64
	optimizerDense, optimizerExpert float64
	fixed                           int64
}

// settle computes the state of a stage, once for all choices of sharding it.
func (k *keeper) settle(h *holding) {
	p, e := &h.parameters, k.engine
	trained, expert := float64(p.Dense()-p.Frozen), float64(p.Expert)
	h.weightsDense, h.weightsExpert = k.weights*float64(p.Dense()), k.weights*expert
	h.gradientDense, h.gradientExpert = k.gradient*trained, k.gradient*expert
	h.optimizerDense, h.optimizerExpert = (k.master+float64(2*k.moments))*trained, (k.master+float64(2*k.moments))*expert
	if k.muon {
		h.optimizerDense -= float64(k.moments * float64(p.Muon))
		h.optimizerExpert -= float64(k.moments * float64(p.MuonExpert))
	}
	h.fixed = int64(e.FP8Copies*float64(p.Quantised)) + 8*p.Hash
}

// share divides bytes over the ranks that hold equal parameters.
func (k *keeper) share(divide bool, dense, expert float64) int64 {
	if !divide {
		return int64(dense + expert)
	}
	return int64(dense/k.denseRanks + expert/k.expertRanks)
}

// total returns the bytes that a rank needs of device and of host memory.
func (k *keeper) total(h *holding, zero int, offload bool) (device, host int64) {
	state := h.fixed
	if !(k.fsdp && zero == 3) {
		state += k.share(zero >= 3, h.weightsDense, h.weightsExpert)
	}
	state += k.share(zero >= 2, h.gradientDense, h.gradientExpert)
	optimizer := k.share(zero >= 1, h.optimizerDense, h.optimizerExpert)
	if offload {
		host, optimizer = optimizer, 0
	}
	allocated := state + optimizer + k.worst(h, zero == 3)
	reserved := int64(float64(allocated) * k.engine.Fragmentation)
	return reserved + k.engine.Runtime, host
}

// worst returns what is alive beside the state at the worst moment.
func (k *keeper) worst(h *holding, gathered bool) int64 {
	steady := k.engine.Libraries + h.shapes
	switch {
	case k.stages > 1 && k.engine.EagerMessages:
		steady += int64(3*k.micro*k.chunks) * k.boundary
	case k.stages > 1:
		steady += 2 * k.boundary
	}
	var weights, block, root int64 // gathered; gradients of a block and of tables
	if gathered {
		weights, block, root = k.gathered(h)
	}
	most := max(0, min(h.one, h.live)+weights)
	if h.head >= 0 {
		most = max(most, h.live+weights+root+h.head)
	}
	if h.mtp >= 0 {
		most = max(most, h.live+weights+root+h.mtp)
	}
	if h.block >= 0 {
		most = max(most, h.live+weights+block+h.block)
	}
	if h.embedding >= 0 {
		most = max(most, max(0, h.live-h.one)+weights+h.embedding)
	}
	if k.muon {
		most = max(most, int64(3*k.weights*float64(h.parameters.Largest)))
	}
	return steady + most
}

// gathered returns what sharded weights have been gathered, and the
// gradients it holds while they are reduced: of a block, and of tables.
func (k *keeper) gathered(h *holding) (weights, block, root int64) {
	all := float64(h.parameters.Total())
	weights = int64(k.weights * float64(h.root+2*h.largest))
	if k.stages > 1 {
		weights = int64(k.weights * all)
	}
	if k.stages > 1 && k.micro > 1 {
		block = int64(k.gradient*all) + int64(k.weights*float64(h.largest))
		return weights, block, block
	}
	block = int64((k.weights + float64(2*k.gradient)) * float64(h.largest))
	return weights, block, int64(k.weights * float64(k.table))
}
