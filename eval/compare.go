package eval

import (
	"context"
	"fmt"

	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/generate"
)

// questionsAtOnce is how many questions' answers are compared before what is known of
// them is told.
const questionsAtOnce = 128

// compare asks the model how likely all answers to all questions are, and calls each
// with those to a question, in order: as score does, to the bit, but what the answers
// to a question begin with goes through the model once.
func (q *Questions) compare(ctx context.Context, m *deepseek.Model, o Options, each func(i int, answers []scored) error) error {
	longest := 2
	for i := range q.items {
		for j := range q.items[i].answers {
			longest = max(longest, len(q.items[i].answers[j].tokens))
		}
	}
	if most := m.Config().MaxPositions; longest > most {
		return fmt.Errorf("eval: %s: a question and its answer have %d tokens, the model %d positions", q.suite.File, longest, most)
	}
	e, err := generate.New(m, generate.Options{Context: longest})
	if err != nil {
		return err
	}
	for lo := 0; lo < len(q.items) && err == nil; lo += questionsAtOnce {
		hi := min(len(q.items), lo+questionsAtOnce)
		if err = q.compareBlock(ctx, e, lo, hi, each); err == nil && o.Progress != nil {
			o.Progress(hi, len(q.items))
		}
	}
	if closing := e.Close(); err == nil {
		err = closing
	}
	return err
}

// compareBlock is compare for questions [lo, hi).
func (q *Questions) compareBlock(ctx context.Context, e *generate.Engine, lo, hi int, each func(i int, answers []scored) error) error {
	var requests []generate.Request
	for i := lo; i < hi; i++ {
		for j := range q.items[i].answers {
			requests = append(requests, q.items[i].answers[j].request())
		}
	}
	results, err := e.Run(ctx, requests, nil)
	if err != nil {
		return fmt.Errorf("eval: up to %s: %w", q.place(hi-1), err)
	}
	for i := lo; i < hi; i++ {
		answers := make([]scored, len(q.items[i].answers))
		for j := range answers {
			if r := &results[0]; r.Reason == generate.Failed {
				return fmt.Errorf("%s: answer %d: %w", q.place(i), j, r.Err)
			}
			answers[j] = q.items[i].answers[j].likelihood(results[0].Scored)
			results = results[1:]
		}
		if err := each(i, answers); err != nil {
			return err
		}
	}
	return nil
}

// span returns the first and the last position with a label.
func (a *answer) span() (first, last int) {
	first = -1
	for i, l := range a.labels {
		if l >= 0 {
			last = i
			if first < 0 {
				first = i
			}
		}
	}
	return first, last
}

// request asks for the log-probabilities of the tokens from the first label to the last.
func (a *answer) request() generate.Request {
	first, last := a.span()
	return generate.Request{Prompt: a.tokens[:last+2], Score: first + 1}
}

// likelihood adds up log-probabilities of the tokens from the first label's on.
func (a *answer) likelihood(logp []float32) (s scored) {
	first, last := a.span()
	for i := first; i <= last; i++ {
		if a.labels[i] >= 0 {
			s.tokens++
			s.logp += float64(logp[i-first])
		}
	}
	return s
}
