package execution

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/posttrain/policy"
	"github.com/temper-ml/temper/posttrain/rollout"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/train"
)

// reinforcing are the rounds of a stage whose method is grpo.
type reinforcing struct {
	part            *Part
	questions, held *rollout.Questions // held is nil without any
	read            data.Report
	kept            *keeper
	stage           *policy.Stage
	anchor          *anchor // nil where the loss has no divergence
	described       record.Stage
}

// reinforce opens the rounds of a grpo stage.
func reinforce(ctx context.Context, p *Part, d *posttrain.Data) (Rounds, error) {
	m := p.Machine
	r := &reinforcing{part: p}
	questions, held, report, err := rollout.Load(ctx, d, m.Tokenizer, p.Rollout.MaxTokens, m.Recipe.Seed)
	if err != nil {
		return nil, err
	}
	r.questions, r.held, r.read = questions, held, *report
	r.described = record.Stage{
		Rows: int64(questions.Len()), Round: p.Rollout.Steps(),
		Data: record.Digest(questions.Digest().String()), Order: record.Digest(questionOrder(questions).String()),
	}
	if held != nil {
		r.described.HeldOut = int64(held.Len())
	}
	o := policy.Options{
		Loss: *p.GRPO, Rollout: *p.Rollout, Sequence: p.Data.Sequence, Steps: p.Steps, Policy: m.Model,
		Dir: filepath.Join(m.Site.Dir, filepath.FromSlash(record.RolloutDir(p.Index, p.Name))), FS: m.Site.FS, Note: m.Site.Note,
	}
	if r.kept, err = openKeeper(p, questions); err != nil {
		return nil, err
	}
	o.Rounds, o.Cursor = r.kept, r.kept.first
	if p.GRPO.KL.Weight > 0 {
		if r.anchor, err = newAnchor(p); err != nil {
			return nil, errors.Join(err, r.kept.Close())
		}
		o.Anchor = r.anchor.model
	}
	if r.stage, err = policy.New(o); err != nil {
		return nil, errors.Join(err, r.kept.Close())
	}
	return r, nil
}

// Attach makes the trainer minimise the stage's objective.
func (r *reinforcing) Attach(t *train.Trainer) error {
	t.Objective(r.stage)
	return nil
}

// Rows returns the rows of a step.
func (r *reinforcing) Rows(step int64) ([]train.Row, error) { return r.stage.Rows(step) }

// Describe says what the stage is about.
func (r *reinforcing) Describe(e *record.Stage) {
	e.Rows, e.HeldOut, e.Data, e.Order, e.Round = r.described.Rows, r.described.HeldOut, r.described.Data, r.described.Order, r.described.Round
	if r.anchor != nil {
		e.Anchor = r.anchor.digest
	}
}

// Report counts what became of the files' rows.
func (r *reinforcing) Report() data.Report { return r.read }

// First keeps the weights that a divergence is from.
func (r *reinforcing) First(ctx context.Context) error {
	if r.anchor == nil {
		return nil
	}
	return r.anchor.take(ctx)
}

// Recall reads them.
func (r *reinforcing) Recall(ctx context.Context) error {
	if r.anchor == nil {
		return nil
	}
	return r.anchor.recall(ctx)
}

// Ready reports whether the round of a step can be had, and the one that is to be
// sampled beside it.
func (r *reinforcing) Ready(step int64) error {
	c := r.part.Rollout
	number, begins := c.RoundOf(step), step%c.Steps() == 0
	if step >= r.part.Steps || begins && (c.Ahead == 0 || number == 0) {
		return nil
	}
	round, err := r.kept.Read(number)
	switch {
	case err == nil && !begins && !round.Sealed:
		err = errors.New("it lacks what only the weights at its first step can give")
	case err != nil && c.Ahead > 0:
		err = r.continued(number, err)
	}
	if err != nil {
		return &Lost{fmt.Errorf("round %d: %w", number, err)}
	}
	if next := number + 1; c.Ahead > 0 && !begins && next*c.Steps() < r.part.Steps {
		if _, err := r.kept.Read(next); err != nil {
			if err = r.continued(next, err); err != nil {
				return &Lost{fmt.Errorf("round %d: %w", next, err)}
			}
		}
	}
	return nil
}

