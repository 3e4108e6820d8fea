package policy

import (
	"context"
	"fmt"
	"slices"

	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/posttrain/pack"
	"github.com/temper-ml/temper/posttrain/rollout"
)

// read has a model read the answers of a round that updates may learn and that have no
// such array yet, row by row, and keeps the log-probabilities of their tokens. They
// do not depend on how answers are packed. With replay it makes the choices that were
// made when they were sampled; another policy than that one's heirs makes its own.
func (s *Stage) read(ctx context.Context, m *deepseek.Model, r *rollout.Round, replay bool, array func(*rollout.Answer) *[]float32) error {
	p := pack.Packer{Room: s.o.Sequence}
	var answers []int // as segments follow each other
	at := 0
	for i := range r.Groups {
		g := &r.Groups[i]
		for j := range g.Answers {
			a := &g.Answers[j]
			if g.Dropped == "" && *array(a) == nil {
				if _, err := add(&p, a, replay); err != nil {
					return err
				}
				answers = append(answers, at)
			}
			at++
		}
	}
	for i := range p.Rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		row := &p.Rows[i]
		logp, err := m.LogProbs(&deepseek.Batch{Tokens: row.Tokens, Labels: row.Labels, MTPLabels: row.MTPLabels, Segments: row.Segments, Routes: row.Routes})
		if err != nil {
			return fmt.Errorf("row %d: %w", i, err)
		}
		n := len(row.Segments)
		for j, seg := range row.Segments {
			a := &r.Answers[answers[j]]
			of := slices.Clone(logp[seg.Start+len(a.Question.Tokens)-1 : seg.End-1])
			if k := slices.IndexFunc(of, func(v float32) bool { return v-v != 0 }); k >= 0 {
				return fmt.Errorf("answer %d to question %d: that of token %d is %v", a.Sample, a.Cursor, k, of[k])
			}
			*array(a) = of
		}
		if err := s.o.Rounds.Amend(r, answers[:n]...); err != nil {
			return err
		}
		answers = answers[n:]
	}
	return nil
}
