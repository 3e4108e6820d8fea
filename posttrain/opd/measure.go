package opd

import (
	"context"
	"fmt"

	"github.com/temper-ml/temper/model/deepseek"
)

// Measured is how far a student is from its teachers.
type Measured struct {
	// Divergence is what a stage minimises: the mean over all labels of the weighted
	// sum of divergences.
	Divergence float64 `json:"divergence"`
	// Entropy is the labels' mean cross-entropy.
	Entropy float64 `json:"entropy"`
	Tokens  int64   `json:"tokens"`
	Answers int64   `json:"answers"`
	// Teachers are those that have a share, in their order.
	Teachers []MeasuredTeacher `json:"teachers"`
}

// MeasuredTeacher is how far a student is from one teacher, on the tokens that this one
// has a share in.
type MeasuredTeacher struct {
	Name       string  `json:"name"`
	Divergence float64 `json:"divergence"`
	Tokens     int64   `json:"tokens"`
	Answers    int64   `json:"answers"`
}

// Measure has teachers read lessons, such as held-out ones, and returns how far a student
// is from them. With keep, what teachers said stays in the cache, for another
// measurement of the same lessons.
func (s *Stage) Measure(ctx context.Context, student *deepseek.Model, lessons []Lesson, keep bool) (Measured, error) {
	var out Measured
	lessons, err := s.ordered(lessons)
	if err != nil {
		return out, fmt.Errorf("opd: held out: %w", err)
	}
	rows := readings(lessons, "what is held out")
	if err := s.teach(ctx, rows, s.all()); err != nil {
		return out, err
	}
	if keep {
		s.kept = s.keys(rows)
	}
	sum := deepseek.Losses{Teachers: make([]deepseek.TeacherLoss, len(s.teachers))}
	for i := range lessons {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		d, err := s.learn(lessons[i : i+1])
		if err != nil {
			return out, err
		}
		row := &lessons[i].Row
		l, err := student.Divergences(&deepseek.Batch{Tokens: row.Tokens, Labels: row.Labels, MTPLabels: row.MTPLabels, Segments: row.Segments}, d)
		if err != nil {
			return out, fmt.Errorf("opd: held out: row %d: %w", i, err)
		}
		sum.Add(l)
	}
	if sum.Tokens == 0 {
		return out, fmt.Errorf("opd: held out: no token to measure on")
	}
	out.Tokens, out.Answers = int64(sum.Tokens), answers(lessons, -1)
	out.Divergence, out.Entropy = sum.Distill/float64(sum.Tokens), sum.LM/float64(sum.Tokens)
	for j, t := range sum.Teachers {
		if t.Positions > 0 {
			out.Teachers = append(out.Teachers, MeasuredTeacher{s.teachers[j].Name, t.Divergence / float64(t.Positions), int64(t.Positions), answers(lessons, j)})
		}
	}
	return out, nil
}

// answers counts the segments that a teacher has a share in, or, for -1, all.
func answers(lessons []Lesson, teacher int) int64 {
	n := 0
	for i := range lessons {
		if teacher < 0 {
			n += len(lessons[i].Row.Segments)
		} else {
			n += len(lessons[i].taughtBy(teacher))
		}
	}
	return int64(n)
}
