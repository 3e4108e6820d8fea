package train

import (
	"fmt"
	"slices"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/nn"
)

// Row is one packed sequence of T tokens: documents laid end to end, each isolated.
type Row struct {
	// Tokens are the ids, [T].
	Tokens []int32
	// Labels[i] is the token that position i must predict, or -1, [T].
	Labels []int32
	// MTPLabels[i] is the token after that, or -1, [T].
	MTPLabels []int32
	// Segments cover the row; each is one document.
	Segments []nn.Segment
	// Routes, if not nil, has for each segment the choices that its tokens must make,
	// nil where they choose freely: see [deepseek.Batch].
	Routes []*deepseek.Routes
}

// Routed tells whether some segment's choices are given.
func (r *Row) Routed() bool {
	return slices.ContainsFunc(r.Routes, func(r *deepseek.Routes) bool { return r != nil })
}

// routed tells whether some choices of a step are given.
func routed(rows []Row) bool {
	return slices.ContainsFunc(rows, func(r Row) bool { return r.Routed() })
}

// checkRoutes tells whether rows have routes for each of their segments or none.
func checkRoutes(rows []Row) error {
	for i := range rows {
		if r := &rows[i]; r.Routes != nil && len(r.Routes) != len(r.Segments) {
			return fmt.Errorf("row %d has routes for %d segments of %d: want an entry for each, nil for one that is free", i, len(r.Routes), len(r.Segments))
		}
	}
	return nil
}

// NewRow gives a packed row its labels: position i predicts the supervised token
// i+1 of its own segment, and the MTP block token i+2.
func NewRow(r *data.Row) Row {
	row := Row{Tokens: r.Tokens, Labels: r.Labels(nil, 1), MTPLabels: r.Labels(nil, 2)}
	for _, s := range r.Segments {
		row.Segments = append(row.Segments, nn.Segment{Start: s.Start, End: s.End})
	}
	return row
}

// Stream is a Source over packed data.
type Stream struct{ *data.Stream }

// Rows returns the rows of a step.
func (s Stream) Rows(step int64) ([]Row, error) {
	b := s.Batch(step)
	rows := make([]Row, len(b.Rows))
	for i := range b.Rows {
		rows[i] = NewRow(&b.Rows[i])
	}
	return rows, nil
}

// Counts are the denominators of a step's loss, summed over all its rows.
type Counts struct {
	// Tokens are all tokens, Supervised those with a label, MTP those with an MTP label.
	Tokens     int64 `json:"tokens"`
	Supervised int64 `json:"supervised"`
	MTP        int64 `json:"mtp"`
	// Segments are the documents.
	Segments int64 `json:"segments"`
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
