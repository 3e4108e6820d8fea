package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/temper-ml/temper/posttrain/preference"
	"github.com/temper-ml/temper/recipe/execution"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/verify"
	"github.com/temper-ml/temper/train"
)

// restore puts the machine at a start, and holds its state against the record's
// digests. The position that the last replay ended at needs no checkpoint.
func (r *Replayer) restore(ctx context.Context, at verify.Position) error {
	stages := len(r.recipe.Stages)
	if at.Stage < 0 || at.Stage >= stages {
		return fmt.Errorf("replay: stage %d of %d", at.Stage, stages)
	}
	held := r.at
	r.at = nil // until the state is good
	switch {
	case at == verify.Position{}:
		return r.begin(ctx)
	case held != nil && *held == at:
		return nil
	case at.Step > 0:
		return r.load(ctx, at)
	}
	// The end of the stage before, and a new optimizer.
	last := verify.Position{Stage: at.Stage - 1, Step: r.steps(at.Stage - 1)}
	if held == nil || *held != last {
		if err := r.reach(ctx, last); err != nil {
			return err
		}
	}
	return r.openFirst(ctx, at.Stage)
}

// openFirst opens a stage whose first weights the model has, and computes what
// they say of its pairs.
func (r *Replayer) openFirst(ctx context.Context, stage int) error {
	if err := r.open(ctx, stage); err != nil {
		return err
	}
	if r.part.Rounds != nil {
		return r.first(ctx)
	}
	if !r.part.Refers() {
		return nil
	}
	if _, err := r.keptReference(); err != nil {
		return err
	}
	weights, err := r.weights()
	if err != nil {
		return err
	}
	ref := preference.NewReference(r.part.Pairs, string(weights))
	if err := ref.Compute(ctx, r.machine.Model, func(int64) error { return nil }); err != nil {
		return err
	}
	return r.compare(ref)
}

// compare takes a reference, which must be the one on record.
func (r *Replayer) compare(ref *preference.Reference) error {
	if err := r.part.Compare(ref); err != nil {
		return err
	}
	if i := r.part.Index; i < len(r.log.Stages) && r.log.Stages[i].Reference != r.part.Digest() {
		return fmt.Errorf("%w: the reference of stage %s has digest %s, on record is %s", verify.ErrState, r.part.Name, r.part.Digest(), r.log.Stages[i].Reference)
	}
	return nil
}

// keptReference reads the reference that the run keeps of the open stage, which
// must be the one on record; nil if it keeps none.
func (r *Replayer) keptReference() (*preference.Reference, error) {
	name := record.ReferencePath(r.part.Index, r.part.Name)
	path := filepath.Join(r.log.Dir, filepath.FromSlash(name))
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist) || r.part.Index >= len(r.log.Stages):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > r.part.Pairs.MaxBytes():
		return nil, fmt.Errorf("%w: %s is no file of at most %d bytes", verify.ErrState, name, r.part.Pairs.MaxBytes())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if got, want := record.SHA256(text), r.log.Stages[r.part.Index].Reference; got != want {
		return nil, fmt.Errorf("%w: %s has digest %s, on record is %s", verify.ErrState, name, got, want)
	}
	ref := preference.NewReference(r.part.Pairs, "")
	if err := ref.Decode(text); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", verify.ErrState, name, err)
	}
	return ref, nil
}

// refer gives the open stage its reference before a checkpoint of it is loaded:
// the one that the run keeps, or else the one that the stage's beginning gives.
func (r *Replayer) refer(ctx context.Context) error {
	if !r.part.Refers() || r.part.Reference() != nil {
		return nil
	}
	ref, err := r.keptReference()
	if err != nil {
		return err
	}
	if ref != nil {
		return r.compare(ref)
	}
	return r.restore(ctx, verify.Position{Stage: r.part.Index})
}

// reach puts the machine at any position: at the last start before it, and then
// it takes the steps that are left. Where the record has digests of the whole
// state, they must be its own.
func (r *Replayer) reach(ctx context.Context, at verify.Position) error {
	from := r.nearest(at)
	if err := r.restore(ctx, from); err != nil {
		return err
	}
	for ; from.Step < at.Step; from.Step++ {
		if err := r.step(ctx, nil); err != nil {
			return err
		}
	}
	if c := r.log.At(at); c != nil {
		return r.same(c)
	}
	return nil
}

