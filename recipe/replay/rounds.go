package replay

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/recipe/execution"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/verify"
)

// site is where the replay has rounds of answers: those that it samples in its own
// folder, and those that the run keeps as long as they are the ones on record.
func (r *Replayer) site() execution.Site {
	return execution.Site{
		Dir: r.temp, FS: durable.OS, Kept: r.log.Dir, Programs: r.opts.Programs,
		Entered: func(stage int) *record.Stage {
			if stage >= len(r.log.Stages) {
				return nil
			}
			return &r.log.Stages[stage].Stage
		},
		Known: func(stage int, round int64) *record.Rollout {
			if e := r.log.Round(stage, round); e != nil {
				return &e.Rollout
			}
			return nil
		},
		Tell: func(e execution.Event) {
			if s, ok := e.(execution.Sampling); ok && r.opts.Sampling != nil {
				r.opts.Sampling(s)
			}
		},
		Note: func(string) {}, // what it says of rounds is in their verdicts
	}
}

// first gives the rounds of the open stage the weights that it begins with.
func (r *Replayer) first(ctx context.Context) error {
	if err := r.part.Rounds.First(ctx); err != nil {
		return unmet(ctx, r.part.Name, err)
	}
	if i := r.part.Index; i < len(r.log.Stages) {
		if got, want := r.part.Entry(0).Anchor, r.log.Stages[i].Anchor; got != want {
			return fmt.Errorf("%w: stage %s keeps its policy near weights of digest %s, on record is %s", verify.ErrState, r.part.Name, got, want)
		}
	}
	return nil
}

// recall gives the rounds of the open stage what they keep of its first weights,
// before a checkpoint of it is loaded: what the run keeps, or else what the stage's
// beginning gives.
func (r *Replayer) recall(ctx context.Context) error {
	if r.part.Rounds == nil || r.part.Entry(0).Anchor != "" {
		return nil
	}
	err := r.part.Rounds.Recall(ctx)
	var lost *execution.Lost
	if err == nil || !errors.As(err, &lost) {
		return err
	}
	if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, execution.ErrNone) {
		return fmt.Errorf("%w: %w", verify.ErrState, err)
	}
	return r.restore(ctx, verify.Position{Stage: r.part.Index})
}

// round makes the round of the next step present. It returns what is to be compared
// with the record if the step is its first, nil otherwise.
func (r *Replayer) round(ctx context.Context) (record.Body, error) {
	if r.part.Rounds == nil {
		return nil, nil //nolint:nilnil // there is none
	}
	taken, _ := r.part.Trainer.Steps()
	e, sampled, err := r.part.Rounds.Prepare(ctx, taken)
	var lost *execution.Lost
	switch {
	case errors.As(err, &lost):
		return nil, fmt.Errorf("%w: %w", verify.ErrState, err)
	case errors.Is(err, os.ErrNotExist):
		return nil, missing("stage %s: %w", r.part.Name, err)
	case err != nil:
		return nil, fmt.Errorf("stage %s: %w", r.part.Name, err)
	case e.Step != taken:
		return nil, nil //nolint:nilnil // as above
	}
	e.Stage = r.part.Index
	if !sampled {
		return &verify.Kept{Rollout: *e}, nil
	}
	return e, nil
}

// keptRounds reads all rounds of the open stage that the run keeps, once.
func (r *Replayer) keptRounds(ctx context.Context, each func(record.Body) error) error {
	stage := r.part.Index
	if r.part.Rounds == nil || r.read[stage] {
		return nil
	}
	for i := range r.log.Rollouts {
		said := &r.log.Rollouts[i]
		if said.Stage != stage {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		e, err := r.part.Rounds.Kept(said.Round)
		var lost *execution.Lost
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue
		case errors.As(err, &lost):
			return fmt.Errorf("%w: %w", verify.ErrState, err)
		case err != nil:
			return err
		}
		e.Stage, e.Trained = stage, 0
		if err := each(&verify.Kept{Rollout: *e}); err != nil {
			return err
		}
	}
	r.read[stage] = true
	return nil
}

// forgetSaves leaves out saves that no replay can begin at: in the middle of a round,
// or before one that older weights sampled, whose file the run does not keep.
func (r *Replayer) forgetSaves() {
	for p := range r.saves {
		for _, round := range r.needs(p) {
			name := record.RolloutPath(p.Stage, r.recipe.Stages[p.Stage].Name, round)
			if _, err := os.Lstat(filepath.Join(r.log.Dir, filepath.FromSlash(name))); errors.Is(err, os.ErrNotExist) {
				delete(r.saves, p)
				break
			}
		}
	}
}

// needs lists the rounds that only their files can give who begins at a position.
func (r *Replayer) needs(p verify.Position) []int64 {
	if p.Stage >= len(r.recipe.Stages) || r.recipe.Stages[p.Stage].Rollout == nil {
		return nil
	}
	s := &r.recipe.Stages[p.Stage]
	round, inside := s.Rollout.RoundOf(p.Step), p.Step%s.Rollout.Steps() > 0
	var list []int64
	if p.Step < r.steps(p.Stage) && (inside || s.Rollout.Ahead > 0 && round > 0 || s.Commands() && !r.opts.Programs) {
		list = append(list, round)
	}
	if inside && s.Rollout.Ahead > 0 && (round+1)*s.Rollout.Steps() < r.steps(p.Stage) {
		list = append(list, round+1)
	}
	return list
}
