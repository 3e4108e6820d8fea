package eval

import (
	"github.com/temper-ml/temper/data/source"
	"github.com/temper-ml/temper/internal/jsonvalue"
)

// question reads a prompt that the model is to continue: all of a prompt row, and
// what comes before the last answer of other rows.
func (q *Questions) question(r *source.Row, line source.Line) (item, error) {
	asked, err := q.builder.Question(r, line)
	it := item{asked: asked.Asked, thinking: asked.Thinking, prompt: asked.Tokens}
	if err != nil {
		return it, err
	}
	if q.Kind != Refusal {
		it.fields = asked.Fields()
		return it, nil
	}
	row, err := jsonvalue.Parse(line.Text)
	if err != nil {
		return it, err
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
	return it, nil
}
