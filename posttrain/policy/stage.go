package policy

import (
	"context"
	"errors"
	"fmt"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/posttrain/grpo"
	"github.com/temper-ml/temper/posttrain/rollout"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/train"
)

// Rounds samples and keeps rounds: a [rollout.Sampler] that seals them with the arrays
// that [Needs] says. Its methods are called by one goroutine at a time.
type Rounds interface {
	Sample(ctx context.Context, m *deepseek.Model, policy digest.Digest, number, first int64) (*rollout.Round, error)
	Read(number int64) (*rollout.Round, error)
	Amend(r *rollout.Round, answers ...int) error
	Seal(r *rollout.Round) error
}

var _ Rounds = (*rollout.Sampler)(nil)

// Needs says which log-probabilities the answers of a stage's rounds must have, besides
// those recorded when they were sampled.
func Needs(c *grpo.Config) (old, reference bool) { return c.Old == "computed", c.KL.Weight > 0 }

// Options are what a stage is made of.
type Options struct {
	Loss    grpo.Config
	Rollout rollout.Config
	// Sequence is the most tokens of a row, Steps the optimizer steps of the stage.
	Sequence int
	Steps    int64
	// Rounds samples, by Policy, which is the model that is trained.
	Rounds Rounds
	Policy *deepseek.Model
	// Anchor has the weights that the divergence is from, those that the stage began
	// with. Nil if the divergence has no weight.
	Anchor *deepseek.Model
	// Cursor returns how many questions the rounds before one have used, according to
	// the record. It is asked where a stage is continued. Nil if it never is.
	Cursor func(round int64) (int64, error)
	// Dir is where weights are kept that an interrupted round must be finished with:
	// for rounds sampled ahead. FS writes it; nil is the machine's.
	Dir string
	FS  durable.FS
	// Note, if not nil, is told what a person should know of a round.
	Note func(string)
}

// Stage gives a trainer the rows of its steps and is their objective. Call Prepare
// before each step, Settle before a checkpoint is saved, and Close at the end.
// It is not safe for concurrent use.
type Stage struct {
	o     Options
	terms []string

	lesson  *lesson     // of the present round, nil before there is one
	batches []*batch    // of it, by part; nil before they are asked for
	present *batch      // of the step begun
	loss    grpo.Config // of it
	grad    []float64

	behaviour *deepseek.Model // the weights that sample ahead
	hold      *kept           // what they are for, nil while they are for nothing
	flight    *flight         // the round that is being sampled, or was
}

