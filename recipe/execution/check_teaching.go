package execution

import (
	"context"

	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/nn"
	"github.com/temper-ml/temper/posttrain/opd"
	"github.com/temper-ml/temper/posttrain/rollout"
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

// attend counts what the first steps of a stage, so many, take of its teachers, who
// read the rows of window steps when they are loaded. All steps are so many times as
// much, and teachers read so many times as much for them.
func (s *CheckedStage) attend(t *Teaching, looked, window int64, steps, reads float64, lessons opd.Lessons) error {
	by, err := t.config.Measure()
	if err != nil {
		return err
	}
	s.taught = &nn.Distillation{Divergence: by, Lessons: make([]nn.Lesson, t.deepest)}
	var all []opd.Lesson
	for step := range looked {
		some, err := lessons(step)
		if err != nil {
			return err
		}
		all = append(all, some...)
	}
	s.remembered = t.config.MemoryMiB << 20
	if s.Teachers, err = opd.CostOf(all, t.teachers, t.config.BF16, t.config.Tokens); err != nil {
		return err
	}
	for i := range s.Teachers {
		c := &s.Teachers[i]
		c.Bytes = int64(float64(c.Bytes) * max(1, float64(window)/float64(looked)))
		c.Tokens, c.Labels = int64(reads*float64(c.Tokens)), int64(steps*float64(c.Labels))
		c.Reading *= reads
		c.Head *= steps
	}
	return nil
}

// study checks the teachers of a stage that learns from the model's own answers, and
// counts what they take if every answer is as long as it may be.
func (s *CheckedStage) study(t *Teaching, stage *recipe.Stage, paths []string, q, held *rollout.Questions) error {
	shares, err := t.ask(q, paths)
	if err != nil {
		return err
	}
	if _, err := t.ask(held, paths); err != nil {
		return err
	}
	c := stage.Rollout
	var answers []rollout.Answer
	for cursor := range c.Prompts {
		for range c.Group {
			answers = append(answers, rollout.Answer{Question: q.At(int64(cursor)), Tokens: make([]int32, c.MaxTokens)})
		}
	}
	looked := min(checkSteps, int64(c.Updates))
	n, parts := len(answers), c.Updates
	return s.attend(t, looked, int64(c.Updates), float64(stage.Steps)/float64(looked), float64(stage.Steps/int64(c.Epochs))/float64(looked), func(step int64) ([]opd.Lesson, error) {
		part := int(step)
		return opd.Pack(answers[n*part/parts:n*(part+1)/parts], stage.Data.Sequence, func(x *rollout.Question) ([]opd.Share, error) { return shares[x.Index], nil })
	})
}

// teacherMemory is what teachers take beside the student: the largest while it reads,
// and what is kept in memory of what they said.
func (s *CheckedStage) teacherMemory() int64 {
	most := int64(0)
	for _, c := range s.Teachers {
		most = max(most, c.Memory)
	}
	return most + min(s.remembered, s.teacherBytes())
}

// teacherBytes is what the cache of what teachers said takes on the disk.
func (s *CheckedStage) teacherBytes() int64 {
	sum := int64(0)
	for _, c := range s.Teachers {
		sum += c.Bytes
	}
	return sum
}
