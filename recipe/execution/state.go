package execution

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

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

// tensors lists the whole training state: parameters, among them the routers'
// bias, and the optimizer's slots.
func (s *stage) tensors() []checkpoint.Tensor {
	ts := s.run.parameters()
	for _, slot := range s.trainer.Optimizer().Slots() {
		ts = append(ts, checkpoint.Tensor{Name: slot.Name, Shape: []int{len(slot.Data)}, Data: slot.Data})
	}
	return ts
}

// save writes a checkpoint; the log is on the disk before it.
func (s *stage) save() error {
	if err := s.run.log.Sync(); err != nil {
		return err
	}
	taken, skipped := s.trainer.Steps()
	if taken == 0 {
		return nil // the recipe, or the last checkpoint of the stage before, is the same state
	}
	m, err := json.Marshal(meta{
		Stage: s.index, Name: s.Name, Step: taken, Skipped: skipped, Updates: s.trainer.Optimizer().Steps(),
		Steps: s.Stage.Steps, Seed: s.run.recipe.Seed, Data: fmt.Sprintf("%x", s.material.Digest),
	})
	if err != nil {
		return err
	}
	saved, err := s.store.Save(&checkpoint.State{Step: taken, Tensors: s.tensors(), Meta: m})
	if err != nil {
		return fmt.Errorf("checkpoint at step %d: %w", taken, err)
	}
	s.run.emit(Saved{Stage: s.index, Step: taken, Path: saved.Path, Bytes: saved.Bytes})
	if saved.Warning != nil {
		s.run.note("%v", saved.Warning)
	}
	return s.forget()
}

// forget removes the checkpoints of earlier stages once this one has its own,
// unless some are kept for good.
func (s *stage) forget() error {
	if s.run.recipe.Checkpoint.KeepEvery > 0 {
		return nil
	}
	for i := range s.index {
		if err := os.RemoveAll(s.run.storeDir(i)); err != nil {
			return err
		}
	}
	return nil
}

// load restores the newest sound checkpoint of the stage.
func (s *stage) load() error {
	loaded, err := s.store.Load(s.tensors())
	if err != nil {
		return err
	}
	for _, d := range loaded.Damaged {
		s.run.note("a damaged checkpoint was passed over: %v", d)
	}
	var m meta
	if err := json.Unmarshal(loaded.Meta, &m); err != nil {
		return fmt.Errorf("%s: %w", loaded.Path, err)
	}
	switch digest := fmt.Sprintf("%x", s.material.Digest); {
	case m.Data != digest:
		return fmt.Errorf("%s was made with other data (digest %s, now %s): a resumed run needs the same files", loaded.Path, m.Data, digest)
	case m.Seed != s.run.recipe.Seed || m.Steps != s.Stage.Steps:
		return fmt.Errorf("%s was made with seed %d and %d steps, the recipe now says %d and %d", loaded.Path, m.Seed, m.Steps, s.run.recipe.Seed, s.Stage.Steps)
	}
	return s.trainer.Resume(m.Step, m.Skipped, m.Updates)
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