// continued reports whether the weights were kept that finish a round whose file is
// not whole, which why tells.
func (r *reinforcing) continued(number int64, why error) error {
	if r.stage.Keeps(number) {
		return nil
	}
	return why
}

// Prepare makes the round of a step present.
func (r *reinforcing) Prepare(ctx context.Context, step int64) (*record.Rollout, bool, error) {
	if now := r.stage.Round(); now != nil && (r.part.Rollout.RoundOf(step) < now.Number || r.part.Rollout.RoundOf(step) > now.Number+1) {
		r.stage.Close() // whoever takes the steps went elsewhere: what is sampled ahead is of other weights
	}
	round, _, err := r.stage.Prepare(ctx, step)
	if err != nil {
		return nil, false, err
	}
	e, err := r.entry(round)
	return e, r.kept.sampledHere(round.Number), err
}

// entry is what the record says of a round.
func (r *reinforcing) entry(round *rollout.Round) (*record.Rollout, error) {
	e := roundEntry(round, r.part.Rollout)
	for step := e.Step; step < e.Step+r.described.Round; step++ {
		rows, err := r.stage.Rows(step)
		if err != nil {
			return nil, err
		}
		e.Trained += train.Count(rows).Supervised
	}
	return e, nil
}

// roundEntry is what the record says of any round, but for what its steps learn.
func roundEntry(round *rollout.Round, c *rollout.Config) *record.Rollout {
	s := round.Sums()
	e := &record.Rollout{
		Step: round.Number * c.Steps(), Round: round.Number, First: round.First, Prompts: round.Used,
		Batch: record.Digest(round.Digest().String()), Policy: record.Digest(round.Policy.String()),
		Generations: s.Answers, Tokens: s.Tokens, Longest: s.Longest, Truncated: s.Truncated, Failed: s.Failed, Reward: s.Reward,
	}
	for _, rule := range s.Rules {
		if e.Rules == nil {
			e.Rules = map[string]float64{}
		}
		e.Rules[rule.Name] = rule.Value
	}
	return e
}

// Measure lets the model answer held-out questions with its most likely tokens.
func (r *reinforcing) Measure(ctx context.Context, m *Measured) error {
	if r.held == nil {
		return nil
	}
	if r.part.Commands() && !r.part.Machine.Site.Programs {
		return ErrNoPrograms
	}
	s, err := r.kept.Measure(ctx, r.part.Machine.Model, r.held, r.part.Eval.Rows)
	if err != nil {
		return err
	}
	n := float64(s.Answers)
	m.metric("reward", s.Reward, s.Answers)
	for _, rule := range s.Rules {
		m.metric(rule.Name, rule.Value, s.Answers)
	}
	m.metric("tokens", float64(s.Tokens)/n, s.Answers)
	m.metric("truncated", float64(s.Truncated)/n, s.Answers)
	m.metric("failed", float64(s.Failed)/n, s.Answers)
	return nil
}

// Kept returns what the file of a round comes to.
func (r *reinforcing) Kept(round int64) (*record.Rollout, error) {
	x, err := r.kept.Read(round)
	if err != nil {
		return nil, err
	}
	return roundEntry(x, r.part.Rollout), nil
}

// Prune removes the files of rounds before one.
func (r *reinforcing) Prune(before int64) error { return r.kept.Prune(before) }

// Settle waits for the round that is sampled ahead.
func (r *reinforcing) Settle(ctx context.Context) error { return r.stage.Settle(ctx) }

// Idle stops sampling ahead.
func (r *reinforcing) Idle() { r.stage.Close() }

// Close stops sampling ahead and gives up the files.
func (r *reinforcing) Close() error {
	r.stage.Close()
	return r.kept.Close()
}
