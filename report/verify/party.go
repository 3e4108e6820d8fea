package verify

import (
	"context"

	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/report/record/trace"
)

// Party is one side of a dispute about a stretch of steps: it has published the
// root of a Merkle tree (RFC 6962) over what its steps left behind, and shows
// parts of it when asked. [Steps] is the tree; a party adds how to trace a step.
type Party interface {
	// Published returns the number of steps and the root.
	Published(ctx context.Context) (n int64, root digest.Digest, err error)
	// Children returns the hashes of the two halves of a node that has both: of
	// steps 2i·2^(level-1) and (2i+1)·2^(level-1) and 2^(level-1) from there, or
	// up to the last.
	Children(ctx context.Context, level int, i int64) (left, right digest.Digest, err error)
	// Step returns the leaf of step i: the text that [StepText] makes of it.
	Step(ctx context.Context, i int64) ([]byte, error)
	// Operators takes step i again and tells of its operators; nil without an
	// error says that the party cannot.
	Operators(ctx context.Context, i int64) (Operators, error)
}

// Operators is one side of a dispute about a step, down to single values.
type Operators interface {
	trace.Party
	// Blocks returns the digests of the blocks of operator i's output.
	Blocks(ctx context.Context, i int64) ([]digest.Digest, error)
	// Block returns the bits of the values of one of these blocks.
	Block(ctx context.Context, i, block int64) ([]uint32, error)
}

// Finding is where two parties first differ, as far as the search got.
type Finding struct {
	// Step counts from 0 in the stretch; Quantity is the first that differs in
	// it, with what each party has.
	Step     int64  `json:"step"`
	Quantity string `json:"quantity"`
	A        string `json:"a"`
	B        string `json:"b"`
	// Operator is the first on which the traces of the step differ; it read
	// nothing but what they agree on. Nil if a party cannot trace the step, or if
	// the traces are equal: then one of the states does not follow from its trace.
	Operator    *trace.Operator `json:"operator,omitempty"`
	TracesEqual bool            `json:"traces_equal,omitempty"`
	// Element is the first value of the operator's output that differs, with the
	// bits that each party has; -1 if the search did not get there.
	Element int64  `json:"element"`
	BitsA   uint32 `json:"bits_a"`
	BitsB   uint32 `json:"bits_b"`
	// Rounds is how often both parties were asked for the halves of a node, at
	// most log2 of the steps and log2 of the operators, each rounded up.
	Rounds int `json:"rounds"`
}

// LieError says that a party contradicted what it had published.
type LieError struct {
	Party string // "a" or "b"
	What  string
}

// Error says who contradicted what.
func (e *LieError) Error() string {
	return "verify: party " + e.Party + " contradicts its root: " + e.What
}
