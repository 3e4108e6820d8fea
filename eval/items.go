package eval

import (
	"slices"

	"github.com/temper-ml/temper/posttrain/reward"
)

// Item is what became of one question: what was asked, answered and scored.
type Item struct {
	Suite string `json:"suite,omitempty"`
	File  string `json:"file"`
	Line  int    `json:"line"`
	Part  int    `json:"part,omitempty"`
	// Asked is the text that the model was given, special tokens spelled out; of
	// documents it is left out, and so are they.
	Asked   string       `json:"asked,omitempty"`
	Answers []ItemAnswer `json:"answers"`
	// Answer is the index of the right answer, Chosen of the most likely one by
	// each measure (choice, preference).
	Answer *int           `json:"answer,omitempty"`
	Chosen map[string]int `json:"chosen,omitempty"`
	// Right says that the question counts as right.
	Right *bool `json:"right,omitempty"`
	// Unsafe is the row's.
	Unsafe *bool `json:"unsafe,omitempty"`
}

// ItemAnswer is one answer to a question.
type ItemAnswer struct {
	Text string `json:"text,omitempty"`
	// LogProb is the sum over Tokens, under the model at temperature 1.
	LogProb *float64 `json:"logprob,omitempty"`
	Tokens  int64    `json:"tokens"`
	Bytes   int64    `json:"bytes,omitempty"`
	Words   int64    `json:"words,omitempty"`
	// Greedy says that greedy decoding would produce the answer.
	Greedy *bool `json:"greedy,omitempty"`
	// Ended says how a generated answer ended, Refused that it declines, Passed
	// that its rewards suffice.
	Ended   string          `json:"ended,omitempty"`
	Refused *bool           `json:"refused,omitempty"`
	Passed  *bool           `json:"passed,omitempty"`
	Verdict *reward.Verdict `json:"verdict,omitempty"`
}

// chose says what was chosen by each measure, and whether the one that counts was
// right.
func (it *Item) chose(answer int, best [3]int, measure string) {
	it.Answer, it.Chosen = &answer, map[string]int{}
	for k, name := range Measures {
		it.Chosen[name] = best[k]
	}
	it.Right = new(it.Chosen[measure] == answer)
}

// tell describes question i to whoever wants to know.
func (q *Questions) tell(o Options, i int, answers []scored, more func(*Item)) error {
	if o.Items == nil {
		return nil
	}
	it := &q.items[i]
	out := &Item{File: q.suite.File, Line: it.line, Part: it.part, Unsafe: it.unsafe}
	for j := range answers {
		s, a := &answers[j], &it.answers[j]
		x := ItemAnswer{LogProb: &s.logp, Tokens: s.tokens, Bytes: a.bytes, Words: a.words}
		if q.Kind == Exact {
			x.Greedy = &s.greedy
		}
		if q.Kind != Perplexity {
			x.Text = q.answerText(a)
		}
		out.Answers = append(out.Answers, x)
	}
	if q.Kind != Perplexity {
		a := &it.answers[0]
		first := slices.IndexFunc(a.labels, func(l int32) bool { return l >= 0 })
		out.Asked = q.reader.Tokenizer.Decode(a.tokens[:first+1])
	}
	if more != nil {
		more(out)
	}
	return o.Items(out)
}

// answerText is what is scored, special tokens spelled out.
func (q *Questions) answerText(a *answer) string {
	var ids []int32
	for _, l := range a.labels {
		if l >= 0 {
			ids = append(ids, l)
		}
	}
	return q.reader.Tokenizer.Decode(ids)
}
