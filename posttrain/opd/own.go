package opd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/posttrain/pack"
	"github.com/temper-ml/temper/posttrain/rollout"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/train"
)

// Rounds samples and keeps rounds; a [rollout.Sampler] does.
type Rounds interface {
	// Sample returns a round whose answers are sampled, and on disk: by that model, from
	// the question at cursor first on. What its file has is not sampled again, if the
	// file is of the same weights.
	Sample(ctx context.Context, m *deepseek.Model, policy digest.Digest, number, first int64) (*rollout.Round, error)
	// Read returns a round that Sample has finished, sealed or not.
	Read(number int64) (*rollout.Round, error)
	// Seal completes the round's file.
	Seal(r *rollout.Round) error
}

// OwnOptions say how a student answers.
type OwnOptions struct {
	Rollout rollout.Config
	// Sequence is the most tokens of a row, Steps the optimizer steps of the stage.
	Sequence int
	Steps    int64
	// Rounds samples, by Student, which is the model that is trained.
	Rounds  Rounds
	Student *deepseek.Model
	// Shares are the teachers of whatever is answered to a question.
	Shares func(q *rollout.Question) ([]Share, error)
	// Cursor returns how many questions the rounds before one have used, according to
	// the record. It is asked where a stage is continued. Nil if it never is.
	Cursor func(round int64) (int64, error)
}

// Own are the lessons of a student's own answers, in rounds: a round's answers are
// sampled by the weights at its first step, divided among its updates in the order of
// their questions, and gone through once an epoch. Only their tokens are learnt, the
// one that ends them included. The divergence is of the distribution at temperature
// 1, whatever answers are drawn at.
type Own struct {
	o     OwnOptions
	round *rollout.Round // nil before the first
}

// NewOwn returns the lessons before the first round.
func NewOwn(o OwnOptions) (*Own, error) {
	if err := o.Rollout.Check("opd", o.Sequence); err != nil {
		return nil, fmt.Errorf("opd: rollout.%w", err)
	}
	switch {
	case o.Steps < 1:
		return nil, fmt.Errorf("opd: %d steps, want at least 1", o.Steps)
	case o.Student == nil || o.Rounds == nil || o.Shares == nil:
		return nil, errors.New("opd: no model to train, nothing that samples from it, or nobody to teach it")
	case o.Rollout.Ahead != 0:
		return nil, fmt.Errorf("opd: rollout.ahead: %d, but answers are sampled by the weights that learn them: leave it out", o.Rollout.Ahead)
	}
	return &Own{o: o}, nil
}

// Prepare makes the round of a step present: sampled, or read if it was before; fresh
// tells that it was not present yet. The student must have the weights of that step.
func (w *Own) Prepare(ctx context.Context, step int64) (r *rollout.Round, fresh bool, err error) {
	if step < 0 || step >= w.o.Steps {
		return nil, false, fmt.Errorf("opd: step %d is not of the stage's %d", step, w.o.Steps)
	}
	number, begins := w.o.Rollout.RoundOf(step), step%w.o.Rollout.Steps() == 0
	if w.round != nil && w.round.Number == number {
		return w.round, false, nil
	}
	if begins {
		r, err = w.sample(ctx, number)
	} else {
		r, err = w.o.Rounds.Read(number)
	}
	if err == nil && !r.Sealed {
		err = w.o.Rounds.Seal(r)
	}
	if err != nil {
		return nil, false, err
	}
	w.round = r
	return r, true, nil
}

func (w *Own) sample(ctx context.Context, number int64) (*rollout.Round, error) {
	first, err := w.cursor(number)
	if err != nil {
		return nil, err
	}
	d, err := train.ParametersDigest(w.o.Student)
	if err != nil {
		return nil, err
	}
	return w.o.Rounds.Sample(ctx, w.o.Student, d, number, first)
}

// cursor returns the first question of a round.
func (w *Own) cursor(number int64) (int64, error) {
	switch {
	case number == 0:
		return 0, nil
	case w.round != nil && w.round.Number == number-1:
		return w.round.First + w.round.Used, nil
	case w.o.Cursor == nil:
		return 0, fmt.Errorf("opd: round %d: nothing tells which questions the rounds before it used", number)
	}
	return w.o.Cursor(number)
}

// Round returns the round that was prepared last, nil before.
func (w *Own) Round() *rollout.Round { return w.round }

// Span returns the steps of the round that a step belongs to, from that step on.
func (w *Own) Span(step int64) (from, to int64) {
	n := w.o.Rollout.Steps()
	return step, min((step/n+1)*n, w.o.Steps)
}

// Lessons returns the lessons of a step of the round that is prepared.
func (w *Own) Lessons(step int64) ([]Lesson, error) {
	if w.round == nil || step < 0 || w.o.Rollout.RoundOf(step) != w.round.Number {
		return nil, fmt.Errorf("the round of step %d is not prepared", step)
	}
	n, parts := len(w.round.Answers), w.o.Rollout.Updates
	part := int(step % int64(parts))
	return Pack(w.round.Answers[n*part/parts:n*(part+1)/parts], w.o.Sequence, w.o.Shares)
}

// Pack lays answers with their questions out in rows of up to sequence tokens: each
// with others of the same teachers, otherwise in their order.
func Pack(answers []rollout.Answer, sequence int, shares func(q *rollout.Question) ([]Share, error)) ([]Lesson, error) {
	type taught struct {
		*rollout.Answer
		lesson Lesson // of the answer alone
		by     []int
	}
	all := make([]taught, len(answers))
	for i := range answers {
		of, err := shares(answers[i].Question)
		if err != nil {
			return nil, err
		}
		all[i] = taught{&answers[i], Lesson{Shares: [][]Share{of}}, nil}
		all[i].by = all[i].lesson.teachers()
	}
	slices.SortStableFunc(all, func(a, b taught) int { return slices.Compare(a.by, b.by) })
	p := pack.Packer{Room: sequence}
	var lessons []Lesson
	for i, a := range all {
		if i > 0 && !slices.Equal(a.by, all[i-1].by) {
			p.Cut()
		}
		at, err := p.Add(a.Question.Tokens, a.Tokens)
		if err != nil {
			return nil, fmt.Errorf("answer %d to question %d: %w", a.Sample, a.Cursor, err)
		}
		if at.Row == len(lessons) {
			lessons = append(lessons, Lesson{})
		}
		l := &lessons[at.Row]
		l.Row, l.Shares = p.Rows[at.Row], append(l.Shares, a.lesson.Shares[0])
	}
	return lessons, nil
}
