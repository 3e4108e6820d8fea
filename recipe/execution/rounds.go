package execution

import (
	"context"
	"fmt"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/train"
)

// Rounds are the answers of a stage that learns from its own: in each round
// questions are put to the model, and the round's steps learn from what it said.
// Who carries the stage out calls First or Recall, then Prepare before every step.
// Between the calls of its methods rounds may go on being sampled beside the steps,
// by weights of their own.
type Rounds interface {
	// Source gives the rows of a step that Prepare was called for last.
	train.Source
	// Attach makes the stage's trainer minimise what it is about.
	Attach(t *train.Trainer) error
	// Describe fills in what the record says of the stage: Rows, the questions of an
	// epoch, HeldOut, Data and Order, their digest and that of their order, Round,
	// and what else the method adds. It must not change once First or Recall is done.
	Describe(e *record.Stage)
	// Report counts what became of the files' rows.
	Report() data.Report
	// First is called while the model has the weights that the stage begins with: it
	// keeps of them what later rounds need, in the site's folder too.
	First(ctx context.Context) error
	// Recall takes what First has kept, instead of it, for a stage that is continued.
	// A [Lost] says that it is not there, or is not what is on record.
	Recall(ctx context.Context) error
	// Ready says whether Prepare could make the round of a step present while the
	// model has the weights after the steps before: nil, or a [Lost].
	Ready(step int64) error
	// Prepare makes the round of a step present: the round is sampled by the model's
	// weights, or it is read. It returns what the record is to say of it, but for
	// Stage and Took, and whether it was sampled, if only the last of it. When ctx
	// ends what was sampled is kept.
	Prepare(ctx context.Context, step int64) (e *record.Rollout, sampled bool, err error)
	// Kept returns what the record would say of a round by its file, but for Stage, Took
	// and what its steps learn. The error wraps [os.ErrNotExist] if there is no file.
	Kept(round int64) (*record.Rollout, error)
	// Prune removes the files of rounds before one.
	Prune(before int64) error
	// Settle waits for what is sampled beside the steps, so that a checkpoint needs no
	// weights of before. When ctx ends it stops that, and keeps the weights that the
	// rest needs.
	Settle(ctx context.Context) error
	// Measure adds what held-out questions say, if there are any.
	Measure(ctx context.Context, m *Measured) error
	// Idle stops what goes on beside the steps, until Prepare begins it again.
	Idle()
	// Close ends it, and keeps what there is.
	Close() error
}

// Lost says that something of a stage's rounds cannot be had from the present
// weights: they have moved on, and the file that has it is not there or not the one
// on record. An earlier state can give it again.
type Lost struct{ Err error }

func (e *Lost) Error() string { return e.Err.Error() }
func (e *Lost) Unwrap() error { return e.Err }

// openers make the rounds of methods that learn from the model's own answers.
var openers = map[string]func(context.Context, *Part, *posttrain.Data) (Rounds, error){"grpo": reinforce, "opd": study}

// asked is what the rounds say of the stage.
func (p *Part) asked() *record.Stage {
	e := &record.Stage{}
	p.Rounds.Describe(e)
	return e
}

// ask opens a stage that learns from the model's own answers.
func (p *Part) ask(ctx context.Context, d *posttrain.Data) (err error) {
	open := openers[p.Method]
	if open == nil {
		return fmt.Errorf("method %s cannot be carried out", p.Method)
	}
	if p.Rounds, err = open(ctx, p, d); err != nil {
		return err
	}
	// How many rows a step has is known once its answers are.
	if err := p.train(p.Rounds, max(p.Slots, p.MicroRows)); err != nil {
		return err
	}
	return p.Rounds.Attach(p.Trainer)
}

// entered returns what is on record of a stage, nil if nothing is.
func (s *Site) entered(stage int) *record.Stage {
	if s.Entered == nil {
		return nil
	}
	return s.Entered(stage)
}

// Site is where rounds are kept, and what is known of them.
type Site struct {
	// Dir is the folder below which [record.RolloutPath] has its files, FS the disk.
	Dir string
	FS  durable.FS
	// Kept is the run directory of others, of which only rounds are taken whose
	// digest is on record; empty for none.
	Kept string
	// Entered returns what is on record of a stage, Known what stands of a round of
	// one: nil if nothing does.
	Entered func(stage int) *record.Stage
	Known   func(stage int, round int64) *record.Rollout
	// Tell is told how far rounds are, Note what a person should know. Both may be
	// called by several goroutines.
	Tell func(Event)
	Note func(text string)
	// Programs allows rules to run programs that a recipe names.
	Programs bool
}
