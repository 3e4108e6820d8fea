package eval

import (
	"encoding/json"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/source"
	"github.com/temper-ml/temper/internal/jsonvalue"
)

// question reads a prompt that the model is to continue: all of a prompt row, and
// what comes before the last answer of other rows.
func (q *Questions) question(r *source.Row, line source.Line) (item, error) {
	c := r.Conversation
	switch n := len(c.Messages); {
	case r.Kind == source.Preference:
		c.Messages = c.Messages[:r.PromptLen]
	case r.Kind == source.Supervised && n > 0:
		c.Messages = c.Messages[:n-1]
	}
	it := item{thinking: c.Thinking}
	for i := range c.Messages {
		if m := &c.Messages[i]; m.Role == chat.User {
			it.asked = m.Content
		}
	}
	if it.asked == "" {
		return it, refuse("", "nobody asks anything before the answer")
	}
	e, err := q.builder.Prompt(&c)
	if err != nil {
		return it, err
	}
	it.prompt = e.Tokens
	if err := json.Unmarshal([]byte(line.Text), &it.fields); err != nil {
		return it, err
	}
	row, err := jsonvalue.Parse(line.Text)
	if err != nil {
		return it, err
	}
	if q.Kind != Refusal {
		return it, nil
	}
	if v := q.field(&row, "unsafe"); v != nil {
		if v.Kind != jsonvalue.True && v.Kind != jsonvalue.False {
			return it, refuse("", "unsafe must be true or false, got %s", v.Kind)
		}
		it.unsafe = new(v.Kind == jsonvalue.True)
	}
	if len(q.items) > 0 && (q.items[0].unsafe == nil) != (it.unsafe == nil) {
		return it, refuse("give it in every row or in none", "some rows say whether they are unsafe, others do not")
	}
	it.fields = nil
	return it, nil
}
