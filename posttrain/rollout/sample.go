package rollout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/posttrain/reward"
	"github.com/temper-ml/temper/posttrain/rollout/journal"
)

// sample brings the round to its end.
func (r *run) sample(ctx context.Context, m *deepseek.Model) error {
	if r.round.Sealed {
		return nil
	}
	if !r.done() {
		if m == nil {
			return errors.New("answers are missing, and there is no model to sample them")
		}
		if err := r.waves(ctx, m); err != nil {
			return err
		}
	}
	r.finish()
	return nil
}

// waves asks until nothing is missing.
func (r *run) waves(ctx context.Context, m *deepseek.Model) error {
	c := &r.s.o.Config
	longest, most := r.s.o.Questions.Longest(), m.Config().MaxPositions
	if longest >= most {
		return fmt.Errorf("a question has %d tokens, the model %d positions: there is no room for an answer", longest, most)
	}
	e, err := generate.New(m, generate.Options{
		Context: min(most, longest+c.MaxTokens), Sequences: min(c.Sequences, c.Prompts*c.Group), Queue: c.Prompts * c.Group, Speculate: c.Speculate, Latent: c.Latent,
	})
	if err != nil {
		return err
	}
	for err == nil {
		if err = r.finishWave(ctx, e); err != nil {
			break
		}
		n := r.next()
		if n == 0 {
			break
		}
		r.ask(n)
	}
	if closing := e.Close(); err == nil {
		err = closing
	}
	return err
}

// task is an answer that is being sampled.
type task struct {
	answer int
	stream *generate.Stream
	taken  int // tokens of the stream
}

// finishWave samples and judges what is missing of the answers asked for.
func (r *run) finishWave(ctx context.Context, e *generate.Engine) error {
	if err := r.write(); err != nil {
		return err
	}
	var tasks []*task
	court := r.court(ctx)
	defer court.close()
	left := 0
	for i := range r.round.Answers {
		a := &r.round.Answers[i]
		switch {
		case r.settled(i):
			continue
		case a.Reason != generate.Running:
			court.call(i)
		default:
			request := r.s.o.Questions.request(a, &r.s.o.Config, r.s.o.Seed)
			request.Routing, request.ExpertsOnly = r.s.o.Routes != nil, r.s.o.ExpertsOnly
			s, err := e.Submit(request)
			if err != nil {
				return fmt.Errorf("%s: %w", a.Question.Source, err)
			}
			tasks = append(tasks, &task{answer: i, stream: s})
		}
		left++
	}
	r.tell()
	synced := r.now()
	for left > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		busy, err := e.Step()
		if err != nil {
			return err
		}
		before := left
		if tasks, err = r.collect(tasks, func(i int) {
			if r.s.judges == nil {
				left--
				return
			}
			court.call(i)
		}); err != nil {
			return err
		}
		n, err := r.hear(ctx, court, !busy && left == before)
		if err != nil {
			return err
		}
		left -= n
		if r.file != nil {
			t := r.now()
			due := t.Sub(synced) >= syncEvery
			if err := r.file.Flush(due); err != nil {
				return err
			}
			if due {
				synced = t
			}
		}
		r.tell()
	}
	if r.file != nil && r.file.Unsafe() > 0 {
		return r.file.Sync()
	}
	return nil
}

func (r *run) now() (t time.Time) {
	if r.s.o.Now != nil {
		t = r.s.o.Now()
	}
	return t
}

func (r *run) tell() {
	if r.s.o.Tell != nil {
		r.s.o.Tell(r.progress())
	}
}

// request asks for what an answer lacks.
func (q *Questions) request(a *Answer, c *Config, seed uint64) generate.Request {
	prompt := append(a.Question.Tokens[:len(a.Question.Tokens):len(a.Question.Tokens)], a.Tokens...)
	request := generate.Request{
		Prompt: prompt, MaxTokens: c.MaxTokens - len(a.Tokens), Stop: [][]int32{{q.builder.End()}},
		Sampling: c.sampling(seed, a.Cursor, a.Sample),
	}
	if len(c.Stop) > 0 {
		n := len(a.Question.Tokens)
		request.Until = func(sequence []int32) bool { return q.stops(sequence[n:], c.Stop) }
	}
	return request
}

