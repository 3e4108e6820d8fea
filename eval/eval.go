package eval

import (
	"context"
	"fmt"

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
	return Loss{Mean: mean, Perplexity: exp(mean), Tokens: n}, nil
}

func batch(r *train.Row) *deepseek.Batch {
	return &deepseek.Batch{Tokens: r.Tokens, Labels: r.Labels, MTPLabels: r.MTPLabels, Segments: r.Segments}
}
