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
	// Answers says that Pairs counts answers that are judged by themselves: those
	// are right that are on their side of Divergence.
	Answers bool `json:"answers,omitempty"`
	// Divergence is z of the held-out answers, where the loss has it.
	Divergence float64 `json:"divergence,omitempty"`
	// Tokens are those of the answers.
	Tokens int64 `json:"tokens"`
}

// Measure returns the loss and the accuracy of the held-out rows. An answer is ahead if its reward is higher: how much
// likelier it is than by the reference, or how likely where there is none, by token
// for losses that are by token.
func Measure(ctx context.Context, m *deepseek.Model, l *dpo.Loss, p *Pairs, ref *Reference) (Measured, error) {
	if p.judged != nil {
		return measureJudged(ctx, m, l, p, ref)
	}
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

// measureJudged is Measure where the loss is of single answers: the loss is its
// mean, with z of the held-out answers. Pairs are still compared with each other.
func measureJudged(ctx context.Context, m *deepseek.Model, l *dpo.Loss, p *Pairs, ref *Reference) (out Measured, err error) {
	j := p.judged
	out.Answers = !j.paired
	if out.Divergence, _, err = p.divergence(ctx, m, ref, len(j.sets)-1, 1); err != nil {
		return out, err
	}
	total, answers, ties := 0.0, int64(0), int64(0)
	count := func(lead float64) {
		switch {
		case lead > 0:
			out.Right++
		case lead == 0:
			ties++
		}
		out.Pairs++
	}
	for i := range p.held {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		all, err := p.heldAnswers(m, ref, i)
		if err != nil {
			return out, fmt.Errorf("held-out row %d: %w", i, err)
		}
		before := 0.0
		for k, e := range j.held.stream.Examples(int64(i)) {
			good := j.held.stream.Desirable(e)
			s := l.Single(all[k], good, out.Divergence)
			total += s.Loss + float64(l.SFT*s.SFT)
			answers++
			out.Tokens += all[k].Tokens
			lead := s.Reward - float64(l.Beta*out.Divergence)
			switch {
			case j.paired && good:
				before = s.Reward
			case j.paired:
				count(before - s.Reward)
			case good:
				count(lead)
			default:
				count(-lead)
			}
		}
	}
	if answers == 0 {
		return out, fmt.Errorf("preference: no answer is held out")
	}
	out.Right += ties / 2
	out.Loss = total / float64(answers)
	return out, nil
}

// heldAnswers returns the log-probabilities of the answers of a held-out row.
func (p *Pairs) heldAnswers(m *deepseek.Model, ref *Reference, i int) ([]dpo.Answer, error) {
	row := &p.held[i]
	if err := learnable(row); err != nil {
		return nil, err
	}
	logp, err := m.LogProbs(&deepseek.Batch{Tokens: row.Tokens, Labels: row.Labels, MTPLabels: row.MTPLabels, Segments: row.Segments})
	if err != nil {
		return nil, err
	}
	all := make([]dpo.Answer, len(row.Segments))
	for k := range all {
		all[k].Policy, all[k].Tokens = sum(row, k, logp)
		if ref != nil {
			all[k].Reference = ref.values[p.used+int64(i)][k]
		}
	}
	return all, nil
}
