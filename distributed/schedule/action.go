package schedule

import "fmt"

// Op says what an action or instruction does.
type Op uint8

// The first five operations fill Pipeline.Compute; the others appear only in
// the instruction lists of a Program.
const (
	Forward        Op = iota // the forward pass of one chunk on one microbatch
	Backward                 // its backward pass: gradients of input and weights
	BackwardInput            // only the gradient of the input, which the previous chunk waits for
	BackwardWeight           // only the gradient of the weights, which nobody waits for
	Pair                     // one forward and one backward whose communication and compute overlap

	SendForward  // hand an activation to the next chunk
	RecvForward  // wait for an activation from the previous chunk
	SendBackward // hand a gradient to the previous chunk
	RecvBackward // wait for a gradient from the next chunk

	GatherParameters // all-gather sharded parameters of a chunk before they are used
	ReduceGradients  // reduce the gradients of a chunk over their data-parallel group
	ReduceReplicated // add up the gradients of parameters that every tensor-parallel rank holds but uses for its share of the sequence: norms, routers
	ReduceTied       // add up the gradients of parameters that two stages hold
	Norm             // all-reduce of the squared gradient norm: anomaly check and clipping
	OffloadIn        // copy optimizer state from host memory
	Optimizer        // update the parameters this rank owns
	OffloadOut       // copy optimizer state back to host memory
	GatherUpdated    // all-gather the updated parameters
	Checkpoint       // save the training state

	TensorGather  // TP or ETP: all-gather the tokens before a split product
	TensorScatter // TP or ETP: add up the partial sums after it, and scatter them over the tokens where these differ
	ContextGather // CP: exchange keys and values of the sequence, or their gradients
	Dispatch      // EP: all-to-all that sends tokens to their experts
	Combine       // EP: all-to-all that brings them back
	Attention     // the attention part of one block
	FeedForward   // the dense feed-forward part of one block
	Experts       // the routed experts of one block
	Embedding     // look up the input embedding
	Prediction    // the entry of one multi-token-prediction module, with its look-up of the input embedding
	Head          // project to the vocabulary and take the loss
	ops
)

var opNames = [ops]string{
	"forward", "backward", "backward-input", "backward-weight", "pair",
	"send-forward", "recv-forward", "send-backward", "recv-backward",
	"gather-parameters", "reduce-gradients", "reduce-replicated", "reduce-tied", "norm",
	"offload-in", "optimizer", "offload-out", "gather-updated", "checkpoint",
	"tensor-gather", "tensor-scatter", "context-gather", "dispatch", "combine",
	"attention", "feed-forward", "experts", "embedding", "prediction", "head",
}

// String returns the name of the operation, such as "send-forward".
func (o Op) String() string {
	if o >= ops {
		return fmt.Sprintf("op(%d)", uint8(o))
	}
	return opNames[o]
}

// IsCompute reports whether the operation may stand in Pipeline.Compute.
func (o Op) IsCompute() bool { return o <= Pair }

// Action is one step of one stage's compute order. Chunk and Micro say which
// part of the stage works on which microbatch. A Pair runs the forward of
// (Chunk, Micro) together with the full backward of (Chunk2, Micro2); other
// operations leave Chunk2 and Micro2 zero.
type Action struct {
	Micro, Micro2 int32
	Chunk, Chunk2 uint8
	Op            Op
}

// String writes an action as the pictures do: F, B, I (input) or W (weight), the
// microbatch, and after a dot the chunk: "F3.0", or "F9.1&B2.0" for a pair.
func (a Action) String() string {
	switch a.Op {
	case Forward:
		return fmt.Sprintf("F%d.%d", a.Micro, a.Chunk)
	case Backward:
		return fmt.Sprintf("B%d.%d", a.Micro, a.Chunk)
	case BackwardInput:
		return fmt.Sprintf("I%d.%d", a.Micro, a.Chunk)
	case BackwardWeight:
		return fmt.Sprintf("W%d.%d", a.Micro, a.Chunk)
	case Pair:
		return fmt.Sprintf("F%d.%d&B%d.%d", a.Micro, a.Chunk, a.Micro2, a.Chunk2)
	}
	return fmt.Sprintf("%v(%d.%d)", a.Op, a.Micro, a.Chunk)
}
