package eval

import (
	"context"

	"github.com/temper-ml/temper/internal/portable"
	"github.com/temper-ml/temper/model/deepseek"
)

// Result is what a suite says of a model.
type Result struct {
	Kind Kind `json:"kind"`
	// Questions are those asked.
	Questions int `json:"questions"`
	// Score counts the questions that are right, or refused; nil for perplexity and
	// pass@k.
	Score *Accuracy `json:"score,omitempty"`
	// Metrics are all numbers, by name.
	Metrics map[string]Metric `json:"metrics"`
}

// Headline is the name of the metric that Score is of, empty without one.
func (q *Questions) Headline() string {
	switch q.Kind {
	case Exact:
		return "exact"
	case Choice, Preference:
		return q.suite.measure()
	case Refusal:
		return "refused"
	}
	return ""
}

// Measure asks the model.
func (q *Questions) Measure(ctx context.Context, m *deepseek.Model, o Options) (*Result, error) {
	r := &Result{Kind: q.Kind, Questions: len(q.items), Metrics: map[string]Metric{}}
	measure := map[Kind]func(context.Context, *deepseek.Model, Options, *Result) error{
		Exact: q.measureExact, Choice: q.measureChoice, Preference: q.measurePreference,
		Perplexity: q.measurePerplexity, Refusal: q.measureRefusal, PassAtK: q.measurePass,
	}[q.Kind]
	return r, measure(ctx, m, o, r)
}

// headline makes a count the result's score.
func (r *Result) headline(name string, a Accuracy) {
	r.Score = &a
	r.Metrics[name] = share(a)
}

func (q *Questions) measureExact(ctx context.Context, m *deepseek.Model, o Options, r *Result) error {
	var a Accuracy
	var losses, tokens []float64
	err := q.score(ctx, m, pass{greedy: true, logp: o.Details || o.Items != nil}, o, func(i int, answers []scored) error {
		s := answers[0]
		a.add(s.greedy)
		losses, tokens = append(losses, -s.logp), append(tokens, float64(s.tokens))
		return q.tell(o, i, answers, func(it *Item) { it.Right = &s.greedy })
	})
	if err != nil {
		return err
	}
	r.headline("exact", a)
	if o.Details {
		loss := ratio(losses, tokens)
		r.Metrics["loss"], r.Metrics["perplexity"] = loss, loss.exp()
	}
	return nil
}

// under are the ways to compare answers, in the order of Measures.
func under(s scored, bytes int64) [3]float64 {
	return [3]float64{s.logp, s.logp / float64(s.tokens), s.logp / float64(max(1, bytes))}
}

// likeliest is the index of the most likely answer by each measure; ties go to the
// lower index.
func (it *item) likeliest(answers []scored) (best [3]int) {
	top := under(answers[0], it.answers[0].bytes)
	for j := 1; j < len(answers); j++ {
		for k, v := range under(answers[j], it.answers[j].bytes) {
			if v > top[k] {
				top[k], best[k] = v, j
			}
		}
	}
	return best
}

func (q *Questions) measureChoice(ctx context.Context, m *deepseek.Model, o Options, r *Result) error {
	var right [3]Accuracy
	chance := 0.0
	err := q.compare(ctx, m, o, func(i int, answers []scored) error {
		it := &q.items[i]
		best := it.likeliest(answers)
		for k := range best {
			right[k].add(best[k] == it.right)
		}
		chance += 1 / float64(len(answers))
		return q.tell(o, i, answers, func(out *Item) { out.chose(it.right, best, q.suite.measure()) })
	})
	if err != nil {
		return err
	}
	q.compared(r, right)
	r.Metrics["chance"] = Metric{Value: chance / float64(len(q.items)), Count: int64(len(q.items))}
	return nil
}

// measurePreference counts the pairs whose chosen answer is the more likely one;
// equal likelihoods prefer nothing.
func (q *Questions) measurePreference(ctx context.Context, m *deepseek.Model, o Options, r *Result) error {
	var right [3]Accuracy
	var margins []float64
	err := q.compare(ctx, m, o, func(i int, answers []scored) error {
		it := &q.items[i]
		chosen, rejected := under(answers[0], it.answers[0].bytes), under(answers[1], it.answers[1].bytes)
		var best [3]int
		for k := range right {
			right[k].add(chosen[k] > rejected[k])
			if !(chosen[k] > rejected[k]) {
				best[k] = 1
			}
		}
		margins = append(margins, answers[0].logp-answers[1].logp)
		return q.tell(o, i, answers, func(out *Item) { out.chose(0, best, q.suite.measure()) })
	})
	if err != nil {
		return err
	}
	q.compared(r, right)
	r.Metrics["margin"] = mean(margins)
	return nil
}

// compared puts the three accuracies into a result.
func (q *Questions) compared(r *Result, right [3]Accuracy) {
	for k, name := range Measures {
		r.Metrics[name] = share(right[k])
		if name == q.suite.measure() {
			r.headline(name, right[k])
		}
	}
}

// measurePerplexity adds up the loss of texts. What the intervals take as drawn
// independently are the documents, or the windows of a single one.
func (q *Questions) measurePerplexity(ctx context.Context, m *deepseek.Model, o Options, r *Result) error {
	var losses, tokens, bytes, words []float64
	windows := len(q.items) == 1
	err := q.score(ctx, m, pass{logp: true}, o, func(i int, answers []scored) error {
		var all scored
		for j := range answers {
			all.logp += answers[j].logp
			all.tokens += answers[j].tokens
			if windows {
				losses, tokens = append(losses, -answers[j].logp), append(tokens, float64(answers[j].tokens))
			}
		}
		if !windows {
			losses, tokens = append(losses, -all.logp), append(tokens, float64(all.tokens))
		}
		a := &q.items[i].answers[0]
		bytes, words = append(bytes, float64(a.bytes)), append(words, float64(a.words))
		return q.tell(o, i, []scored{all}, nil)
	})
	if err != nil {
		return err
	}
	loss := ratio(losses, tokens)
	r.Metrics["loss"], r.Metrics["perplexity"] = loss, loss.exp()
	perByte, perWord := loss.per(bytes), loss.per(words)
	if !windows {
		perByte, perWord = ratio(losses, bytes), ratio(losses, words)
	}
	r.Metrics["bits_per_byte"] = perByte.scaled(1 / portable.Log(2))
	if perWord.Count > 0 {
		r.Metrics["word_perplexity"] = perWord.exp()
	}
	return nil
}

// per is the mean of the same sum by another weight, of a single text: how many
// bytes or words it has is no accident.
func (m Metric) per(weight []float64) Metric {
	w := 0.0
	for _, x := range weight {
		w += x
	}
	if w == 0 {
		return Metric{}
	}
	m = m.scaled(float64(m.Count) / w)
	m.Count = int64(w)
	return m
}
