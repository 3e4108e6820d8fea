package opd

import (
	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/train"
)

// Stream gives packed examples in training order; data.Stream is one.
type Stream interface{ Row(g int64) data.Row }

// Given are the lessons of answers that are in the data: off-policy distillation. A
// step has so many rows. What is in one row may have several teachers, whose heads are
// then in memory together.
func Given(s Stream, rows int, r *Router) Lessons {
	return func(step int64) ([]Lesson, error) {
		out := make([]Lesson, rows)
		for i := range out {
			row := s.Row(step*int64(rows) + int64(i))
			var err error
			if out[i], err = r.Lesson(&row); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
}

// Lesson gives each segment of a row its teachers.
func (r *Router) Lesson(row *data.Row) (Lesson, error) {
	l := Lesson{Row: train.NewRow(row)}
	for _, s := range row.Segments {
		shares, err := r.Of(s.Source)
		if err != nil {
			return l, err
		}
		l.Shares = append(l.Shares, shares)
	}
	return l, nil
}