// begin sets the state that the run began with.
func (r *Replayer) begin(ctx context.Context) error {
	if _, err := r.base(); err != nil {
		return err
	}
	if _, err := r.machine.Begin(); err != nil {
		return &Missing{fmt.Errorf("base model: %w", err)}
	}
	if err := r.sameModel(); err != nil {
		return err
	}
	if err := r.openFirst(ctx, 0); err != nil {
		return err
	}
	if b := r.log.Begin; b != nil && b.Parameters != "" {
		got, err := r.weights()
		if err != nil {
			return err
		}
		if got != b.Parameters {
			return fmt.Errorf("%w: training begins with parameters of digest %s, the record has %s", verify.ErrState, got, b.Parameters)
		}
	}
	return nil
}

// sameModel refuses a base model other than the run's, by its first tensor that differs.
func (r *Replayer) sameModel() error {
	if r.recipe.Model.Load == "" {
		return nil
	}
	got, err := train.TensorDigests(r.machine.Model)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(r.manifest.Model)) {
		if d := record.Digest(got[name].String()); d != r.manifest.Model[name] {
			return missing("base model: tensor %s has digest %q, the run began with %s: it is another model", name, d, r.manifest.Model[name])
		}
	}
	if len(got) != len(r.manifest.Model) {
		return missing("base model: it has %d tensors, the manifest %d", len(got), len(r.manifest.Model))
	}
	return nil
}

// open opens a stage, at its beginning.
func (r *Replayer) open(ctx context.Context, stage int) error {
	r.close()
	debug.FreeOSMemory() // the state of the stage before, ahead of this one's
	part, err := r.machine.Open(ctx, stage, r.way.apply)
	if err != nil {
		return unmet(ctx, r.recipe.Stages[stage].Name, err)
	}
	r.part = part // to be closed
	if stage < len(r.log.Stages) {
		if err := sameStage(&r.log.Stages[stage].Stage, part); err != nil {
			return err
		}
	}
	if err := part.Meet(ctx); err != nil {
		return unmet(ctx, part.Name, err)
	}
	if r.manifest.DigestPeriod == 0 {
		return nil
	}
	return part.Trainer.Digest(int(r.manifest.DigestPeriod))
}

// sameStage refuses data, order and settings of a stage that are not the record's.
func sameStage(said *record.Stage, part *execution.Part) error {
	got := part.Entry(said.From)
	got.Micro, got.Accumulation = said.Micro, said.Accumulation // the replay's own
	if part.Teaching() != nil {
		got.Teachers = said.Teachers // compared when they are loaded
	}
	if part.Rounds != nil {
		got.Anchor = said.Anchor // likewise
	}
	if part.Refers() {
		got.Reference = said.Reference // compared once it is computed or read
	}
	a, errA := record.Marshal(said)
	b, errB := record.Marshal(got)
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	if bytes.Equal(a, b) {
		return nil
	}
	return fmt.Errorf("%w: stage %s is made of %s, on record of %s", verify.ErrState, part.Name, b, a)
}

// weights is the digest of all parameters.
func (r *Replayer) weights() (record.Digest, error) {
	d, err := train.ParametersDigest(r.machine.Model)
	return record.Digest(d.String()), err
}

// steps is the length of a stage by the record, -1 if it was not begun.
func (r *Replayer) steps(stage int) int64 {
	if stage >= len(r.log.Stages) {
		return -1
	}
	return r.log.Stages[stage].Steps
}

// load restores the state of a checkpoint.
func (r *Replayer) load(ctx context.Context, at verify.Position) error {
	c := r.saves[at]
	if c == nil {
		return missing("stage %d, step %d: the run keeps no checkpoint of it", at.Stage, at.Step)
	}
	if r.part == nil || r.part.Index != at.Stage {
		if err := r.open(ctx, at.Stage); err != nil {
			return err
		}
	}
	if err := r.refer(ctx); err != nil {
		return err
	}
	if err := r.recall(ctx); err != nil {
		return err
	}
	meta, err := c.Load(r.part.State())
	if err != nil {
		return fmt.Errorf("%w: %s: %w", verify.ErrState, c.Checkpoint.Path, err)
	}
	if err := r.part.Resume(meta, c.Checkpoint.Path); err != nil {
		return fmt.Errorf("%w: %w", verify.ErrState, err)
	}
	if taken, _ := r.part.Trainer.Steps(); taken != at.Step {
		return fmt.Errorf("%w: %s is of step %d, the record says %d", verify.ErrState, c.Checkpoint.Path, taken, at.Step)
	}
	return r.same(c.Checkpoint)
}

