package rollout

import (
	"context"
	"fmt"

	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/posttrain/reward"
)

// blockOf is how many answers are sampled before they are judged: it bounds what is
// kept of them.
const blockOf = 1024

// Measure lets a model answer held-out questions, the first limit of them if limit > 0,
// with its most likely tokens, and returns what the rules say of the answers.
func (s *Sampler) Measure(ctx context.Context, m *deepseek.Model, held *Questions, limit int) (Sums, error) {
	round, err := s.Greedy(ctx, m, held, limit)
	if err != nil {
		return Sums{}, err
	}
	return round.Sums(), nil
}

// Greedy returns the answers of which Measure tells: those of a round that is kept
// nowhere.
func (s *Sampler) Greedy(ctx context.Context, m *deepseek.Model, held *Questions, limit int) (*Round, error) {
	n := held.Len()
	if limit > 0 {
		n = min(n, limit)
	}
	c := s.o.Config
	c.Temperature, c.TopP, c.TopK = 0, 0, 0
	most := m.Config().MaxPositions
	if held.Longest() >= most {
		return nil, fmt.Errorf("rollout: a held-out question has %d tokens, the model %d positions: there is no room for an answer", held.Longest(), most)
	}
	e, err := generate.New(m, generate.Options{Context: min(most, held.Longest()+c.MaxTokens), Sequences: c.Sequences, Speculate: c.Speculate, Latent: c.Latent})
	if err != nil {
		return nil, fmt.Errorf("rollout: %w", err)
	}
	round := &Round{Used: int64(n)}
	for lo := 0; lo < n && err == nil; lo += blockOf {
		err = s.measure(ctx, e, held, &c, round, lo, min(n, lo+blockOf))
	}
	if closing := e.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return nil, fmt.Errorf("rollout: held-out questions: %w", err)
	}
	return round, nil
}

// measure adds the answers to questions [lo, hi).
func (s *Sampler) measure(ctx context.Context, e *generate.Engine, held *Questions, c *Config, round *Round, lo, hi int) error {
	requests := make([]generate.Request, hi-lo)
	answers := make([]Answer, hi-lo)
	for i := range answers {
		answers[i] = Answer{Question: held.Question(lo + i), Cursor: int64(lo + i)}
		requests[i] = held.request(&answers[i], c, 0)
	}
	results, err := e.Run(ctx, requests, nil)
	if err != nil {
		return err
	}
	for i := range answers {
		a, r := &answers[i], &results[i]
		if r.Reason == generate.Failed {
			return fmt.Errorf("%s: %w", a.Question.Source, r.Err)
		}
		a.Reason = r.Reason
		for _, t := range r.Tokens {
			a.Tokens, a.LogProb = append(a.Tokens, t.ID), append(a.LogProb, t.LogProb)
		}
	}
	if s.judges != nil {
		samples := make([]reward.Sample, len(answers))
		for i := range samples {
			samples[i] = held.judged(&answers[i])
		}
		for i, v := range s.judges.Judge(ctx, samples) {
			answers[i].Verdict = v
		}
	}
	round.Answers = append(round.Answers, answers...)
	return ctx.Err()
}
