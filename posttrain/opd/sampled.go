package opd

import (
	"fmt"

	"github.com/temper-ml/temper/nn"
)

// LogProbs returns what a teacher says of the labels of a row of the present step: one
// log-probability for each position, 0 where there is no label or where the teacher has
// no share. It has the bits that the teacher's own [deepseek.Model.LogProbs] has, unless
// states are rounded.
func (s *Stage) LogProbs(teacher, row int) ([]float32, error) {
	if s.step < 0 || teacher < 0 || teacher >= len(s.teachers) || row < 0 || row >= len(s.lessons) {
		return nil, fmt.Errorf("opd: there is no teacher %d, or no row %d, in the present step", teacher, row)
	}
	l := &s.lessons[row]
	m := s.states(teacher, l)
	logp := make([]float32, len(l.Row.Tokens))
	if m.rows == 0 {
		return logp, nil
	}
	head := s.head(teacher)
	if err := s.fetch(teacher, &m, s.lessons); err != nil {
		return nil, err
	}
	if err := s.fetch(teacher, &head, s.lessons); err != nil {
		return nil, err
	}
	var labels []int32
	var at []int
	for _, i := range l.taughtBy(teacher) {
		seg := l.Row.Segments[i]
		for p := seg.Start; p < seg.End; p++ {
			if l.Row.Labels[p] >= 0 {
				labels, at = append(labels, l.Row.Labels[p]), append(at, p)
			}
		}
	}
	h := nn.Head{Linear: nn.Linear{Weight: nn.Weight{Data: head.values}, In: head.columns, Out: head.rows}}
	values := make([]float32, len(at))
	h.LogProbs(values, m.values, labels, len(at), nn.NewArena())
	for i, p := range at {
		logp[p] = values[i]
	}
	return logp, nil
}

// Penalise is the sampled form of the reverse divergence: it takes weight times
// log π(y) - log ν(y), of the tokens y that the student π chose, off the advantages of
// a policy gradient. Its expectation over the student's tokens has the gradient of the full
// divergence; its variance is what the full one is there to avoid. Positions where
// the teacher's log-probability is 0, that is without teacher, keep their advantage.
func Penalise(advantages, student, teacher []float32, weight float32) error {
	if len(student) != len(advantages) || len(teacher) != len(advantages) {
		return fmt.Errorf("opd: %d advantages, %d log-probabilities of the student and %d of the teacher, want as many of each", len(advantages), len(student), len(teacher))
	}
	for i, t := range teacher {
		if t != 0 {
			advantages[i] -= float32(weight * (student[i] - t))
		}
	}
	return nil
}