// same refuses a state that is not the one of a checkpoint entry.
func (r *Replayer) same(c *verify.Checkpoint) error {
	got, err := r.state()
	if err != nil {
		return err
	}
	for _, q := range []struct {
		name      string
		got, want record.Digest
	}{{"parameters", got.Parameters, c.Parameters}, {"optimizer", got.Optimizer, c.Optimizer}} {
		if q.got != q.want {
			return fmt.Errorf("%w: after %d steps of stage %d, %s have digest %s, the record of %s says %s", verify.ErrState, c.Checkpoint.Step, c.Stage, q.name, q.got, c.Path, q.want)
		}
	}
	return nil
}

// state is the present state as a checkpoint entry has it.
func (r *Replayer) state() (*record.Checkpoint, error) {
	d, err := r.part.Trainer.State()
	if err != nil {
		return nil, err
	}
	taken, _ := r.part.Trainer.Steps()
	return &record.Checkpoint{
		Stage: r.part.Index, Step: taken,
		Parameters: record.Digest(d.Parameters.String()), Optimizer: record.Digest(d.Optimizer.String()),
	}, nil
}

// step takes one step and hands it to each, if that is not nil.
func (r *Replayer) step(ctx context.Context, each func(record.Body) error) error {
	round, err := r.round(ctx)
	if err != nil {
		return err
	}
	if round != nil && each != nil {
		if err := each(round); err != nil {
			return err
		}
	}
	if r.touch != nil {
		r.part.Trainer.Trace(&train.Tracing{Touch: r.touch})
	}
	if err := r.part.Prepare(ctx); err != nil {
		return unmet(ctx, r.part.Name, err)
	}
	result, err := r.part.Trainer.Step(ctx)
	if err != nil {
		return fmt.Errorf("stage %s: %w", r.part.Name, err)
	}
	if !result.Skipped {
		r.table.Add(execution.Routed(result.Load))
	}
	s := execution.StepEntry(r.part.Index, &result)
	if r.opts.Stepped != nil {
		r.opts.Stepped(s)
	}
	if each == nil {
		return nil
	}
	return each(s)
}

// after hands over what the record has at a position beside steps.
func (r *Replayer) after(ctx context.Context, at verify.Position, each func(record.Body) error) error {
	if err := r.evaluate(ctx, at, each); err != nil {
		return err
	}
	if err := r.routing(at, each); err != nil {
		return err
	}
	if r.log.At(at) != nil {
		c, err := r.state()
		if err != nil {
			return err
		}
		if err := each(c); err != nil {
			return err
		}
	}
	if r.log.End == nil || at.Stage+1 < len(r.recipe.Stages) || at.Step < r.part.Steps {
		return nil
	}
	weights, err := r.weights()
	if err != nil {
		return err
	}
	return each(&record.End{Status: "complete", Weights: weights})
}

// routing hands over how tokens were routed where the record tells.
func (r *Replayer) routing(at verify.Position, each func(record.Body) error) error {
	said := r.log.RoutingTo(at)
	if said == nil {
		return nil
	}
	got := &record.Routing{Stage: at.Stage, From: r.since, To: at.Step, Counts: r.table}
	r.table, r.since = nil, at.Step
	if said.From != got.From { // it began before the segment
		return nil
	}
	return each(got)
}

// evaluate measures where the record has a measurement.
func (r *Replayer) evaluate(ctx context.Context, at verify.Position, each func(record.Body) error) error {
	if !r.measured[at] || !r.part.Holds() {
		return nil
	}
	m, err := r.part.Measure(ctx)
	if errors.Is(err, execution.ErrNoPrograms) {
		return nil
	}
	if err != nil {
		return unmet(ctx, r.part.Name, err)
	}
	return each(execution.EvaluationEntry(m))
}
