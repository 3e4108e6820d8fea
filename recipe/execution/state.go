package execution

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/train/checkpoint"
)

// meta is what a checkpoint holds beside tensors.
type meta struct {
	Stage   int    `json:"stage"`
	Name    string `json:"name"`
	Step    int64  `json:"step"`    // taken; the data's position follows from it
	Skipped int64  `json:"skipped"` // of them, without an update
	Updates int64  `json:"updates"` // the optimizer's counter
	Steps   int64  `json:"steps"`   // of the whole stage
	Seed    uint64 `json:"seed"`    // keys all random numbers
	Data    string `json:"data"`    // digest of the examples
}

// storeDir is where the checkpoints of stage i are.
func (x *runner) storeDir(i int) string {
	return filepath.Join(x.opts.Dir, "checkpoints", fmt.Sprintf("%02d-%s", i, x.recipe.Stages[i].Name))
}

// save writes a checkpoint. The steps before it are on the disk and signed first:
// a checkpoint never has steps that the record lacks. Nor does it ever need weights
// of before: rounds that those sample are complete.
func (s *stage) save(ctx context.Context) error {
	x := s.run
	taken, skipped := s.Trainer.Steps()
	if taken == 0 || s.saved == taken {
		return nil // the recipe, or the last checkpoint, is the same state
	}
	if s.Rounds != nil {
		if err := s.Rounds.Settle(ctx); err != nil {
			return err
		}
	}
	start := x.opts.Now()
	for _, e := range s.since.entries(s.Index, taken) {
		if err := x.enter(e); err != nil {
			return err
		}
	}
	if err := x.log.Sign(); err != nil {
		return err
	}
	m, err := json.Marshal(meta{
		Stage: s.Index, Name: s.Name, Step: taken, Skipped: skipped, Updates: s.Trainer.Optimizer().Steps(),
		Steps: s.Steps, Seed: x.recipe.Seed, Data: s.source(),
	})
	if err != nil {
		return err
	}
	saved, err := s.store.Save(&checkpoint.State{Step: taken, Tensors: s.State(), Meta: m})
	if err != nil {
		return fmt.Errorf("checkpoint at step %d: %w", taken, err)
	}
	s.saved, x.safe = taken, position{s.Index, taken}
	if err := s.declare(saved.Entry, saved.Bytes, start); err != nil {
		return err
	}
	x.tell(Saved{Stage: s.Index, Step: taken, Path: saved.Path, Bytes: saved.Bytes})
	if saved.Warning != nil {
		if err := x.note("%v", saved.Warning); err != nil {
			return err
		}
	}
	if err := s.prune(); err != nil {
		return err
	}
	return s.forget()
}

// declare records a checkpoint of the state as it is now, begun at start.
func (s *stage) declare(at checkpoint.Entry, bytes int64, start time.Time) error {
	path, err := filepath.Rel(s.run.opts.Dir, at.Path)
	if err != nil {
		return err
	}
	d, err := s.Trainer.State()
	if err != nil {
		return err
	}
	e := &record.Checkpoint{
		Stage: s.Index, Step: at.Step, Path: filepath.ToSlash(path), Bytes: bytes,
		Parameters: record.Digest(d.Parameters.String()), Optimizer: record.Digest(d.Optimizer.String()),
	}
	if e.Content, err = fileDigest(filepath.Join(at.Path, checkpoint.ManifestName)); err != nil {
		return err
	}
	e.Took = int64(s.run.opts.Now().Sub(start))
	return s.run.enter(e)
}

// store opens the checkpoints of stage i, of which so many of the newest stay.
func (x *runner) store(i, keep int) (*checkpoint.Store, error) {
	return checkpoint.OpenStore(x.storeDir(i), checkpoint.Options{FS: x.opts.FS, Keep: keep, KeepEvery: x.recipe.Checkpoint.KeepEvery})
}

// forget removes the checkpoints of earlier stages, once this one has its own,
// that do not stay for good.
func (s *stage) forget() error {
	x := s.run
	total, _, _ := x.model.Config().Count()
	for i := range s.Index {
		if !keepsEnds(x.recipe, total) {
			anchor := filepath.Join(x.opts.Dir, filepath.FromSlash(record.AnchorPath(i, x.recipe.Stages[i].Name)))
			if err := errors.Join(x.opts.FS.RemoveAll(x.storeDir(i)), x.opts.FS.RemoveAll(anchor)); err != nil {
				return err
			}
			continue
		}
		old, err := x.store(i, 1)
		if err != nil {
			return err
		}
		err = old.Prune()
		old.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// load restores the newest sound checkpoint of the stage, and records that the
// run goes on from it.
func (s *stage) load() error {
	x := s.run
	loaded, err := s.store.Load(s.State())
	if err != nil {
		return err
	}
	if err := s.Resume(loaded.Meta, loaded.Path); err != nil {
		return err
	}
	if s.Rounds != nil && x.standing.end == nil {
		if loaded, err = s.usable(loaded); err != nil {
			return err
		}
	}
	s.saved, s.since.from = loaded.Step, loaded.Step
	if x.standing.end != nil {
		return nil
	}
	return s.rejoin(loaded)
}

// rejoin records from which checkpoint the run goes on.
func (s *stage) rejoin(loaded *checkpoint.Loaded) error {
	x := s.run
	from := restored{path: loaded.Path, damaged: loaded.Damaged}
	d, err := s.Trainer.State()
	if err != nil {
		return err
	}
	from.parameters = record.Digest(d.Parameters.String())
	if from.content, err = fileDigest(filepath.Join(loaded.Path, checkpoint.ManifestName)); err != nil {
		return err
	}
	x.at = position{s.Index, loaded.Step}
	x.safe = x.at
	if err := x.join(x.at, from); err != nil {
		return err
	}
	for _, d := range loaded.Damaged {
		x.tell(Noted{fmt.Sprintf("a damaged checkpoint was passed over: %v", d)})
	}
	if path, err := filepath.Rel(x.opts.Dir, loaded.Path); err == nil && !x.standing.saved[filepath.ToSlash(path)] {
		// The process ended between writing and declaring it.
		if err := s.declare(loaded.Entry, loaded.Bytes, x.opts.Now()); err != nil {
			return err
		}
	}
	return x.pass()
}

// smallStates is how many bytes the ends of all stages may take to stay without
// being asked for.
const smallStates = 1 << 30

// keepsEnds reports whether the last checkpoint of each stage stays for good, so
// that a stage in the middle can be replayed: if the recipe keeps checkpoints for
// that, or if a model of so many parameters, each with two moments, is small.
func keepsEnds(r *recipe.Recipe, parameters int64) bool {
	return r.Checkpoint.KeepEvery > 0 || parameters <= smallStates/12/int64(len(r.Stages))
}

// find returns where the run directory's newest checkpoint is: the zero
// position if there is none.
func (x *runner) find() (position, error) {
	for i := len(x.recipe.Stages) - 1; i >= 0; i-- {
		entries, err := checkpoint.List(x.storeDir(i))
		if err != nil {
			return position{}, err
		}
		if len(entries) > 0 {
			return position{i, entries[0].Step}, nil
		}
	}
	return position{}, nil
}
