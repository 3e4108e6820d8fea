package execution

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/train"
	"github.com/temper-ml/temper/train/checkpoint"
)

// stage is one stage in progress.
type stage struct {
	*Part
	run   *runner
	store *checkpoint.Store
	since since
	saved int64 // steps of the last checkpoint
}

// GarbagePercent bounds garbage, as a share of what is in use, while steps are taken.
const GarbagePercent = 4

// stages runs the stages from a position on.
func (x *runner) stages(ctx context.Context, at position) error {
	for i := at.stage; i < len(x.recipe.Stages); i++ {
		if err := x.stage(ctx, i, i == at.stage && at.step > 0); err != nil {
			return fmt.Errorf("stage %s: %w", x.recipe.Stages[i].Name, err)
		}
	}
	return nil
}

// stage runs stage i, from its last checkpoint if resume is set.
func (x *runner) stage(ctx context.Context, i int, resume bool) error {
	x.at = position{i, 0}
	s, err := x.enterStage(ctx, i, resume)
	if err != nil {
		return err
	}
	defer debug.FreeOSMemory() // the optimizer's state, before the next stage makes its own
	defer s.close()
	// Nearly all memory is a few large slabs without pointers: collecting often
	// costs nothing, and collecting seldom would let small garbage double them.
	defer debug.SetGCPercent(debug.SetGCPercent(GarbagePercent))
	debug.FreeOSMemory() // what reading the data took
	if resume {
		if x.standing.end != nil && !s.Trainer.Done() {
			return errors.New("the run is finished, and its last checkpoint is damaged or gone")
		}
		if s.Trainer.Done() && (x.standing.end != nil || !s.owes()) { // its end is on record; only the parameters were needed
			return nil
		}
	}
	if err := s.refer(ctx); err != nil {
		return err
	}
	if err := s.recall(ctx); err != nil {
		return err
	}
	if err := s.Meet(ctx); err != nil {
		return err
	}
	if p := x.recipe.Record.DigestPeriod; p > 0 {
		if err := s.Trainer.Digest(p); err != nil {
			return err
		}
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	return s.steps(ctx)
}

// steps takes the steps that are left.
func (s *stage) steps(ctx context.Context) error {
	for !s.Trainer.Done() {
		if err := s.prepare(ctx); err != nil {
			taken, _ := s.Trainer.Steps()
			return s.stop(ctx, &train.Result{Step: taken}, err)
		}
		r, err := s.Trainer.Step(ctx)
		if err != nil {
			return s.stop(ctx, &r, err)
		}
		if err := s.stepped(&r); err != nil {
			return err
		}
		taken, _ := s.Trainer.Steps()
		if s.due(taken, s.Eval.Every) && s.owes() {
			if err := s.measure(ctx); err != nil {
				return err
			}
		}
		if s.due(taken, s.run.recipe.Checkpoint.Every) {
			if err := s.save(ctx); err != nil {
				return err
			}
		}
	}
	if s.owes() {
		if err := s.measure(ctx); err != nil {
			return err
		}
	}
	return s.save(ctx)
}

// stepped records a step.
func (s *stage) stepped(r *train.Result) error {
	x := s.run
	if r.Skipped {
		if err := x.enter(&record.Fault{Fault: nonFinite, Stage: s.Index, Step: r.Step, Evidence: r.Why}); err != nil {
			return err
		}
	}
	if err := x.faster(r); err != nil {
		return err
	}
	e := MeasuredStepEntry(s.Index, r, x.standing.peak)
	if err := x.enter(e); err != nil {
		return err
	}
	var table [][]int64
	if !r.Skipped {
		table = Routed(r.Load)
	}
	s.since.add(e, table)
	x.at = position{s.Index, r.Step + 1}
	x.tell(Stepped{s.Index, *r})
	return nil
}

// stop ends a run whose next step cannot be taken: its state is saved, and the
// record says why.
func (s *stage) stop(ctx context.Context, r *train.Result, err error) error {
	x := s.run
	reason := askedToStop
	if ctx.Err() != nil {
		err = ErrInterrupted
	} else {
		reason = err.Error()
		fault := "error"
		if train.IsNonFinite(err) {
			fault = nonFinite
		}
		if e := x.enter(&record.Fault{Fault: fault, Stage: s.Index, Step: r.Step, Evidence: reason}); e != nil {
			return errors.Join(err, e)
		}
	}
	return s.pause(ctx, err, reason)
}

// pause saves what there is and records that the run stops here.
func (s *stage) pause(ctx context.Context, err error, reason string) error {
	if saving := s.save(ctx); saving != nil {
		return errors.Join(err, saving)
	}
	taken, _ := s.Trainer.Steps()
	s.run.stopped = true
	return errors.Join(err, s.run.enter(&record.Pause{Stage: s.Index, Step: taken, Reason: reason}))
}

// due reports whether something that happens every n steps happens after step
// taken; the end of the stage is taken care of by itself.
func (s *stage) due(taken, every int64) bool {
	return every > 0 && taken%every == 0 && !s.Trainer.Done()
}

// open loads the data of stage i and makes its trainer, at step 0.
func (x *runner) open(ctx context.Context, i int) (*stage, error) {
	part, err := x.machine().Open(ctx, i, nil)
	if err != nil {
		return nil, err
	}
	s := &stage{Part: part, run: x}
	s.store, err = x.store(i, x.recipe.Checkpoint.Keep)
	return s, err
}

// machine is what the run is carried out with.
func (x *runner) machine() *Machine {
	return &Machine{Recipe: x.recipe, Tokenizer: x.tok, Model: x.model, Cache: x.cache(), Now: x.opts.Now, Site: x.site()}
}

// owes reports whether a measurement is due at this point of the stage and is
// not on record: the run may have been stopped while it was made.
func (s *stage) owes() bool {
	if !s.Holds() {
		return false
	}
	taken, _ := s.Trainer.Steps()
	if s.run.standing.measured(position{s.Index, taken}) {
		return false
	}
	return taken == 0 || s.Trainer.Done() || s.due(taken, s.Eval.Every)
}

func (s *stage) begin(ctx context.Context) error {
	taken, _ := s.Trainer.Steps()
	e := s.Entry(taken)
	if all := s.run.standing.stages; s.Index < len(all) && (all[s.Index].Data != e.Data || all[s.Index].Order != e.Order || all[s.Index].Steps != e.Steps) {
		return fmt.Errorf("the stage began with other data (digest %s, now %s): a resumed run needs the same files", all[s.Index].Data, e.Data)
	}
	if err := s.sameReference(); err != nil {
		return err
	}
	if err := s.run.enter(e); err != nil {
		return err
	}
	if taken == 0 {
		for _, n := range judgements(&s.Stage, s.Material) {
			if err := s.run.note("%s", n); err != nil {
				return err
			}
		}
	}
	s.run.tell(StageBegan{
		Stage: s.Index, Name: s.Name, Method: s.Method, From: taken, Steps: s.Steps,
		Report: s.report(), Rows: int(e.Rows), Digest: s.source(),
	})
	if !s.owes() {
		return nil
	}
	return s.measure(ctx)
}

// measure evaluates the model on what the stage holds out.
func (s *stage) measure(ctx context.Context) error {
	m, err := s.Measure(ctx)
	if err != nil {
		return s.interrupted(ctx, err)
	}
	if err := s.run.enter(EvaluationEntry(m)); err != nil {
		return err
	}
	s.run.tell(*m)
	return nil
}

// interrupted saves what there is when the context ended during an evaluation.
func (s *stage) interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return s.pause(ctx, ErrInterrupted, askedToStop)
}
