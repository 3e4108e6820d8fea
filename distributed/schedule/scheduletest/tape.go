package scheduletest

import "github.com/temper-ml/temper/distributed/schedule"

// tape is what one microbatch leaves on one chunk between its forward and its
// backward.
type tape struct {
	micro  int // of the global batch
	pieces []*piece
	halved bool    // its input gradient is done
	output [][]num // hidden states after the part
}

// piece is one product of a part, with what surrounds it.
type piece struct {
	op     schedule.Op
	block  int
	stream int   // hidden state that it adds to: 0 of the model, k of MTP module k-1
	x      []num // hidden state before it, of the local tokens
	in     []num // what the product reads, from token first of the sequence on
	first  int
	all    []num   // attention: the same of the whole sequence
	routed *routed // experts: which tokens go where
	out    []num   // what the product made; of the local tokens in the end
	result []num   // hidden state after it

	dout []num // gradient of the result, of the local tokens
	dy   []num // gradient of what the product made
	din  []num // gradient of what it read; of the local tokens in the end
	dall []num // attention: of the keys and values of the whole sequence
	dz   []num // head: gradient of the logits, by token and row
	ran  bool  // the product has run in this pass
}

// forget drops what a full recomputation of its block makes again.
func (c *piece) forget(firstOfBlock bool) {
	if !firstOfBlock {
		c.x = nil
	}
	c.in, c.all, c.routed, c.out, c.result = nil, nil, nil, nil, nil
}

// routed is where the tokens of one piece go: each to the ranks of its experts
// and, where these are split, to all ranks that hold a slice.
type routed struct {
	home    []entry // by local token and expert
	sent    [][]int // entries of home by receiver; nil if none leave
	counts  []int   // entries by sender
	entries []entry // what this rank is to compute
	shares  []int   // entries by rank of the slices; nil if not gathered
	all     []entry // entries of all of them
	out     []num   // results, of all, then entries, then home
	dall    []num   // gradients of the results of all
	d       []num   // gradients on their way, like out
}

// entry is one token for one expert.
type entry struct {
	micro, token, expert int
	h                    num
}

// isCore reports whether a piece of work is a product or a look-up.
func isCore(op schedule.Op) bool { return op >= schedule.Attention }

// begins reports whether a piece of work comes before the product, so that the
// piece before it is over.
func begins(op schedule.Op, back bool) bool {
	return isCore(op) || op == schedule.TensorGather || op == schedule.Dispatch || op == schedule.ContextGather && !back
}
