package execution

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/train/checkpoint"
)

// close gives up what the stage holds.
func (s *stage) close() {
	if err := s.Part.Close(); err != nil {
		s.run.tell(Noted{fmt.Sprintf("rounds: %v", err)})
	}
	s.store.Close()
}

// enterStage opens stage i, and loads its last checkpoint if resume is set. Where no
// checkpoint can be gone on from, because rounds that it needs are lost, the stage
// begins anew.
func (x *runner) enterStage(ctx context.Context, i int, resume bool) (*stage, error) {
	s, err := x.open(ctx, i)
	if err != nil || !resume {
		return s, err
	}
	err = s.load()
	if err == nil {
		return s, nil
	}
	s.close()
	var lost *Lost
	if !errors.As(err, &lost) {
		return nil, err
	}
	if again := x.rewind(i); again != nil {
		return nil, fmt.Errorf("%w, and the weights that the stage began with cannot be had either (%w): put one of them back, or start another run", lost, again)
	}
	if err := x.discard(i, 0); err != nil {
		return nil, err
	}
	x.later(fmt.Sprintf("%v: the stage begins anew", lost))
	var from restored
	if from.parameters, err = parametersDigest(x.model); err != nil {
		return nil, err
	}
	x.at = position{i, 0}
	x.safe = x.at
	if err := x.join(x.at, from); err != nil {
		return nil, err
	}
	if s, err = x.open(ctx, i); err != nil {
		return nil, err
	}
	return s, x.pass()
}

// usable returns the newest checkpoint that the stage can go on from: what has been
// loaded, or an older one, which it loads. A [Lost] says that there is none.
func (s *stage) usable(loaded *checkpoint.Loaded) (*checkpoint.Loaded, error) {
	lost := s.Rounds.Ready(loaded.Step)
	if lost == nil {
		return loaded, nil
	}
	entries, err := checkpoint.List(s.run.storeDir(s.Index))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Step >= loaded.Step || s.Rounds.Ready(e.Step) != nil {
			continue
		}
		meta, err := e.Load(s.State())
		if err != nil {
			return nil, err
		}
		if err := s.run.discard(s.Index, e.Step); err != nil {
			return nil, err
		}
		s.run.later(fmt.Sprintf("%s cannot be gone on from: %v", filepath.Base(loaded.Path), lost))
		return &checkpoint.Loaded{Entry: e, Meta: meta}, s.Resume(meta, e.Path)
	}
	return nil, lost
}

// discard removes the checkpoints of stage i after step, whose steps are taken again:
// the record, which loses those steps first, does not reach them until then.
func (x *runner) discard(i int, step int64) error {
	entries, err := checkpoint.List(x.storeDir(i))
	for _, e := range entries {
		if err == nil && e.Step > step {
			err = x.opts.FS.RemoveAll(e.Path)
		}
	}
	return err
}

// prune removes old rounds, but for those that a kept checkpoint goes on from.
func (s *stage) prune() error {
	if s.Rounds == nil || s.Rollout.Keep == 0 {
		return nil
	}
	entries, err := checkpoint.List(s.run.storeDir(s.Index))
	if err != nil {
		return err
	}
	taken, _ := s.Trainer.Steps()
	before := s.Rollout.RoundOf(taken) - int64(s.Rollout.Keep)
	for _, e := range entries[:min(len(entries), s.run.recipe.Checkpoint.Keep)] {
		before = min(before, s.Rollout.RoundOf(e.Step))
	}
	return s.Rounds.Prune(before)
}

// recall gives the stage's rounds what they keep of its first weights.
func (s *stage) recall(ctx context.Context) error {
	if s.Rounds == nil {
		return nil
	}
	if taken, _ := s.Trainer.Steps(); taken == 0 {
		if err := s.Rounds.First(ctx); err != nil {
			return err
		}
		return s.sameAnchor()
	}
	err := s.Rounds.Recall(ctx)
	var lost *Lost
	if err == nil || !errors.As(err, &lost) {
		return err
	}
	if err := s.run.note("%v; it is made again of the weights that stage %s began with", lost, s.Name); err != nil {
		return err
	}
	if err := s.run.rewind(s.Index); err != nil {
		return fmt.Errorf("%w, and the weights that the stage began with cannot be had either (%w): put one of them back, or start another run", lost, err)
	}
	if err := s.Rounds.First(ctx); err != nil {
		return err
	}
	if err := s.sameAnchor(); err != nil {
		return err
	}
	return s.reload()
}

// reload loads the state that the stage goes on from again.
func (s *stage) reload() error {
	taken, _ := s.Trainer.Steps()
	entries, err := checkpoint.List(s.run.storeDir(s.Index))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Step != taken {
			continue
		}
		meta, err := e.Load(s.State())
		if err != nil {
			return err
		}
		return s.Resume(meta, e.Path)
	}
	return fmt.Errorf("the checkpoint of step %d is gone", taken)
}

// sameAnchor refuses first weights that are not those on record.
func (s *stage) sameAnchor() error {
	all := s.run.standing.stages
	if s.Index >= len(all) {
		return nil
	}
	if got, want := s.asked().Anchor, all[s.Index].Anchor; got != want {
		return fmt.Errorf("the weights that the policy is kept near have digest %s, on record is %s: the stage began with other weights", got, want)
	}
	return nil
}

// prepare makes the round of the next step present, and records one that is new.
func (s *stage) prepare(ctx context.Context) error {
	if s.Rounds == nil {
		return s.Part.Prepare(ctx)
	}
	x := s.run
	taken, _ := s.Trainer.Steps()
	start := x.opts.Now()
	e, _, err := s.Rounds.Prepare(ctx, taken)
	if err != nil {
		return err
	}
	if err := x.pass(); err != nil {
		return err
	}
	e.Stage, e.Took = s.Index, int64(x.opts.Now().Sub(start))
	if known := x.standing.rollout(s.Index, e.Round); known != nil {
		return sameRound(known, e)
	}
	if err := x.enter(e); err != nil {
		return err
	}
	x.tell(Rolled{*e})
	return nil
}

// sameRound refuses a round that is not the one on record.
func sameRound(said, got *record.Rollout) error {
	if said.Batch != got.Batch {
		return fmt.Errorf("round %d has digest %s, on record is %s", got.Round, got.Batch, said.Batch)
	}
	return nil
}

// site is where the run has its rounds.
func (x *runner) site() Site {
	return Site{
		Dir: x.opts.Dir, FS: x.opts.FS, Tell: x.tell, Note: x.later, Programs: true,
		Entered: func(stage int) *record.Stage {
			if stage >= len(x.standing.stages) {
				return nil
			}
			return &x.standing.stages[stage]
		},
		Known: x.standing.rollout,
	}
}
