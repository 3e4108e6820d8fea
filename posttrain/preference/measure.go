package preference

import (
	"context"
	"fmt"

	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/posttrain/dpo"
)

// Measured is what held-out pairs say.
type Measured struct {
	// Loss is the mean of what the stage minimises, a pair.
	Loss float64 `json:"loss"`
	// Right of Pairs have the chosen answer ahead; of ties, half, rounded down: so
	// a policy that still is its reference has as many right as guessing.
	Right int64 `json:"right"`
	Pairs int64 `json:"pairs"`
	// Tokens are those of the answers.
	Tokens int64 `json:"tokens"`
}

// Measure returns the loss and the accuracy of the held-out rows. An answer is ahead if its reward is higher: how much
// likelier it is than by the reference, or how likely where there is none, by token
// for losses that are by token.
func Measure(ctx context.Context, m *deepseek.Model, l *dpo.Loss, p *Pairs, ref *Reference) (Measured, error) {
	var out Measured
	total, ties := 0.0, int64(0)
	for i := range p.held {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		row := &p.held[i]
		if err := check(row); err != nil {
			return out, fmt.Errorf("held-out row %d: %w", i, err)
		}
		logp, err := m.LogProbs(&deepseek.Batch{Tokens: row.Tokens, Labels: row.Labels, MTPLabels: row.MTPLabels, Segments: row.Segments})
		if err != nil {
			return out, fmt.Errorf("held-out row %d: %w", i, err)
		}
		var of []float64
		if l.NeedsReference() {
			of = ref.values[p.used+int64(i)]
		}
		for at := 0; at < len(row.Segments); at += 2 {
			q := score(l, row, at, logp, of)
			total += q.minimised
			switch {
			case q.lead > 0:
				out.Right++
			case q.lead == 0:
				ties++
			}
			out.Pairs++
			out.Tokens += q.tokens
		}
	}
	if out.Pairs == 0 {
		return out, fmt.Errorf("preference: no pair is held out")
	}
	out.Right += ties / 2
	out.Loss = total / float64(out.Pairs)
	return out, nil
}
