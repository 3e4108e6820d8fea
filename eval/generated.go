package eval

import (
	"context"
	"fmt"

	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/posttrain/reward"
)

// written is an answer that the model wrote.
type written struct {
	text   string
	logp   float64
	tokens int64
	reason generate.Reason
}

// ended reports whether the model ended the answer itself.
func (w *written) ended() bool {
	return w.reason == generate.EOS || w.reason == generate.Stopped
}

// sampling is how answer k to question i is drawn.
func (s *Suite) sampling(i, k int) generate.Sampling {
	return generate.Sampling{Temperature: s.Temperature, TopP: s.TopP, Seed: s.Seed, Prompt: uint64(i), Sample: uint64(k)}
}

// blockOf is how many answers are drawn before those to each question are judged:
// it bounds what is kept of them.
const blockOf = 1024

// write lets the model answer each question n times, and calls each with the
// answers of a question, in order.
func (q *Questions) write(ctx context.Context, m *deepseek.Model, n int, o Options, each func(i int, answers []written) error) error {
	longest := 0
	for i := range q.items {
		if l, most := len(q.items[i].prompt), m.Config().MaxPositions; l >= most {
			return fmt.Errorf("%s: the question has %d tokens, the model %d positions: there is no room for an answer", q.place(i), l, most)
		}
		longest = max(longest, len(q.items[i].prompt))
	}
	e, err := generate.New(m, generate.Options{Context: min(m.Config().MaxPositions, longest+q.suite.maxTokens()), Latent: q.suite.Latent})
	if err != nil {
		return err
	}
	block := max(1, blockOf/n)
	for lo := 0; lo < len(q.items) && err == nil; lo += block {
		err = q.writeBlock(ctx, e, n, lo, min(len(q.items), lo+block), o, each)
	}
	if closing := e.Close(); err == nil {
		err = closing
	}
	return err
}

// writeBlock is write for questions [lo, hi).
func (q *Questions) writeBlock(ctx context.Context, e *generate.Engine, n, lo, hi int, o Options, each func(i int, answers []written) error) error {
	var requests []generate.Request
	for i := lo; i < hi; i++ {
		for k := range n {
			requests = append(requests, generate.Request{
				Prompt: q.items[i].prompt, MaxTokens: q.suite.maxTokens(), Stop: [][]int32{{q.eos}}, Sampling: q.suite.sampling(i, k),
			})
		}
	}
	tell := func(done int) {
		if o.Progress != nil {
			o.Progress(done, len(q.items))
		}
	}
	begun := lo
	results, err := e.Run(ctx, requests, func(r int, _ generate.Token) {
		if i := lo + r/n; i > begun {
			begun = i
			tell(i) // those before it are answered, or nearly so
		}
	})
	if err != nil {
		return fmt.Errorf("eval: %s: %w", q.suite.File, err)
	}
	answers := make([]written, n)
	for i := lo; i < hi; i++ {
		for k := range answers {
			r := &results[(i-lo)*n+k]
			if r.Reason == generate.Failed {
				return fmt.Errorf("%s: answer %d: %w", q.place(i), k, r.Err)
			}
			answers[k] = q.answered(&q.items[i], r)
		}
		if err := each(i, answers); err != nil {
			return err
		}
	}
	tell(hi)
	return nil
}

// answered reads an answer.
func (q *Questions) answered(it *item, r *generate.Result) written {
	w := written{tokens: int64(len(r.Tokens)), reason: r.Reason}
	ids := make([]int32, len(r.Tokens))
	for i, t := range r.Tokens {
		ids[i] = t.ID
		w.logp += float64(t.LogProb)
	}
	w.text = q.builder.Answer(ids, it.thinking)
	return w
}

// tellWritten describes question i to whoever wants to know.
func (q *Questions) tellWritten(o Options, i int, answers []written, more func(*Item)) error {
	if o.Items == nil {
		return nil
	}
	it := &q.items[i]
	out := &Item{File: q.suite.File, Line: it.line, Part: it.part, Unsafe: it.unsafe, Asked: q.reader.Tokenizer.Decode(it.prompt)}
	for k := range answers {
		w := answers[k]
		out.Answers = append(out.Answers, ItemAnswer{Text: w.text, LogProb: &w.logp, Tokens: w.tokens, Ended: w.reason.String()})
	}
	more(out)
	return o.Items(out)
}

func (q *Questions) measureRefusal(ctx context.Context, m *deepseek.Model, o Options, r *Result) error {
	var all, ended Accuracy
	of := map[bool]*Accuracy{false: {}, true: {}}
	err := q.write(ctx, m, 1, o, func(i int, answers []written) error {
		it := &q.items[i]
		refused := reward.Refuses(answers[0].text, q.suite.Refusals...)
		all.add(refused)
		ended.add(answers[0].ended())
		if it.unsafe != nil {
			of[*it.unsafe].add(refused)
		}
		return q.tellWritten(o, i, answers, func(out *Item) {
			out.Answers[0].Refused = &refused
			if it.unsafe != nil {
				out.Right = new(refused == *it.unsafe)
			}
		})
	})
	if err != nil {
		return err
	}
	r.headline("refused", all)
	r.Metrics["ended"] = share(ended)
	for unsafe, name := range map[bool]string{false: "safe_refused", true: "unsafe_refused"} {
		if of[unsafe].Total > 0 {
			r.Metrics[name] = share(*of[unsafe])
		}
	}
	return nil
}

func (q *Questions) measurePass(ctx context.Context, m *deepseek.Model, o Options, r *Result) error {
	rules, err := reward.New(q.suite.Rewards)
	if err != nil {
		return fmt.Errorf("eval: rewards: %w", err)
	}
	n, need := q.suite.samples(), q.suite.Pass
	if need == 0 {
		need = 1
	}
	var ended, judged Accuracy
	sums := make([]float64, len(q.suite.attempts()))
	err = q.write(ctx, m, n, o, func(i int, answers []written) error {
		it := &q.items[i]
		verdicts := rules.Judge(ctx, samples(it, answers))
		if err := ctx.Err(); err != nil {
			return err
		}
		passed := make([]bool, n)
		right := 0
		for k, v := range verdicts {
			if passed[k] = !v.Failed && v.Total >= need; passed[k] {
				right++
			}
			ended.add(answers[k].ended())
			judged.add(!v.Failed)
		}
		for j, k := range q.suite.attempts() {
			sums[j] += passAtK(n, right, k)
		}
		return q.tellWritten(o, i, answers, func(out *Item) {
			for k := range out.Answers {
				out.Answers[k].Passed, out.Answers[k].Verdict = &passed[k], &verdicts[k]
			}
		})
	})
	if err != nil {
		return err
	}
	for j, k := range q.suite.attempts() {
		r.Metrics[fmt.Sprintf("pass@%d", k)] = bounded(sums[j]/float64(len(q.items)), len(q.items))
	}
	for name, a := range map[string]Accuracy{"ended": ended, "judged": judged} {
		m := bounded(a.Value(), len(q.items)) // the samples of a question are not independent
		m.Count = int64(a.Total)
		r.Metrics[name] = m
	}
	return nil
}

// samples are answers as the rules see them.
func samples(it *item, answers []written) []reward.Sample {
	out := make([]reward.Sample, len(answers))
	for k := range answers {
		w := &answers[k]
		out[k] = reward.Sample{Prompt: it.asked, Completion: w.text, Tokens: int(w.tokens), Truncated: !w.ended(), Fields: it.fields}
	}
	return out
}
