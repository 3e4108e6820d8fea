package deepseek

import (
	"fmt"

	"github.com/temper-ml/temper/nn"
)

// Recompute says which activations the forward pass keeps for the backward
// pass and which are computed a second time. Gradients have the same bits for
// every choice.
type Recompute int

// The choices, from most memory to least.
const (
	// RecomputeNone keeps everything.
	RecomputeNone Recompute = iota
	// RecomputeSelective keeps the inputs and outputs of attention and expert
	// sublayers and computes their insides again.
	RecomputeSelective
	// RecomputeFull keeps only the input of each block.
	RecomputeFull
)

var recomputeNames = [...]string{"none", "selective", "full"}

// String returns the name used in recipes.
func (r Recompute) String() string { return recomputeNames[r] }

// ParseRecompute reads a name: none, selective or full.
func ParseRecompute(name string) (Recompute, error) {
	for i, n := range recomputeNames {
		if n == name {
			return Recompute(i), nil
		}
	}
	return 0, fmt.Errorf("deepseek: recompute %q, want none, selective or full", name)
}

// StepOptions says how a training step weighs the losses and spends memory. The
// gradient that a step adds is that of
//
//	LMScale · Σ -log p(label) + MTPScale · Σ -log p(mtp label)
//	  + BalanceScale · Σ balance loss + IndexerScale · Σ indexer loss
//
// with sums over supervised positions, over segments and learned routers, and
// over tokens and CSA layers. A token mean over a whole optimizer step has
// LMScale = 1/N, N counted before its first micro-batch.
type StepOptions struct {
	LMScale      float32
	MTPScale     float32 // 0 skips the MTP blocks altogether
	BalanceScale float32
	IndexerScale float32 // 0 leaves the indexer without gradient
	Recompute    Recompute
	// Ready, if not nil, is called when a layer's gradients are complete for this
	// micro-batch: MTP blocks first, then the trunk's last layer to its first,
	// then -1 for embedding, head and final norm.
	Ready nn.ReadyFunc
}
