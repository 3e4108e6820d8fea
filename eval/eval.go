package eval

import (
	"context"
	"fmt"
	"math"

	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/train"
)

// Loss is the result of measuring rows.
type Loss struct {
	// Mean is the mean of -log p over the supervised tokens, in nats.
	Mean float64 `json:"loss"`
	// Perplexity is exp(Mean).
	Perplexity float64 `json:"perplexity"`
	// Tokens are the supervised tokens.
	Tokens int64 `json:"tokens"`
}

// Measure returns the loss of rows, or of the first limit of them if limit > 0.
func Measure(ctx context.Context, m *deepseek.Model, rows []train.Row, limit int) (Loss, error) {
	if limit > 0 && limit < len(rows) {
		rows = rows[:limit]
	}
	sum, n := 0.0, int64(0)
	for i := range rows {
		if err := ctx.Err(); err != nil {
			return Loss{}, err
		}
		logp, err := m.LogProbs(batch(&rows[i]))
		if err != nil {
			return Loss{}, fmt.Errorf("eval: row %d: %w", i, err)
		}
		for j, p := range logp {
			if rows[i].Labels[j] >= 0 {
				sum -= float64(p)
				n++
			}
		}
	}
	if n == 0 {
		return Loss{}, fmt.Errorf("eval: %d rows have no supervised token", len(rows))
	}
	mean := sum / float64(n)
	return Loss{Mean: mean, Perplexity: math.Exp(mean), Tokens: n}, nil
}

// Accuracy is the result of a suite of questions with exact answers.
type Accuracy struct {
	// Right of Total questions are answered exactly.
	Right int `json:"right"`
	Total int `json:"total"`
}

// Value is Right/Total, 0 of an empty suite.
func (a Accuracy) Value() float64 {
	if a.Total == 0 {
		return 0
	}
	return float64(a.Right) / float64(a.Total)
}

// Exact counts the segments of rows whose supervised tokens are all what greedy
// decoding would produce. Each segment is one question with its answer.
func Exact(ctx context.Context, m *deepseek.Model, rows []train.Row) (Accuracy, error) {
	var a Accuracy
	for i := range rows {
		if err := ctx.Err(); err != nil {
			return a, err
		}
		r := &rows[i]
		greedy, err := m.Greedy(batch(r))
		if err != nil {
			return a, fmt.Errorf("eval: row %d: %w", i, err)
		}
		for _, s := range r.Segments {
			right := true
			for j := s.Start; j < s.End; j++ {
				right = right && (r.Labels[j] < 0 || r.Labels[j] == greedy[j])
			}
			a.Total++
			if right {
				a.Right++
			}
		}
	}
	return a, nil
}

func batch(r *train.Row) *deepseek.Batch {
	return &deepseek.Batch{Tokens: r.Tokens, Labels: r.Labels, MTPLabels: r.MTPLabels, Segments: r.Segments}
}
