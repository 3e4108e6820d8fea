package train

import (
	"fmt"

	"github.com/temper-ml/temper/nn"
)

// Row is one packed sequence: documents laid end to end, each isolated.
type Row struct {
	// Tokens are the ids, [T].
	Tokens []int32
	// Labels[i] is the token that position i must predict, or -1, [T].
	Labels []int32
	// MTPLabels[i] is the token after that, or -1, [T].
	MTPLabels []int32
	// Segments cover the row; each is one document.
	Segments []nn.Segment
}

// NewRow derives the labels of a row. supervised[i] says that token i is a
// target; position i predicts token i+1 of the same segment, and the MTP block
// predicts token i+2 under the same mask. A segment's first token is never a
// target: nothing precedes it.
func NewRow(tokens []int32, supervised []bool, segments []nn.Segment) (Row, error) {
	if len(tokens) != len(supervised) {
		return Row{}, fmt.Errorf("train: %d tokens with %d mask bits: they must be equal in number", len(tokens), len(supervised))
	}
	if err := nn.CheckSegments(segments, len(tokens)); err != nil {
		return Row{}, err
	}
	r := Row{Tokens: tokens, Labels: make([]int32, len(tokens)), MTPLabels: make([]int32, len(tokens)), Segments: segments}
	for _, s := range segments {
		for i := s.Start; i < s.End; i++ {
			r.Labels[i] = target(tokens, supervised, i+1, s.End)
			r.MTPLabels[i] = target(tokens, supervised, i+2, s.End)
		}
	}
	return r, nil
}

// target is token j if it lies before end and is supervised, else -1.
func target(tokens []int32, supervised []bool, j, end int) int32 {
	if j < end && supervised[j] {
		return tokens[j]
	}
	return -1
}

// Counts are the denominators of a step's loss, summed over all its rows.
type Counts struct {
	// Tokens are all tokens, Supervised those with a label, MTP those with an MTP label.
	Tokens, Supervised, MTP int64
	// Segments are the documents.
	Segments int64
}

// Count adds up the denominators of rows.
func Count(rows []Row) Counts {
	var c Counts
	for _, r := range rows {
		c.Tokens += int64(len(r.Tokens))
		c.Segments += int64(len(r.Segments))
		for i := range r.Tokens {
			if r.Labels[i] >= 0 {
				c.Supervised++
			}
			if r.MTPLabels[i] >= 0 {
				c.MTP++
			}
		}
	}
	return c
}