// stops tells whether the answer so far has a stop text in it, of which the last token
// is a part: earlier ones were looked at before.
func (q *Questions) stops(answer []int32, stop []string) bool {
	longest := 0
	for _, s := range stop {
		longest = max(longest, len(s))
	}
	// Every token but those within a character is at least a byte.
	text := q.tok.Decode(answer[max(0, len(answer)-longest-4):])
	for _, s := range stop {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// collect takes in what a pass made, in one write. It calls ended with answers that
// ended, and returns the tasks that go on.
func (r *run) collect(tasks []*task, ended func(answer int)) ([]*task, error) {
	var adds []journal.Add
	var done []int
	kept := tasks[:0]
	for _, t := range tasks {
		result := t.stream.Result()
		fresh := result.Tokens[t.taken:]
		if result.Reason != generate.Running {
			if err := r.ended(t.answer, &result); err != nil {
				return nil, err
			}
			done = append(done, t.answer)
		} else {
			kept = append(kept, t)
		}
		if len(fresh) == 0 && result.Reason == generate.Running {
			continue
		}
		t.taken = len(result.Tokens)
		adds = append(adds, r.take(t.answer, fresh, result.Reason))
	}
	clear(tasks[len(kept):])
	if len(adds) == 0 {
		return kept, nil
	}
	if r.file != nil {
		var routes func(int) ([]byte, error)
		if cfg := r.s.o.Routes; cfg != nil {
			routes = func(i int) ([]byte, error) { return r.round.Answers[i].Routes.AppendBinary(nil, cfg) }
		}
		if err := r.file.Tokens(adds, routes); err != nil {
			return nil, err
		}
	}
	for _, i := range done {
		ended(i)
	}
	return kept, nil
}

// ended says why an answer cannot be used, if it cannot.
func (r *run) ended(i int, result *generate.Result) error {
	a := &r.round.Answers[i]
	switch result.Reason {
	case generate.Failed:
		return fmt.Errorf("%s: answer %d: %w", a.Question.Source, a.Sample, result.Err)
	case generate.Cancelled:
		return fmt.Errorf("%s: answer %d was cancelled", a.Question.Source, a.Sample)
	}
	a.Routes = result.Routes
	return nil
}

// take adds tokens to an answer.
func (r *run) take(i int, fresh []generate.Token, reason generate.Reason) journal.Add {
	a := &r.round.Answers[i]
	n := len(a.Tokens)
	for k := range fresh {
		t := &fresh[k]
		a.Tokens, a.LogProb, a.Sampled = append(a.Tokens, t.ID), append(a.LogProb, t.LogProb), append(a.Sampled, t.Sampled)
	}
	r.told.Tokens += int64(len(fresh))
	if a.Reason = reason; reason != generate.Running {
		r.told.Answers++
	}
	return journal.Add{Answer: i, Tokens: a.Tokens[n:], LogProb: a.LogProb[n:], Sampled: a.Sampled[n:], Reason: reason}
}

// court judges answers while others are sampled.
type court struct {
	cancel   context.CancelFunc
	cases    chan int
	verdicts chan verdict
	work     sync.WaitGroup
}

type verdict struct {
	answer int
	reward.Verdict
}

// court opens one, which takes every answer of the round once.
func (r *run) court(ctx context.Context) *court {
	ctx, cancel := context.WithCancel(ctx)
	n := len(r.round.Answers)
	c := &court{cancel: cancel, cases: make(chan int, n), verdicts: make(chan verdict, n)}
	if r.s.judges == nil {
		return c
	}
	for range min(n, r.s.o.Judging) {
		c.work.Go(func() {
			for i := range c.cases {
				v := r.s.judges.Judge(ctx, []reward.Sample{r.s.o.Questions.judged(&r.round.Answers[i])})[0]
				if ctx.Err() != nil {
					return // the verdict may be that there was no time
				}
				c.verdicts <- verdict{i, v}
			}
		})
	}
	return c
}

// judged is an answer as the rules see it.
func (q *Questions) judged(a *Answer) reward.Sample {
	return reward.Sample{
		Prompt: a.Question.Asked, Completion: q.builder.Answer(a.Tokens, a.Question.Thinking),
		Tokens: len(a.Tokens), Truncated: a.Truncated(), Fields: a.Question.Fields(),
	}
}

// call has an answer judged.
func (c *court) call(answer int) { c.cases <- answer }

// close ends what is being judged.
func (c *court) close() {
	c.cancel()
	close(c.cases)
	c.work.Wait()
}

// hear takes in the verdicts that there are, and waits for one if there is nothing else
// to do. It returns how many there were.
func (r *run) hear(ctx context.Context, c *court, wait bool) (n int, err error) {
	for {
		var v verdict
		if wait && n == 0 {
			select {
			case v = <-c.verdicts:
			case <-ctx.Done():
				return n, ctx.Err()
			}
		} else {
			select {
			case v = <-c.verdicts:
			default:
				return n, nil
			}
		}
		n++
		r.rule(v.answer, v.Verdict)
		if v.Failed {
			r.complain(v.answer)
		}
		if r.file != nil {
			if err := r.file.Verdict(v.answer, &v.Verdict); err != nil {
				return n, err
			}
		}
	}
}

// complain names an answer that could not be judged.
func (r *run) complain(i int) {
	if r.s.o.Warn == nil {
		return
	}
	a := &r.round.Answers[i]
	why := "the rewards have no finite sum"
	for _, p := range a.Verdict.Parts {
		if p.Error != "" {
			why = p.Name + ": " + p.Error
			break
		}
	}
	r.s.o.Warn(fmt.Sprintf("round %d: answer %d to %s was not judged and is not learnt: %s", r.round.Number, a.Sample, a.Question.Source, why))
}
