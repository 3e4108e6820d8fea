package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/train"
	"github.com/temper-ml/temper/train/checkpoint"
)

// kept names a round and the weights that sample it.
type kept struct {
	Round  int64         `json:"round"`
	First  int64         `json:"first"`
	Policy digest.Digest `json:"policy"`
}

// weightsDir is the folder in Options.Dir that weights are kept in.
const weightsDir = "weights"

// Settle makes a checkpoint of the present weights enough to continue from: it waits
// until the round that is sampled beside the updates is on disk. If ctx ends it
// stops the sampling and keeps the weights that the rest needs, in Options.Dir.
func (s *Stage) Settle(ctx context.Context) error {
	if s.hold != nil {
		s.goOn(s.hold.Round)
	}
	f := s.flight
	if f == nil {
		return nil
	}
	if f.wait(ctx); ctx.Err() != nil {
		f.cancel()
		<-f.done
	}
	if f.err == nil {
		return nil
	}
	if !errors.Is(f.err, context.Canceled) {
		return fmt.Errorf("policy: round %d, sampled ahead: %w", f.Round, f.err)
	}
	s.Idle()
	return s.keep(&f.kept)
}

// keep writes the behaviour weights.
func (s *Stage) keep(k *kept) error {
	meta, err := json.Marshal(k)
	if err != nil {
		return err
	}
	store, err := checkpoint.OpenStore(filepath.Join(s.o.Dir, weightsDir), checkpoint.Options{FS: s.o.FS, Keep: 1})
	if err != nil {
		return err
	}
	defer store.Close()
	_, err = store.Save(&checkpoint.State{Step: k.Round * s.o.Rollout.Steps(), Tensors: s.tensors(), Meta: meta})
	return err
}

// resume goes on with a round that the file does not hold whole, which why tells, with
// the weights that were kept for it.
func (s *Stage) resume(number int64, why error) error {
	loaded, err := checkpoint.Load(filepath.Join(s.o.Dir, weightsDir), s.tensors())
	if err != nil {
		err = fmt.Errorf("the weights that sample it: %w", err)
	} else {
		var k kept
		if err = json.Unmarshal(loaded.Meta, &k); err == nil {
			err = s.check(&k, number)
		}
		if err == nil {
			s.hold = &k
			s.goOn(number)
			return nil
		}
		err = fmt.Errorf("%s: %w", loaded.Path, err)
	}
	return fmt.Errorf("policy: round %d is sampled by weights older than these, and its file is not whole (%w), nor can it be continued (%w): continue from a checkpoint at step %d, where the round before begins, or earlier",
		number, why, err, (number-1)*s.o.Rollout.Steps())
}

// Keeps reports whether weights are kept that a round can be continued with.
func (s *Stage) Keeps(number int64) bool {
	entries, err := checkpoint.List(filepath.Join(s.o.Dir, weightsDir))
	if err != nil || len(entries) == 0 {
		return false
	}
	state, err := entries[0].Inspect()
	var k kept
	return err == nil && json.Unmarshal(state.Meta, &k) == nil && k.Round == number
}

// check tells whether the behaviour weights, which have been loaded, are those that k
// says, for that round.
func (s *Stage) check(k *kept, number int64) error {
	d, err := train.ParametersDigest(s.behaviour)
	switch {
	case err != nil:
		return err
	case k.Round != number:
		return fmt.Errorf("it is for round %d", k.Round)
	case d != k.Policy:
		return fmt.Errorf("its weights have digest %s, not %s", d, k.Policy)
	}
	return nil
}

// forget removes weights that were kept, once the round is whole that needed them.
func (s *Stage) forget() error {
	dir := filepath.Join(s.o.Dir, weightsDir)
	if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return s.o.FS.RemoveAll(dir)
}

func (s *Stage) tensors() []checkpoint.Tensor {
	var ts []checkpoint.Tensor
	for _, p := range s.behaviour.Params() {
		ts = append(ts, checkpoint.Tensor{Name: p.Name, Shape: p.Shape, Data: p.Data})
	}
	return ts
}
