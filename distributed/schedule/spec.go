package schedule

import (
	"fmt"
	"slices"

	"github.com/temper-ml/temper/distributed/mesh"
)

// Spec is everything that decides the program of a step.
type Spec struct {
	Mesh   mesh.Mesh // PP is the number of pipeline stages
	Kind   Kind
	Chunks int // chunks per stage
	Micro  int // microbatches per step and data-parallel rank
	Group  int // of an interleaved schedule, as in Shape
	Split  Split

	// Experts says of every block whether its feed-forward part is a mixture of
	// experts; nil means none is. MTP modules are like the last block.
	Experts []bool
	// Zero is what the ranks of a data-parallel group keep only a share of:
	// 0 nothing, 1 optimizer state, 2 gradients too, 3 parameters too. Dense
	// parameters are shared over dpcp, expert parameters over edp.
	Zero int
	// Recompute is what a backward computes again instead of having it kept.
	Recompute Recompute
	// Offload is what lives in host memory between steps.
	Offload Offload
	// Overlap says what runs beside the computation.
	Overlap Overlap
	// Sequence shards activations between the split products of tensor
	// parallelism along the sequence.
	Sequence bool
	// Tied says that the head uses the matrix of the embedding, as MTP modules
	// always do.
	Tied bool
	// Checkpoint saves the training state at the end of the step.
	Checkpoint bool
}

// Recompute is a choice of what is computed again in the backward pass.
type Recompute string

// The choices of recomputation; the empty string is RecomputeNone.
const (
	RecomputeNone      Recompute = "none"
	RecomputeSelective Recompute = "selective" // the attention part of every block
	RecomputeFull      Recompute = "full"      // every block, from its input
)

// Offload is a choice of what lives in host memory.
type Offload string

// The choices of offloading; the empty string is OffloadNone.
const (
	OffloadNone Offload = "none"
	OffloadSwap Offload = "swap" // optimizer state comes to the device for the update and goes back
	OffloadHost Offload = "host" // the host updates: gradients go there, parameters come back
)

// Overlap says which communication runs beside the computation.
type Overlap struct {
	Sends      bool // sends and receives between stages; otherwise a sender waits for its receiver
	Gradients  bool // gradient reductions, beside the remaining backwards
	Parameters bool // parameter gathers, beside the forwards before their use
}

// Shape returns the pipeline of the spec.
func (s *Spec) Shape() Shape {
	return Shape{Kind: s.Kind, Stages: s.Mesh.PP, Chunks: s.Chunks, Micro: s.Micro, Group: s.Group}
}

// Check reports the first rule that the spec breaks.
func (s *Spec) Check() error {
	if err := s.Mesh.Check(); err != nil {
		return err
	}
	shape := s.Shape()
	if err := shape.Check(); err != nil {
		return err
	}
	if err := s.Split.Check(); err != nil {
		return err
	}
	if n := shape.Positions(); len(s.Split.Parts) != n {
		return fmt.Errorf("schedule: the split has %d parts, must have stages*chunks = %d, one per position of %v", len(s.Split.Parts), n, shape)
	}
	if n := s.Split.Blocks(); s.Experts != nil && len(s.Experts) != n {
		return fmt.Errorf("schedule: experts are given for %d blocks, must be for all %d blocks of the split", len(s.Experts), n)
	}
	if s.Zero < 0 || s.Zero > 3 {
		return fmt.Errorf("schedule: zero is %d, must lie in 0..3, nearest legal value %d", s.Zero, min(max(s.Zero, 0), 3))
	}
	if !s.Overlap.Sends && shape.Stages > 1 && !s.Kind.AllowsBlockingSends() {
		return fmt.Errorf("schedule: overlap of sends is off, must be on for %s: stages would wait for each other's sends", s.Kind)
	}
	if err := s.checkShared(); err != nil {
		return err
	}
	if all := []Recompute{"", RecomputeNone, RecomputeSelective, RecomputeFull}; !slices.Contains(all, s.Recompute) {
		return fmt.Errorf("schedule: recompute is %q, must be one of %v", s.Recompute, all[1:])
	}
	if all := []Offload{"", OffloadNone, OffloadSwap, OffloadHost}; !slices.Contains(all, s.Offload) {
		return fmt.Errorf("schedule: offload is %q, must be one of %v", s.Offload, all[1:])
	}
	return nil
}

// checkShared checks that ranks which hold the same tokens or parameters can
// tell what is theirs.
func (s *Spec) checkShared() error {
	m := s.Mesh
	if slices.Contains(s.Experts, true) && m.TP > 1 && !s.Sequence && m.ETP != m.TP {
		return fmt.Errorf("schedule: etp is %d without sequence parallelism, must be tp = %d: ranks with the same tokens would count them again, nearest legal value %d", m.ETP, m.TP, m.TP)
	}
	if s.Kind != DualPipe {
		return nil
	}
	last := len(s.Split.Parts) - 1
	for q, p := range s.Split.Parts {
		if q > 0 && q < last && s.sharesEmbedding(p) {
			return fmt.Errorf("schedule: dualpipe: part %d of the split holds MTP modules or a tied head, which must be in the last part, on the stages of the embedding, nearest legal value %d", q, last)
		}
	}
	return nil
}

// sharesEmbedding reports whether a part uses the matrix of the embedding.
func (s *Spec) sharesEmbedding(p Part) bool {
	return p.Embedding || p.MTP > 0 || p.Head && s.Tied
}

// hasExperts reports whether a block, or an MTP module counted after the
// blocks, holds routed experts.
func (s *Spec) hasExperts(block int) bool {
	return len(s.Experts) > 0 && s.Experts[min(block, len(s.Experts)-1)]
}

// parameters says which kinds of parameters a part holds.
func (s *Spec) parameters(p Part) (dense, expert bool) {
	for b := range p.Blocks {
		expert = expert || s.hasExperts(p.First+b)
	}
	if p.MTP > 0 {
		expert = expert || s.hasExperts(s.Split.Blocks())
	}
	return p.Blocks > 0 || p.MTP > 0 || p.Embedding || p.Head, expert
}
