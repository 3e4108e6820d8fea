package memory

import (
	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/model/arch"
)

// Stage is one pipeline stage, as far as memory depends on it.
type Stage struct {
	Model     *arch.Config
	Sharding  operator.Sharding
	Numbers   operator.Numbers
	DP        int    // data parallel replicas; gradients of dense parameters meet over DP*CP ranks
	Zero      int    // 0: nothing sharded; 1: optimizer state; 2: and gradients; 3: and weights
	Optimizer string // adamw or muon
	Recompute operator.Recompute
	Offload   string // none, or optimizer: what lives in host memory
	Chunks    []Chunk
	First     bool // the stage holds the start of the pipeline, and receives nothing
	Last      bool // the stage holds its end
	Pipeline  int  // stages; 1 = no pipeline
}

// Chunk is one virtual stage: a run of consecutive parts of the model.
type Chunk struct {
	Blocks    []int // block indexes, MTP blocks after the trunk's
	Embedding bool
	Head      bool
	InFlight  float64 // micro-batches whose activations are alive at the stage's worst moment
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
	Total int64 // the sum of the parts
}

// Report is the memory of one rank. The parts sum to Total exactly; they are
// those of the moment named by PeakMoment.
type Report struct {
	Weights       int64 // what products read, gathered or not
	Gradients     int64
	Optimizer     int64 // master weights and moments on the device
	Activations   int64 // kept for backward passes still to come
	Buffers       int64 // of collectives, gathered parameters included
	Workspace     int64 // temporaries of the operators that run at that moment, logits included
	Fragmentation int64 // reserved by the allocator, but not allocated
	Total         int64
	Allocated     int64 // Total without Fragmentation
	Host          int64 // host memory that offloading needs
	PeakMoment    string
	Timeline      []Phase
}
