package eval

import (
	"context"
	"fmt"
	"math"

	"github.com/temper-ml/temper/model/deepseek"
)

// Options are what a measurement tells while it goes on. The results do not
// depend on them.
type Options struct {
	// Items, if not nil, is told of each question, in order.
	Items func(*Item) error
	// Details makes exact measure the answers' loss too.
	Details bool
	// Progress, if not nil, is told how many of all questions are done.
	Progress func(done, total int)
}

// scored is what the model says of an answer.
type scored struct {
	logp   float64
	tokens int64
	greedy bool
}

// pass is what is asked of the model about each answer.
type pass struct{ logp, greedy bool }

// score asks the model about all answers of all questions, as many at a time as
// fit a row, and calls each with those of a question, in order.
func (q *Questions) score(ctx context.Context, m *deepseek.Model, what pass, o Options, each func(i int, answers []scored) error) error {
	var waiting batchOf
	flush := func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return waiting.run(m, what)
	}
	done, results := 0, make([][]scored, len(q.items))
	settle := func(upTo int) error {
		for ; done < upTo; done++ {
			for j, s := range results[done] {
				if math.IsNaN(s.logp) || math.IsInf(s.logp, 0) {
					return fmt.Errorf("%s: answer %d has log-probability %v: the model's numbers are not finite", q.place(done), j, s.logp)
				}
			}
			if err := each(done, results[done]); err != nil {
				return err
			}
			results[done] = nil
		}
		if o.Progress != nil {
			o.Progress(done, len(q.items))
		}
		return nil
	}
	for i := range q.items {
		it := &q.items[i]
		results[i] = make([]scored, len(it.answers))
		for j := range it.answers {
			if waiting.full(len(it.answers[j].tokens), q.reader.Sequence) {
				if err := flush(); err != nil {
					return fmt.Errorf("eval: up to %s: %w", q.place(i), err)
				}
				if err := settle(i); err != nil {
					return err
				}
			}
			waiting.add(&it.answers[j], &results[i][j])
		}
	}
	if err := flush(); err != nil {
		return fmt.Errorf("eval: up to %s: %w", q.place(len(q.items)-1), err)
	}
	return settle(len(q.items))
}

// place names a question.
func (q *Questions) place(i int) string {
	return fmt.Sprintf("%s:%d", q.suite.File, q.items[i].line)
}

// batchOf is a pass over several answers, each on its own.
type batchOf struct {
	b       deepseek.Batch
	answers []*scored
}

func (w *batchOf) full(more, most int) bool {
	return len(w.b.Tokens) > 0 && len(w.b.Tokens)+more > most
}

func (w *batchOf) add(a *answer, to *scored) {
	n := len(w.b.Tokens)
	w.b.Tokens = append(w.b.Tokens, a.tokens...)
	w.b.Labels = append(w.b.Labels, a.labels...)
	w.b.Segments = append(w.b.Segments, deepseek.Segment{Start: n, End: n + len(a.tokens)})
	w.answers = append(w.answers, to)
}

// run asks the model, hands out what it says, and is empty again.
func (w *batchOf) run(m *deepseek.Model, what pass) (err error) {
	var logp []float32
	var best []int32
	if what.logp {
		if logp, err = m.LogProbs(&w.b); err != nil {
			return err
		}
	}
	if what.greedy {
		if best, err = m.Greedy(&w.b); err != nil {
			return err
		}
	}
	for k, to := range w.answers {
		s := w.b.Segments[k]
		to.greedy = what.greedy
		for i := s.Start; i < s.End; i++ {
			if w.b.Labels[i] < 0 {
				continue
			}
			to.tokens++
			if what.logp {
				to.logp += float64(logp[i])
			}
			to.greedy = to.greedy && best[i] == w.b.Labels[i]
		}
	}
	*w = batchOf{b: deepseek.Batch{Tokens: w.b.Tokens[:0], Labels: w.b.Labels[:0], Segments: w.b.Segments[:0]}, answers: w.answers[:0]}
	return nil
}
