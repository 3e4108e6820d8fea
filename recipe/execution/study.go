package execution

import (
	"context"
	"errors"
	"fmt"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/posttrain/opd"
	"github.com/temper-ml/temper/posttrain/rollout"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/train"
)

// studying are the rounds of a stage whose method is opd: the model's own answers,
// of which it learns what its teachers would have said.
type studying struct {
	*Teaching
	held      *rollout.Questions // nil without any
	shares    [2][][]opd.Share   // of questions asked, and of those held out, by index
	read      data.Report
	kept      *keeper
	own       *opd.Own
	described record.Stage
}

// study opens the rounds of an opd stage.
func study(ctx context.Context, p *Part, d *posttrain.Data) (Rounds, error) {
	m := p.Machine
	t, err := newTeaching(p)
	if err != nil {
		return nil, err
	}
	s := &studying{Teaching: t}
	questions, held, report, err := rollout.Load(ctx, d, m.Tokenizer, p.Rollout.MaxTokens, m.Recipe.Seed)
	if err != nil {
		return nil, err
	}
	s.held, s.read = held, *report
	s.described = record.Stage{
		Rows: int64(questions.Len()), Round: p.Rollout.Steps(),
		Data: record.Digest(questions.Digest().String()), Order: record.Digest(questionOrder(questions).String()),
	}
	if held != nil {
		s.described.HeldOut = int64(held.Len())
	}
	for i, q := range []*rollout.Questions{questions, held} {
		if s.shares[i], err = t.ask(q, d.Files); err != nil {
			return nil, err
		}
	}
	if s.kept, err = openKeeper(p, questions); err != nil {
		return nil, err
	}
	s.own, err = opd.NewOwn(opd.OwnOptions{
		Rollout: *p.Rollout, Sequence: p.Data.Sequence, Steps: p.Steps, Rounds: s.kept, Student: m.Model,
		Shares: s.of(0), Cursor: s.kept.first,
	})
	if err != nil {
		return nil, errors.Join(err, s.kept.Close())
	}
	t.lessons = s.own.Lessons
	return s, nil
}

// ask finds the teachers of questions, nil of none; paths are where the data files are.
func (t *Teaching) ask(q *rollout.Questions, paths []string) ([][]opd.Share, error) {
	if q == nil {
		return nil, nil
	}
	file := map[string]string{}
	for i, path := range paths {
		file[path] = t.files[i]
	}
	all := make([][]opd.Share, q.Len())
	for i := range all {
		x := q.Question(i)
		shares, err := t.config.Shares(file[x.Source.File], x.Fields())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", x.Source, err)
		}
		all[i], t.deepest = shares, max(t.deepest, len(shares))
	}
	return all, nil
}

// of returns what finds the teachers of a question asked, 0, or held out, 1.
func (s *studying) of(which int) func(*rollout.Question) ([]opd.Share, error) {
	return func(q *rollout.Question) ([]opd.Share, error) { return s.shares[which][q.Index], nil }
}

// Attach does nothing yet: the trainer learns who teaches once they are known.
func (s *studying) Attach(*train.Trainer) error { return nil }

// Describe says what the stage is about.
func (s *studying) Describe(e *record.Stage) {
	e.Rows, e.HeldOut, e.Data, e.Order, e.Round = s.described.Rows, s.described.HeldOut, s.described.Data, s.described.Order, s.described.Round
	s.describe(e)
}

// Report counts what became of the files' rows.
func (s *studying) Report() data.Report { return s.read }

// First finds out who the teachers are.
func (s *studying) First(ctx context.Context) error { return s.meet(ctx) }

// Recall makes sure that they are those on record.
func (s *studying) Recall(ctx context.Context) error { return s.meet(ctx) }

// Ready reports whether the round of a step can be had.
func (s *studying) Ready(step int64) error {
	c := s.part.Rollout
	if step >= s.part.Steps || step%c.Steps() == 0 {
		return nil
	}
	if _, err := s.kept.Read(c.RoundOf(step)); err != nil {
		return &Lost{fmt.Errorf("round %d: %w", c.RoundOf(step), err)}
	}
	return nil
}

// Prepare makes the round of a step present, and what its teachers say of its answers.
func (s *studying) Prepare(ctx context.Context, step int64) (*record.Rollout, bool, error) {
	round, fresh, err := s.own.Prepare(ctx, step)
	if err != nil {
		return nil, false, err
	}
	if fresh {
		s.stage.Forget()
	}
	from, to := s.own.Span(step)
	if err := s.prepare(ctx, from, to); err != nil {
		return nil, false, err
	}
	e := roundEntry(round, s.part.Rollout)
	e.Trained = e.Tokens * int64(s.part.Rollout.Epochs)
	return e, s.kept.sampledHere(round.Number), nil
}

// Measure lets the model answer held-out questions with its most likely tokens, and says
// how far it is from its teachers there.
func (s *studying) Measure(ctx context.Context, m *Measured) error {
	if s.held == nil {
		return nil
	}
	round, err := s.kept.Greedy(ctx, s.part.Machine.Model, s.held, s.part.Eval.Rows)
	if err != nil {
		return err
	}
	lessons, err := opd.Pack(round.Answers, s.part.Data.Sequence, s.of(1))
	if err != nil {
		return err
	}
	if err := s.measure(ctx, m, lessons, false); err != nil {
		return err
	}
	sums := round.Sums()
	m.metric("tokens", float64(sums.Tokens)/float64(sums.Answers), sums.Answers)
	m.metric("truncated", float64(sums.Truncated)/float64(sums.Answers), sums.Answers)
	return nil
}

// Kept returns what the file of a round comes to.
func (s *studying) Kept(round int64) (*record.Rollout, error) {
	x, err := s.kept.Read(round)
	if err != nil {
		return nil, err
	}
	return roundEntry(x, s.part.Rollout), nil
}

// Prune removes the files of rounds before one.
func (s *studying) Prune(before int64) error { return s.kept.Prune(before) }

// Settle has nothing to wait for: nothing is sampled beside the steps.
func (s *studying) Settle(context.Context) error { return nil }

// Idle has nothing to stop.
func (s *studying) Idle() {}

// Close gives the files up.
func (s *studying) Close() error { return errors.Join(s.Teaching.Close(), s.kept.Close()) }
