package eval

import (
	"slices"
	"strconv"
	"strings"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/source"
	"github.com/temper-ml/temper/internal/jsonvalue"
)

// maxChoices bounds the answers of a question.
const maxChoices = 1 << 10

// field is a field of a row that only suites read, by the file's own name.
func (q *Questions) field(row *jsonvalue.Value, names ...string) *jsonvalue.Value {
	if row == nil {
		return nil
	}
	for _, name := range names {
		if theirs, ok := q.suite.Fields[name]; ok {
			name = theirs
		}
		if v := row.Lookup(name); v != nil && v.Kind != jsonvalue.Null {
			return v
		}
	}
	return nil
}

// choice reads a question with several answers: a list of texts, or texts with
// labels as {"text": [...], "label": [...]}.
func (q *Questions) choice(r *source.Row, line source.Line) (item, error) {
	row, err := jsonvalue.Parse(line.Text)
	if err != nil {
		return item{}, err
	}
	texts, names, err := q.choices(&row)
	if err != nil {
		return item{}, err
	}
	it := item{}
	if it.right, err = q.rightOf(&row, texts, names); err != nil {
		return it, err
	}
	prompt := r.Conversation.Messages
	for _, text := range texts {
		c := r.Conversation
		c.Messages = append(slices.Clone(prompt), chat.Message{Role: chat.Assistant, Content: text})
		a, err := q.completion(&c, len(prompt))
		if err != nil {
			return it, err
		}
		it.answers = append(it.answers, a)
	}
	return it, nil
}

// choices returns the texts and, where the row has them, their labels.
func (q *Questions) choices(row *jsonvalue.Value) (texts, names []string, err error) {
	list := q.field(row, "choices")
	if list == nil {
		return nil, nil, refuse("name the field that holds them: choices=...", "the row has no choices")
	}
	labels := q.field(row, "labels")
	if list.Kind == jsonvalue.Object {
		labels, list = list.Lookup("label"), list.Lookup("text")
	}
	if texts, err = strs("choices", list); err != nil {
		return nil, nil, err
	}
	switch n := len(texts); {
	case n < 2:
		return nil, nil, refuse("", "choices: %d, want at least 2", n)
	case n > maxChoices:
		return nil, nil, refuse("", "choices: %d, want at most %d", n, maxChoices)
	}
	for i, text := range texts {
		if strings.TrimSpace(text) == "" {
			return nil, nil, refuse("", "choices[%d] is empty", i)
		}
		if j := slices.Index(texts[:i], text); j >= 0 {
			return nil, nil, refuse("", "choices[%d] and choices[%d] are the same: %.40q", j, i, text)
		}
	}
	if labels == nil {
		return texts, nil, nil
	}
	if names, err = strs("labels", labels); err != nil {
		return nil, nil, err
	}
	if len(names) != len(texts) {
		return nil, nil, refuse("", "labels: %d for %d choices", len(names), len(texts))
	}
	return texts, names, nil
}

// strs reads a list of strings.
func strs(name string, v *jsonvalue.Value) ([]string, error) {
	if v == nil || v.Kind != jsonvalue.Array {
		return nil, refuse("", "%s must be a list of strings", name)
	}
	out := make([]string, len(v.Items))
	for i := range v.Items {
		if v.Items[i].Kind != jsonvalue.String {
			return nil, refuse("", "%s[%d] must be a string, got %s", name, i, v.Items[i].Kind)
		}
		out[i] = v.Items[i].Text
	}
	return out, nil
}

// rightOf returns the index of the right answer. A number is an index from 0. A
// string is a label where there are labels; else the text of a choice, a letter
// from A, or an index in digits: one that can be read in two ways is refused.
func (q *Questions) rightOf(row *jsonvalue.Value, texts, names []string) (int, error) {
	v := q.field(row, "answer", "answerKey")
	if v == nil {
		return 0, refuse("name the field that holds it: answer=...", "the row does not say which answer is right")
	}
	switch v.Kind {
	case jsonvalue.Number:
		i, err := strconv.Atoi(v.Text)
		if err != nil || i < 0 || i >= len(texts) {
			return 0, refuse("", "answer: %.20s is outside [0, %d]", v.Text, len(texts)-1)
		}
		return i, nil
	case jsonvalue.String:
		return named(v.Text, texts, names)
	}
	return 0, refuse("", "answer must be an index or a text, got %s", v.Kind)
}

func named(text string, texts, names []string) (int, error) {
	if names != nil {
		i := slices.Index(names, text)
		if i < 0 {
			return 0, refuse("", "answer: %.40q is none of the labels", text)
		}
		if slices.Contains(names[i+1:], text) {
			return 0, refuse("", "answer: %.40q is the label of two choices", text)
		}
		return i, nil
	}
	at := slices.Index(texts, text)
	if len(text) == 1 && text[0] >= 'A' && int(text[0]-'A') < len(texts) {
		at = both(at, int(text[0]-'A'))
	}
	if i, err := strconv.Atoi(text); err == nil && i >= 0 && i < len(texts) && strconv.Itoa(i) == text {
		at = both(at, i)
	}
	switch at {
	case -1:
		return 0, refuse("give its index, from 0", "answer: %.40q is none of the choices", text)
	case -2:
		return 0, refuse("give its index as a number, from 0", "answer: %.40q can be the text of one choice and the place of another", text)
	}
	return at, nil
}

// both is where two readings agree: -1 is no reading, -2 a contradiction.
func both(a, b int) int {
	if a == -1 || a == b {
		return b
	}
	return -2
}
