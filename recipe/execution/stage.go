package execution

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/temper-ml/temper/eval"
	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/train"
	"github.com/temper-ml/temper/train/checkpoint"
)

// stage is one stage in progress.
type stage struct {
	*recipe.Stage
	index    int
	run      *runner
	material *posttrain.Material
	suites   map[string][]train.Row
	trainer  *train.Trainer
	store    *checkpoint.Store
}

// garbagePercent bounds garbage, as a share of what is in use, while steps are taken.
const garbagePercent = 4

// stages runs the stages from a position on.
func (x *runner) stages(ctx context.Context, at position) error {
	if at == (position{}) {
		notes, err := parameters(x.recipe, x.model)
		if err != nil {
			return err
		}
		for _, n := range notes {
			x.note("%s", n)
		}
	}
	for i := at.stage; i < len(x.recipe.Stages); i++ {
		if err := x.stage(ctx, i, i == at.stage && at.step > 0); err != nil {
			return fmt.Errorf("stage %s: %w", x.recipe.Stages[i].Name, err)
		}
	}
	return nil
}

// stage runs stage i, from its last checkpoint if resume is set.
func (x *runner) stage(ctx context.Context, i int, resume bool) error {
	s, err := x.open(ctx, i)
	if err != nil {
		return err
	}
	defer debug.FreeOSMemory() // the optimizer's state, before the next stage makes its own
	defer s.store.Close()
	// Nearly all memory is a few large slabs without pointers: collecting often
	// costs nothing, and collecting seldom would let small garbage double them.
	defer debug.SetGCPercent(debug.SetGCPercent(garbagePercent))
	debug.FreeOSMemory() // what reading the data took
	if resume {
		if err := s.load(); err != nil {
			return err
		}
		if s.trainer.Done() && !s.owes() { // its end is in the log; only the parameters were needed
			return nil
		}
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	for !s.trainer.Done() {
		r, err := s.trainer.Step(ctx)
		if err != nil {
			if ctx.Err() != nil {
				err = ErrInterrupted
			}
			return errors.Join(err, s.save())
		}
		x.emit(Stepped{i, r})
		taken, _ := s.trainer.Steps()
		if s.due(taken, s.Eval.Every) && s.owes() {
			if err := s.measure(ctx); err != nil {
				return err
			}
		}
		if s.due(taken, x.recipe.Checkpoint.Every) {
			if err := s.save(); err != nil {
				return err
			}
		}
	}
	if s.owes() {
		if err := s.measure(ctx); err != nil {
			return err
		}
	}
	return s.save()
}

// due reports whether something that happens every n steps happens after step
// taken; the end of the stage is taken care of by itself.
func (s *stage) due(taken, every int64) bool {
	return every > 0 && taken%every == 0 && !s.trainer.Done()
}

// open loads the data of stage i and makes its trainer, at step 0.
func (x *runner) open(ctx context.Context, i int) (*stage, error) {
	s := &stage{Stage: &x.recipe.Stages[i], index: i, run: x}
	data, err := x.recipe.StageData(i)
	if err != nil {
		return nil, err
	}
	cache := filepath.Join(x.opts.Dir, "cache")
	if s.material, err = data.Load(ctx, s.Method, x.tok, cache, x.recipe.Seed); err != nil {
		return nil, err
	}
	s.suites = map[string][]train.Row{}
	for name := range s.Eval.Suites {
		d, err := x.recipe.SuiteData(i, name)
		if err != nil {
			return nil, err
		}
		if s.suites[name], err = d.Pack(ctx, "sft", x.tok, cache); err != nil {
			return nil, fmt.Errorf("suite %s: %w", name, err)
		}
	}
	cfg := s.Config
	if s.Epochs > 0 {
		cfg.Steps = s.material.Steps(s.Epochs)
	}
	if s.trainer, err = train.New(cfg, x.model, s.material, data.Rows, x.opts.Now); err != nil {
		return nil, err
	}
	if err = s.trainer.Reserve(data.Sequence); err != nil {
		return nil, err
	}
	s.Stage.Steps = cfg.Steps
	s.store, err = checkpoint.OpenStore(x.storeDir(i), checkpoint.Options{Keep: x.recipe.Checkpoint.Keep, KeepEvery: x.recipe.Checkpoint.KeepEvery})
	return s, err
}

// owes reports whether a measurement is due at this point of the stage and is
// not in the log: the run may have been stopped while it was made.
func (s *stage) owes() bool {
	if len(s.material.HeldOut) == 0 && len(s.suites) == 0 {
		return false
	}
	taken, _ := s.trainer.Steps()
	last, any := s.run.summary.measuredAt[s.index]
	if any && last == taken {
		return false
	}
	return taken == 0 || s.trainer.Done() || s.due(taken, s.Eval.Every)
}

func (s *stage) begin(ctx context.Context) error {
	taken, _ := s.trainer.Steps()
	s.run.emit(StageBegan{
		Stage: s.index, Name: s.Name, Method: s.Method, From: taken, Steps: s.Stage.Steps,
		Report: s.material.Report, Rows: s.material.RowsPerEpoch(), Digest: hex.EncodeToString(s.material.Digest[:]),
	})
	if !s.owes() {
		return nil
	}
	return s.measure(ctx)
}

// measure evaluates the model on what the stage holds out.
func (s *stage) measure(ctx context.Context) error {
	start := s.run.opts.Now()
	taken, _ := s.trainer.Steps()
	m := Measured{Stage: s.index, Step: taken}
	if len(s.material.HeldOut) > 0 {
		l, err := eval.Measure(ctx, s.run.model, s.material.HeldOut, s.Eval.Rows)
		if err != nil {
			return s.interrupted(ctx, err)
		}
		m.Loss = &l
	}
	for _, name := range slices.Sorted(maps.Keys(s.suites)) {
		a, err := eval.Exact(ctx, s.run.model, s.suites[name])
		if err != nil {
			return s.interrupted(ctx, err)
		}
		if m.Suites == nil {
			m.Suites = map[string]eval.Accuracy{}
		}
		m.Suites[name] = a
	}
	m.Took = s.run.opts.Now().Sub(start)
	s.run.emit(m)
	return nil
}

// interrupted saves what there is when the context ended during an evaluation.
func (s *stage) interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return errors.Join(ErrInterrupted, s.save())
}
