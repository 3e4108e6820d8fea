package execution

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/train"
)

// headInterval is how much time passes before a head is signed by itself: what
// a witness can see of a run that writes no checkpoint for long.
const headInterval = 10 * time.Second

// openRecord starts the record of a new run, or continues that of another
// process, which left the run at or after a position. After it the model has the
// parameters that the run begins with, if it stands at its beginning.
func (x *runner) openRecord(ctx context.Context, at position) error {
	dir := filepath.Join(x.opts.Dir, RecordName)
	var err error
	if x.old, err = manifestOf(x.opts.Dir); err != nil {
		return err
	}
	if x.opts.Key == nil {
		if x.opts.Key, err = x.ownKey(); err != nil {
			return err
		}
	}
	o := runlog.Options{FS: x.opts.FS, Now: x.opts.Now, Interval: headInterval}
	if x.old == nil {
		return x.create(ctx, dir, at, o)
	}
	if v := x.opts.Key.Verifier(); v != x.old.Signer {
		return fmt.Errorf("run: %s is signed by %s, and only that key can continue it: the key given is that of %s", dir, x.old.Signer, v)
	}
	x.standing = newStanding(x.old)
	if x.log, err = runlog.Open(dir, x.opts.Key, o, x.standing.add); err != nil {
		return fmt.Errorf("run: the record cannot be continued: %w", err)
	}
	if x.standing.end != nil { // nothing is left to be recorded
		x.joined = true
		return nil
	}
	if err := x.rejoin(ctx, at); err != nil {
		return errors.Join(err, x.log.Close())
	}
	return nil
}

// ownKey is the key in the run directory, of a run that is nobody's or its own.
func (x *runner) ownKey() (*runlog.Key, error) {
	if x.old != nil {
		return knownKey(x.recipe, x.opts.Dir, x.old.Signer)
	}
	k, _, err := runKey(x.opts.Dir)
	return k, err
}

// create starts a record.
func (x *runner) create(ctx context.Context, dir string, at position, o runlog.Options) error {
	if at != (position{}) {
		return fmt.Errorf("run: %s has checkpoints but no record of the steps before them: put %s back, or start another run", x.opts.Dir, dir)
	}
	m, err := x.manifest(ctx)
	if err != nil {
		return err
	}
	if err := x.build(); err != nil {
		return err
	}
	if x.notes, err = parameters(x.recipe, x.model); err != nil {
		return err
	}
	if m.Model, err = x.tensors(); err != nil {
		return err
	}
	if x.log, err = runlog.Create(dir, m, x.opts.Key, o); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	x.standing, x.joined = newStanding(m), true
	if x.recipe.Record.DigestPeriod == 0 {
		x.notes = append(x.notes, "record.digest_period is 0: steps have no digests, and who takes them again can compare losses only")
	}
	return nil
}

// rejoin checks that what is continued is what was begun.
func (x *runner) rejoin(ctx context.Context, at position) error {
	if x.standing.begin == nil && at != (position{}) {
		return fmt.Errorf("run: %s has checkpoints, but its record ends before its first step", x.opts.Dir)
	}
	x.joined = x.standing.begin == nil // nothing was done yet
	var err error
	if x.notes, err = x.unchanged(ctx, at.stage); err != nil {
		return err
	}
	if err := x.build(); err != nil || at != (position{}) {
		return err
	}
	more, err := parameters(x.recipe, x.model)
	if err != nil {
		return err
	}
	x.notes = append(x.notes, more...)
	if err := x.sameBeginning(); err != nil {
		return err
	}
	if x.joined {
		return nil
	}
	return x.join(at, restored{})
}

// sameBeginning refuses parameters that are not those that the run began with.
func (x *runner) sameBeginning() error {
	d, err := parametersDigest(x.model)
	if b := x.standing.begin; err == nil && b != nil && b.Parameters != d {
		err = fmt.Errorf("run: the parameters that %s loads are not those that this run began with (digest %s, now %s): a resumed run needs the same model", x.recipe.Model.Load, b.Parameters, d)
	}
	return err
}

// restored says what a position was restored from; empty at the beginning of a run.
type restored struct {
	path       string // the checkpoint
	content    record.Digest
	parameters record.Digest
	damaged    []error // newer checkpoints that were passed over
}

// join writes the entry that continues the run at a position.
func (x *runner) join(at position, from restored) error {
	s, h := x.standing, host()
	if err := s.missing(at, from.path); err != nil {
		return err
	}
	if from.parameters == "" && s.begin != nil {
		from.parameters = s.begin.Parameters
	}
	devices := []record.Device{x.device}
	again := int64(len(s.steps) - s.from(at))
	var body record.Body
	if p := s.pause; p != nil && again == 0 && s.same(at, position{p.Stage, p.Step}) {
		body = &record.Resume{Stage: p.Stage, Step: p.Step, Host: h, Parameters: from.parameters, Devices: devices}
	} else {
		cause, err := x.cause(from.damaged)
		if err != nil {
			return err
		}
		body = &record.Recovery{
			Stage: at.stage, Step: at.step, Again: again, Checkpoint: from.content, Parameters: from.parameters,
			Cause: cause, Host: &h, Devices: devices,
		}
	}
	if err := x.enter(body); err != nil {
		return err
	}
	x.joined = true
	return nil
}

// cause says why steps have to be taken again, or why the run did not go on. A
// process that ended without saying so is a fault, which is recorded now.
func (x *runner) cause(damaged []error) (string, error) {
	s := x.standing
	switch {
	case len(damaged) > 0:
		return errors.Join(damaged...).Error(), nil
	case s.fault != nil:
		return s.fault.Evidence, nil
	case s.pause != nil:
		return "the checkpoint of the pause is not there", nil
	}
	text := "the process ended without a pause"
	at := s.next()
	return text, x.enter(&record.Fault{Fault: crash, Stage: at.stage, Step: at.step, Evidence: text})
}

func parametersDigest(m *deepseek.Model) (record.Digest, error) {
	d, err := train.ParametersDigest(m)
	return record.Digest(d.String()), err
}

// fileDigest is that of a small file.
func fileDigest(name string) (record.Digest, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	return record.SHA256(b), nil
}
