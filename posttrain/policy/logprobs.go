package policy

import (
	"context"
	"fmt"
	"slices"

	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/posttrain/pack"
	"github.com/temper-ml/temper/posttrain/rollout"
)

// logProbs has a model read all answers of a round that updates may learn, row by row,
// and gives each the log-probabilities of its tokens. Nothing depends on how they are
// packed.
func logProbs(ctx context.Context, m *deepseek.Model, r *rollout.Round, sequence int, use func(a *rollout.Answer, logp []float32)) error {
	p := pack.Packer{Room: sequence}
	var answers []*rollout.Answer
	for i := range r.Groups {
		for j := range r.Groups[i].Answers {
			a := &r.Groups[i].Answers[j]
			if _, err := p.Add(a.Question.Tokens, a.Tokens); err != nil {
				return fmt.Errorf("answer %d to question %d: %w", a.Sample, a.Cursor, err)
			}
			answers = append(answers, a)
		}
	}
	for i := range p.Rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		row := &p.Rows[i]
		logp, err := m.LogProbs(&deepseek.Batch{Tokens: row.Tokens, Labels: row.Labels, MTPLabels: row.MTPLabels, Segments: row.Segments})
		if err != nil {
			return fmt.Errorf("row %d: %w", i, err)
		}
		for _, seg := range row.Segments {
			a := answers[0]
			answers = answers[1:]
			lo := seg.Start + len(a.Question.Tokens) - 1
			of := slices.Clone(logp[lo : seg.End-1])
			for k, v := range of {
				if v-v != 0 {
					return fmt.Errorf("answer %d to question %d: that of token %d is %v", a.Sample, a.Cursor, k, v)
				}
			}
			use(a, of)
		}
	}
	return nil
}
