package verify

import (
	"context"

	"github.com/temper-ml/temper/report/record"
)

// Party is one side of a dispute about a stretch of steps: it has taken them,
// or can take them again, and answers questions about what it got. Digests are
// chained, so that two parties that have parted never look equal again:
//
//	Chain 0                          the empty digest
//	Chain n+1 = Link(Chain n, item)  for the item that comes next
//
// Items are the states after steps ([Party.State]) and, within one step, the
// outputs of its operators in the order in which they are computed
// ([Party.Output]).
type Party interface {
	// Chain is the chain over the states after the first n steps of the stretch.
	Chain(ctx context.Context, n int64) (record.Digest, error)
	// State is the item of step n (from 0): digests of the state after it, as
	// canonical bytes.
	State(ctx context.Context, n int64) ([]byte, error)
	// Operators is how many operators step n has.
	Operators(ctx context.Context, n int64) (int64, error)
	// OperatorChain is the chain over the outputs of the first k operators of step n.
	OperatorChain(ctx context.Context, n, k int64) (record.Digest, error)
	// Output is the output of operator k of step n.
	Output(ctx context.Context, n, k int64) (*Output, error)
	// Prefix is the SHA-256 of the first m elements of that output, 4 bytes
	// each, little-endian.
	Prefix(ctx context.Context, n, k, m int64) (record.Digest, error)
	// Element is the bits of element m of that output.
	Element(ctx context.Context, n, k, m int64) (uint32, error)
}

// Output names what an operator computed.
type Output struct {
	// Operator is its name, the same for both parties; Tensor what it computed.
	Operator string `json:"operator"`
	Tensor   string `json:"tensor"`
	// Size is the number of elements, Digest the SHA-256 of all, 4 bytes each,
	// little-endian.
	Size   int64         `json:"size"`
	Digest record.Digest `json:"digest"`
}
