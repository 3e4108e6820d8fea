// Package operator says what one rank of a training run computes, moves and
// keeps in each part of a model: the list of its matrix products with their
// shapes, the vector kernels with the bytes they move, the messages with their
// sizes, and every tensor that waits for the backward pass. There is no time in
// it; package costmodel turns the lists into seconds and package memory into
// bytes over time.
//
// A part is a transformer block ([Block]), the input embedding ([Embedding]),
// the output head with the loss ([Head]) or an MTP depth ([MTP]). How it is cut
// is a [Sharding], how large a micro-batch is and in which format are [Numbers],
// and what the training program keeps and fuses is an [Engine].
//
// The operations of all ranks add up to the ledger of [arch.Config.FLOPs]
// exactly, the parameters of all ranks to [arch.Config.Count]; tests hold both
// for every family and many shardings.
package operator

import "github.com/temper-ml/temper/distributed/mesh"

// Class says which unit of a device an operator keeps busy.
type Class uint8

// The classes.
const (
	Product        Class = iota // one dense matrix product, Batch of them side by side
	GroupedProduct              // one product per local expert; M is the rows of one expert
	Attention                   // scores and weighted sums: M queries, N attended keys each (a mean), K = width of a head
	Vector                      // pointwise, reductions, permutations: bound by memory
	Collective                  // a message between ranks
)

// String returns the lower-case name of the class.
func (c Class) String() string {
	return name(c, "product", "grouped product", "attention", "vector", "collective")
}

// Pattern is the kind of message of a [Collective].
type Pattern uint8

// The patterns.
const (
	NoPattern     Pattern = iota
	AllGather             // Payload is the gathered size
	ReduceScatter         // Payload is the size before scattering
	AllReduce             // Payload is the size of the reduced tensor
	AllToAll              // Payload is what one rank sends, its own share included
	SendRecv              // Payload is what one rank sends in all steps of a ring together
)

// String returns the lower-case name of the pattern.
func (p Pattern) String() string {
	return name(p, "none", "all-gather", "reduce-scatter", "all-reduce", "all-to-all", "send-receive")
}

// Axis names the group of ranks that a [Collective] runs over.
type Axis = mesh.Axis

// The axes that a block communicates over.
const (
	TP  = mesh.TP
	CP  = mesh.CP
	EP  = mesh.EP
	ETP = mesh.ETP
)

// DType is the number format of a product or of a stored tensor.
type DType string

// The formats.
const (
	FP32  DType = "fp32"
	BF16  DType = "bf16"
	FP16  DType = "fp16"
	FP8   DType = "fp8"
	MXFP8 DType = "mxfp8"
	FP4   DType = "fp4"
)

// Bytes returns the size of one value, scales left out; 2 for unknown formats.
func (d DType) Bytes() float64 {
	switch d {
	case FP32:
		return 4
	case FP8, MXFP8:
		return 1
	case FP4:
		return 0.5
	}
	return 2
}

func (d DType) known() bool {
	switch d {
	case FP32, BF16, FP16, FP8, MXFP8, FP4:
		return true
	}
	return false
}

// Quantised reports whether products in this format need scaled copies of their
// operands.
func (d DType) Quantised() bool { return d == FP8 || d == MXFP8 || d == FP4 }

// Operator is one thing that a rank does: a product, a kernel over vectors, or a
// message. All sizes are of one rank and one micro-batch.
type Operator struct {
	Name   string // component of the ledger: attn.query, experts, ...
	Part   string // which operator of the component: wq_b, dispatch, ...
	Class  Class
	Module Module // what recomputing drops and runs it again

	Batch, M, N, K int64   // shapes: Batch products of M x K by K x N
	DType          DType   // of the operands
	FLOPs          float64 // a multiply-add is two; scores that flash attention forms again are in Extra
	Extra          float64 // further operations of the same unit that the ledger does not count
	Bytes          float64 // moved to and from device memory
	Launches       int     // kernels started
	Share          float64 // of it that runs again when the choice by operator is made; 0 = all, if Module says so at all
	Copies         int     // ranks that do this same work redundantly; 1 = each rank its own share

	Pattern Pattern // of a [Collective]
	Axis    Axis    // of a [Collective]: the group
	Payload float64 // of a [Collective]: bytes, see [Pattern]
	TopK    int     // of an [AllToAll] that merges copies of a token for one node: how many there are; 0 = it does not
	Fanout  int     // of an [AllToAll]: groups of experts that a token may go to at most; 0 = no limit
	Groups  int     // of an [AllToAll]: how many of those there are
	Overlap bool    // the engine runs it beside other operators of the same block (async TP, EP overlap)
}

// name returns the i-th word, or "unknown".
func name[T ~uint8](i T, words ...string) string {
	if int(i) < len(words) {
		return words[i]
	}
	return "unknown"
}
