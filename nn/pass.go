package nn

import (
	"fmt"
	"math"
)

// Segment is one isolated sequence of a micro-batch: tokens Start to End-1.
// Positions, attention, compression blocks and label shifts restart in it.
type Segment struct {
	Start, End int
}

// Len returns the number of tokens.
func (s Segment) Len() int { return s.End - s.Start }

// CheckSegments tells whether segs covers tokens 0 to n-1 without gaps,
// overlaps or empty segments.
func CheckSegments(segs []Segment, n int) error {
	at := 0
	for i, s := range segs {
		if s.Start != at || s.End <= s.Start {
			return fmt.Errorf("nn: segment %d is [%d, %d), want one that starts at %d and is not empty", i, s.Start, s.End, at)
		}
		at = s.End
	}
	if at != n {
		return fmt.Errorf("nn: segments end at token %d, the batch at %d", at, n)
	}
	return nil
}

// Pass is what every layer sees of the micro-batch being processed.
type Pass struct {
	// Arena gives scratch memory and memory for activations.
	Arena *Arena
	// Tokens are the ids of the T tokens.
	Tokens []int32
	// Segments cover the tokens in order.
	Segments []Segment
	// BalanceScale multiplies the gradient of the router's sequence balance loss.
	BalanceScale float32
	// IndexerScale multiplies the gradient of the indexer's own loss.
	IndexerScale float32

	// Given, if not nil, are choices that blocks must make, by block and then by
	// segment. Blocks from len(Given) on choose freely.
	Given [][]Choices

	// Watch, if not nil, is shown what operators compute; then Rows[i] is how many
	// of Segments belong to the batch's rows up to and including i.
	Watch *Watch
	Rows  []int
	place Place
	least int // tokens of the shortest segment shown
}

// Choices are what a block must choose for the first tokens of a segment, in place
// of what it would; those after them choose freely. Only indices are given: weights
// and scores are computed as ever, and so are their gradients.
type Choices struct {
	// Experts are those of each token, K for each, ascending.
	Experts []int32
	// Picks are the compressed entries that each token attends, ascending: those of
	// token t from Starts[t] up to Starts[t+1]; as many as it would choose, none where
	// it sees no more than that.
	Picks, Starts []int32
}

// Choices returns what is given to the block that runs, by segment; nil if nothing is.
func (p *Pass) Choices() []Choices {
	if l := p.place.Layer; l >= 0 && l < len(p.Given) {
		return p.Given[l]
	}
	return nil
}

// T returns the number of tokens.
func (p *Pass) T() int { return len(p.Tokens) }

// ReadyFunc is told, during a backward pass, that the gradients of a layer's
// parameters are complete for this micro-batch, so that their reduction over
// ranks can start while the pass goes on.
type ReadyFunc func(layer int)

// termUnit is 2^-28 nats, finer than the float32 rounding of a loss near 1.
const termUnit = 0x1p-28

// Term rounds one term of a reported sum to a multiple of 2^-28. Such terms add
// up without rounding as long as sums stay below 2^25, so a sum of losses does
// not depend on the order or the grouping of its terms: one micro-batch or many,
// one rank or many, the report has the same bits. NaN and infinities pass.
func Term(x float64) float64 { return math.RoundToEven(x/termUnit) * termUnit }
