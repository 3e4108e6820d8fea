package memory

import (
	"fmt"

	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/distributed/schedule"
)

// Stage is one pipeline stage, as far as memory depends on it.
type Stage struct {
	Works     *operator.Works
	DP        int    // data parallel replicas; gradients of dense parameters meet over DP*CP ranks
	Zero      int    // 0: nothing sharded; 1: optimizer state; 2: and gradients; 3: and weights
	Optimizer string // adamw, or muon: matrices by Muon, the rest by AdamW
	Offload   string // none, or optimizer: master weights and moments live in host memory
	Recompute operator.Recompute

	Chunks []Chunk            // what the stage holds, by virtual stage
	Order  *schedule.Pipeline // the stage's program: how much is in flight; nil = take Chunk.InFlight
	Index  int                // which stage of the program this is
	Stages int                // pipeline stages; 1 = no pipeline
	Micro  int                // micro-batches in a step; matters to FSDP under a pipeline
}

// Chunk is one virtual stage: a run of consecutive parts of the model.
type Chunk struct {
	schedule.Part
	InFlight float64 // micro-batches whose activations are alive at the stage's worst moment, where Stage.Order is nil
}

// Part is a named amount of memory.
type Part struct {
	Name  string
	Bytes int64
}

// Phase is a moment of the step and what is alive in it.
type Phase struct {
	Name  string
	Parts []Part
	Total int64 // the sum of the parts: what the allocator has handed out
}

// Report is the memory of one rank at the worst moment of a step. The seven parts
// sum to Total exactly.
type Report struct {
	Weights       int64 // what products read, and fp8 copies of it
	Gradients     int64 // what micro-batches accumulate into
	Optimizer     int64 // master weights and moments, where they are on the device
	Activations   int64 // kept for backward passes still to come
	Buffers       int64 // gathered parameters, pipeline messages, placeholders of gradients, libraries
	Workspace     int64 // of what runs at that moment: logits, gradients of activations, what is computed again
	Fragmentation int64 // reserved by the allocator and not handed out, and what never passes it: context, collective library
	Total         int64
	Allocated     int64 // Total without Fragmentation: what frameworks report as most allocated
	Reserved      int64 // what frameworks report as most reserved: without context and collective library
	Host          int64 // host memory that offloading needs
	PeakMoment    string
	Timeline      []Phase // the moments of a step, in order
}

// Check reports the first field that has no meaning, with the nearest legal value.
func (s *Stage) Check() error {
	switch {
	case s.Works == nil:
		return fmt.Errorf("memory: no works, want those of operator.NewWorks")
	case s.DP < 1:
		return fmt.Errorf("memory: dp is %d, want at least 1", s.DP)
	case s.DP > mesh.MaxWorld:
		return fmt.Errorf("memory: dp is %d, want at most %d", s.DP, mesh.MaxWorld)
	case s.Stages < 0 || s.Stages > mesh.MaxWorld:
		return fmt.Errorf("memory: stages is %d, want 1 to %d", s.Stages, mesh.MaxWorld)
	case s.Micro < 0 || float64(s.Micro)*float64(len(s.Chunks))*float64(s.Works.Embedding.Boundary) > 1e17:
		return fmt.Errorf("memory: micro-batches is %d, want at least 1 and few enough for messages of %d bytes each", s.Micro, s.Works.Embedding.Boundary)
	case s.Zero < 0 || s.Zero > 3:
		return fmt.Errorf("memory: zero is %d, want 0 to 3: nearest legal value %d", s.Zero, min(max(s.Zero, 0), 3))
	case s.Optimizer != "adamw" && s.Optimizer != "muon":
		return fmt.Errorf("memory: optimizer is %q, want adamw or muon", s.Optimizer)
	case s.Offload != "" && s.Offload != "none" && s.Offload != "optimizer":
		return fmt.Errorf("memory: offload is %q, want none or optimizer", s.Offload)
	case s.Order != nil && (s.Index < 0 || s.Index >= s.Order.Stages || len(s.Chunks) != s.Order.Chunks):
		return fmt.Errorf("memory: stage %d with %d chunks, want a stage of the program: 0 to %d with %d chunks", s.Index, len(s.Chunks), s.Order.Stages-1, s.Order.Chunks)
	}
	return s.checkParts()
}

func (s *Stage) checkParts() error {
	c := s.Works.Model
	for i, ch := range s.Chunks {
		if ch.First < 0 || ch.Blocks < 0 || ch.First+ch.Blocks > c.NumLayers {
			return fmt.Errorf("memory: chunk %d holds blocks %d to %d, want blocks below num_hidden_layers = %d", i, ch.First, ch.First+ch.Blocks, c.NumLayers)
		}
		if ch.MTP < 0 || ch.MTP > c.NumMTP {
			return fmt.Errorf("memory: chunk %d holds %d MTP depths, want at most %d", i, ch.MTP, c.NumMTP)
		}
	}
	return nil
}
