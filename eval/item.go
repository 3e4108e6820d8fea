package eval

import (
	"strings"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/source"
)

// item makes a question of a row.
func (q *Questions) item(r *source.Row, line source.Line) (item, error) {
	switch q.Kind {
	case Exact:
		return q.exact(r)
	case Choice:
		return q.choice(r, line)
	case Preference:
		return q.preference(r)
	case Perplexity:
		return q.document(r.Text), nil
	}
	return q.question(r, line)
}

func (q *Questions) exact(r *source.Row) (item, error) {
	es, err := q.builder.Conversation(&r.Conversation)
	if err != nil {
		return item{}, err
	}
	a, err := q.answer(&es[0], said(r.Conversation.Messages))
	return item{answers: []answer{a}}, err
}

func (q *Questions) preference(r *source.Row) (item, error) {
	var it item
	for _, c := range []*chat.Conversation{&r.Conversation, &r.Rejected} {
		a, err := q.completion(c, r.PromptLen)
		if err != nil {
			return it, err
		}
		it.answers = append(it.answers, a)
	}
	return it, nil
}

// completion is what follows the first n messages as an answer.
func (q *Questions) completion(c *chat.Conversation, n int) (answer, error) {
	e, err := q.builder.Completion(c, n)
	if err != nil {
		return answer{}, err
	}
	return q.answer(&e, said(c.Messages[n:]))
}

// said counts the bytes that the assistant says.
func said(ms []chat.Message) int64 {
	n := 0
	for i := range ms {
		if m := &ms[i]; m.Role == chat.Assistant {
			n += len(m.Reasoning) + len(m.Content)
		}
	}
	return int64(n)
}

// answer takes an example whose learnt tokens are the answer.
func (q *Questions) answer(e *data.Example, bytes int64) (answer, error) {
	if n := len(e.Tokens); n > q.reader.Sequence {
		return answer{}, &tooLong{n, q.reader.Sequence}
	}
	a := answer{tokens: e.Tokens, labels: labels(e.Tokens, e.Mask), bytes: bytes}
	if a.supervised() == 0 {
		return a, refuse("", "the answer has no tokens")
	}
	return a, nil
}

// labels are the next tokens where those are learnt.
func labels(tokens []int32, mask []bool) []int32 {
	out := make([]int32, len(tokens))
	for i := range out {
		out[i] = -1
		if i+1 < len(tokens) && mask[i+1] {
			out[i] = tokens[i+1]
		}
	}
	return out
}

func (a *answer) supervised() (n int64) {
	for _, l := range a.labels {
		if l >= 0 {
			n++
		}
	}
	return n
}

// document cuts a text into windows that overlap by one token: each token but the
// first is predicted once, and what the text is is not changed by the cuts.
func (q *Questions) document(text string) item {
	e := q.builder.Document(text)
	var it item
	for lo := 0; lo+1 < len(e.Tokens); lo += q.reader.Sequence - 1 {
		hi := min(len(e.Tokens), lo+q.reader.Sequence)
		it.answers = append(it.answers, answer{tokens: e.Tokens[lo:hi], labels: labels(e.Tokens[lo:hi], e.Mask[lo:hi])})
	}
	it.answers[0].bytes, it.answers[0].words = int64(len(text)), int64(len(strings.Fields(text)))
	return it
}
