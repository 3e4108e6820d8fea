package opd

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/nn"
)

// Lessons returns what rows lo to hi-1 of the step learn. Heads that they do not need
// are let go of.
func (s *Stage) Lessons(lo, hi int) (*deepseek.Distillation, error) {
	if s.step < 0 || lo < 0 || hi > len(s.lessons) {
		return nil, fmt.Errorf("opd: rows %d to %d are not of the step's %d", lo, hi-1, len(s.lessons))
	}
	return s.learn(s.lessons[lo:hi])
}

// Shape is as Lessons at most is, without rows.
func (s *Stage) Shape() *deepseek.Distillation {
	return &nn.Distillation{Divergence: s.o.Divergence, Lessons: make([]nn.Lesson, s.o.Deepest)}
}

// learn returns what lessons say, valid until it is called again.
func (s *Stage) learn(lessons []Lesson) (*deepseek.Distillation, error) {
	d := &s.batch
	d.Divergence, d.Teachers, d.States, d.Lessons = s.o.Divergence, d.Teachers[:0], d.States[:0], d.Lessons[:0]
	for j := range s.teachers {
		d.Teachers, d.States = append(d.Teachers, nn.Teacher{Name: s.teachers[j].Name}), append(d.States, nil)
		t := &d.Teachers[j]
		t.In, t.Out = s.teachers[j].Config.HiddenSize, s.teachers[j].Config.VocabSize
	}
	if err := s.seat(d, lessons); err != nil {
		return nil, err
	}
	deepest := 0
	for i := range lessons {
		deepest = max(deepest, lessons[i].Deepest())
	}
	d.Lessons = append(d.Lessons, make([]nn.Lesson, deepest)...)
	next := make([]int32, len(s.teachers)) // state of each teacher
	for i := range lessons {
		lessons[i].assign(d, next)
	}
	return d, nil
}

// seat brings the heads and states of the teachers of lessons, in their order.
func (s *Stage) seat(d *nn.Distillation, lessons []Lesson) error {
	var needed []int
	for i := range lessons {
		needed = append(needed, lessons[i].teachers()...)
	}
	for j := range s.heads {
		if !slices.Contains(needed, j) {
			s.heads[j] = nil
		}
	}
	for j := range s.teachers {
		if !slices.Contains(needed, j) {
			continue
		}
		for i := range lessons {
			m := s.states(j, &lessons[i])
			if m.rows == 0 {
				continue
			}
			if err := s.fetch(j, &m, lessons); err != nil {
				return err
			}
			d.States[j] = append(d.States[j], m.values...)
		}
		if s.heads[j] == nil {
			m := s.head(j)
			if err := s.fetch(j, &m, lessons); err != nil {
				return err
			}
			s.heads[j] = m.values
		}
		d.Teachers[j].Data = s.heads[j]
	}
	return nil
}

// fetch reads from the cache what lessons need; what was damaged or lost since it was put
// there is computed again.
func (s *Stage) fetch(j int, m *matrix, lessons []Lesson) error {
	err := s.cache.get(m)
	if !errors.Is(err, errDamaged) && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := s.ask(s.ctx, j, readings(lessons, "the micro-batch")); err != nil {
		return err
	}
	return s.cache.get(m)
}

// assign gives each position of the row that has a label its teachers; next counts their
// states.
func (l *Lesson) assign(d *nn.Distillation, next []int32) {
	for i, seg := range l.Row.Segments {
		for _, label := range l.Row.Labels[seg.Start:seg.End] {
			if label < 0 {
				continue
			}
			for k := range d.Lessons {
				share, state := Share{Teacher: -1}, int32(0)
				if k < len(l.Shares[i]) {
					share = l.Shares[i][k]
					state = next[share.Teacher]
					next[share.Teacher]++
				}
				to := &d.Lessons[k]
				to.Teacher = append(to.Teacher, int32(share.Teacher))
				to.State = append(to.State, state)
				to.Coef = append(to.Coef, share.Weight)
			}
		}
	}
}
