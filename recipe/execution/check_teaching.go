package execution

import (
	"context"

	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/nn"
	"github.com/temper-ml/temper/posttrain/opd"
	"github.com/temper-ml/temper/recipe"
)

// meet opens the directories of a stage's teachers.
func (s *CheckedStage) meet(ctx context.Context, r *recipe.Recipe, stage *recipe.Stage, tok *tokenizer.Tokenizer, cfg *arch.Config) (*Teaching, error) {
	teachers, err := openTeachers(r, stage, tok, cfg.VocabSize)
	if err != nil {
		return nil, err
	}
	return &Teaching{config: stage.Teaching(), files: stage.Data.Files, teachers: teachers}, ctx.Err()
}

// attend counts what the first steps of a stage take of its teachers, and expects all
// steps to take as much.
func (s *CheckedStage) attend(t *Teaching, steps int64, lessons opd.Lessons) error {
	by, err := t.config.Measure()
	if err != nil {
		return err
	}
	s.taught = &nn.Distillation{Divergence: by, Lessons: make([]nn.Lesson, t.deepest)}
	looked := min(checkSteps, steps)
	var all []opd.Lesson
	for step := range looked {
		some, err := lessons(step)
		if err != nil {
			return err
		}
		all = append(all, some...)
	}
	if s.Teachers, err = opd.CostOf(all, t.teachers, t.config.BF16, t.config.Tokens); err != nil {
		return err
	}
	share := float64(steps) / float64(looked)
	for i := range s.Teachers {
		c := &s.Teachers[i]
		c.Tokens, c.Labels = int64(share*float64(c.Tokens)), int64(share*float64(c.Labels))
		c.Reading *= share
		c.Head *= share
	}
	return nil
}

// teacherMemory is what the largest teacher takes while it reads, beside the student.
func (s *CheckedStage) teacherMemory() int64 {
	most := int64(0)
	for _, c := range s.Teachers {
		most = max(most, c.Memory)
	}
	return most
}