// New returns the stage, before its first round. For rounds ahead it takes the memory of
// a second set of parameters now.
func New(o Options) (*Stage, error) {
	if err := o.Rollout.Check("grpo", o.Sequence); err != nil {
		return nil, fmt.Errorf("policy: rollout.%w", err)
	}
	if err := Check(&o.Loss, &o.Rollout); err != nil {
		return nil, fmt.Errorf("policy: grpo.%w", err)
	}
	switch {
	case o.Steps < 1:
		return nil, fmt.Errorf("policy: %d steps, want at least 1", o.Steps)
	case o.Policy == nil || o.Rounds == nil:
		return nil, errors.New("policy: no model to train, or nothing that samples from it")
	case o.Rollout.Ahead > 0 && o.Dir == "":
		return nil, errors.New("policy: rounds are sampled ahead, and there is no directory to keep weights in")
	case (o.Loss.KL.Weight > 0) != (o.Anchor != nil):
		return nil, fmt.Errorf("policy: a divergence of weight %v from an anchor that is there: %v", o.Loss.KL.Weight, o.Anchor != nil)
	}
	if o.FS == nil {
		o.FS = durable.OS
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
	s := &Stage{o: o, terms: termsOf(&o.Loss)}
	if o.Rollout.Ahead > 0 && s.rounds() > 1 {
		var err error
		if s.behaviour, err = deepseek.NewFrozen(o.Policy.Config()); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// rounds is how many rounds the stage has; the last may be left before its end.
func (s *Stage) rounds() int64 { return s.o.Rollout.RoundOf(s.o.Steps-1) + 1 }

// Round returns the round that was prepared last, nil before.
func (s *Stage) Round() *rollout.Round {
	if s.lesson == nil {
		return nil
	}
	return s.lesson.round
}

// Prepare makes the round of a step present: sampled, or read if it was before; fresh
// tells that it was not present yet. Sampling ahead begins here too. The policy must
// have the weights of that step.
func (s *Stage) Prepare(ctx context.Context, step int64) (r *rollout.Round, fresh bool, err error) {
	if step < 0 || step >= s.o.Steps {
		return nil, false, fmt.Errorf("policy: step %d is not of the stage's %d", step, s.o.Steps)
	}
	number, begins := s.o.Rollout.RoundOf(step), step%s.o.Rollout.Steps() == 0
	if r := s.Round(); r != nil && r.Number == number {
		s.goOn(number + 1)
		return r, false, nil
	}
	if r, err = s.obtain(ctx, number, begins); err != nil {
		return nil, false, err
	}
	if !r.Sealed {
		if !begins {
			return nil, false, fmt.Errorf("policy: round %d lacks what only the weights at its first step could give: continue from a checkpoint at step %d or before", number, number*s.o.Rollout.Steps())
		}
		if err := s.complete(ctx, r); err != nil {
			return nil, false, fmt.Errorf("policy: round %d: %w", number, err)
		}
	}
	l, err := newLesson(&s.o.Loss, r)
	if err != nil {
		return nil, false, fmt.Errorf("policy: round %d: %w", number, err)
	}
	if err := s.goAhead(ctx, r, begins); err != nil {
		return nil, false, err
	}
	s.lesson, s.batches = l, make([]*batch, s.o.Rollout.Updates)
	s.tell()
	return r, true, nil
}

// obtain returns the answers of a round.
func (s *Stage) obtain(ctx context.Context, number int64, begins bool) (*rollout.Round, error) {
	if s.flight != nil && s.flight.Round != number {
		s.Close() // whoever takes the steps went elsewhere
	}
	if s.goOn(number); s.flight != nil {
		return s.land(ctx)
	}
	if begins && (s.o.Rollout.Ahead == 0 || number == 0) {
		first, err := s.cursor(number, s.Round())
		if err != nil {
			return nil, err
		}
		d, err := train.ParametersDigest(s.o.Policy)
		if err != nil {
			return nil, err
		}
		return s.o.Rounds.Sample(ctx, s.o.Policy, d, number, first)
	}
	r, err := s.open(ctx, number, s.Round())
	if err == nil || s.behaviour == nil {
		return r, err
	}
	if err := s.resume(number, err); err != nil {
		return nil, err
	}
	return s.land(ctx)
}

// open returns a round of older weights than those at hand, if all of it is there;
// before is the round before it, if that is at hand.
func (s *Stage) open(ctx context.Context, number int64, before *rollout.Round) (*rollout.Round, error) {
	r, err := s.o.Rounds.Read(number)
	if !errors.Is(err, rollout.ErrUnsealed) {
		return r, err
	}
	first, err := s.cursor(number, before)
	if err != nil {
		return nil, err
	}
	return s.o.Rounds.Sample(ctx, nil, digest.Digest{}, number, first) // as far as it goes without a model
}

// cursor returns the first question of a round.
func (s *Stage) cursor(number int64, before *rollout.Round) (int64, error) {
	switch {
	case number == 0:
		return 0, nil
	case before != nil && before.Number == number-1:
		return before.First + before.Used, nil
	case s.o.Cursor == nil:
		return 0, fmt.Errorf("policy: round %d: nothing tells which questions the rounds before it used", number)
	}
	return s.o.Cursor(number)
}

// complete adds what later weights could not compute, and seals the round.
func (s *Stage) complete(ctx context.Context, r *rollout.Round) error {
	old, reference := Needs(&s.o.Loss)
	if old {
		err := s.read(ctx, s.o.Policy, r, s.o.Loss.Replay, func(a *rollout.Answer) *[]float32 { return &a.Old })
		if err != nil {
			return fmt.Errorf("log-probabilities of the policy: %w", err)
		}
	}
	if reference {
		err := s.read(ctx, s.o.Anchor, r, false, func(a *rollout.Answer) *[]float32 { return &a.Reference })
		if err != nil {
			return fmt.Errorf("log-probabilities of the anchor: %w", err)
		}
	}
	return s.o.Rounds.Seal(r)
}

// Rows returns the rows of a step of the round that is prepared.
func (s *Stage) Rows(step int64) ([]train.Row, error) {
	b, err := s.batch(step)
	if err != nil {
		return nil, err
	}
	return b.rows, nil
}

// batch returns what a step learns: the same in every epoch.
func (s *Stage) batch(step int64) (*batch, error) {
	r := s.Round()
	if r == nil || step < 0 || s.o.Rollout.RoundOf(step) != r.Number {
		return nil, fmt.Errorf("policy: the round of step %d is not prepared", step)
	}
	part := int(step % int64(len(s.batches)))
	if b := s.batches[part]; b != nil {
		return b, nil
	}
	b, err := s.lesson.batch(part, len(s.batches), s.o.Sequence, s.o.Loss.Replay)
	if err == nil {
		s.batches[part] = b
	}
	return b, err
}

// tell notes what is unusual about the round.
func (s *Stage) tell() {
	l := s.lesson
	number, groups, parts := l.round.Number, len(l.groups), s.o.Rollout.Updates
	if groups >= parts {
		return
	}
	if groups == 0 {
		s.o.Note(fmt.Sprintf("round %d teaches nothing: none of its %d groups takes part; its steps have no gradient from it", number, len(l.round.Groups)))
		return
	}
	s.o.Note(fmt.Sprintf("round %d has %d of %d groups that take part, for %d updates: some steps have no gradient from it", number, groups, len(l.round.Groups), parts))
}

// Idle stops sampling ahead, until Prepare goes on with it. What was sampled stays in
// the round's file.
func (s *Stage) Idle() {
	if s.flight != nil {
		s.flight.cancel()
		<-s.flight.done
		s.flight = nil
	}
}

// Close stops sampling ahead for good. A stage may still be used, after a jump to
// a step that its weights have nothing to do with.
func (s *Stage) Close() {
	s.Idle()
	s.hold = nil
}
