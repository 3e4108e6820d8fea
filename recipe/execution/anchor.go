package execution

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/train"
	"github.com/temper-ml/temper/train/checkpoint"
)

// ErrNone is wrapped where nothing is kept of the weights that a stage began with.
var ErrNone = checkpoint.ErrNone

// anchor is a copy of the weights that a stage begins with, in memory, and in a
// folder of the run for when it is continued.
type anchor struct {
	part   *Part
	model  *deepseek.Model
	digest record.Digest // of what model has, empty before take and recall
}

// newAnchor takes the memory.
func newAnchor(p *Part) (*anchor, error) {
	m, err := deepseek.NewFrozen(p.Machine.Model.Config())
	return &anchor{part: p, model: m}, err
}

// dir is the folder, of a run directory.
func (a *anchor) dir(run string) string {
	return filepath.Join(run, filepath.FromSlash(record.AnchorPath(a.part.Index, a.part.Name)))
}

// take copies the weights that the machine's model has now, and writes them.
func (a *anchor) take(ctx context.Context) error {
	site := &a.part.Machine.Site
	want, err := parametersDigest(a.part.Machine.Model)
	if err != nil {
		return err
	}
	if site.Kept == "" && a.read(site.Dir) == nil && a.digest == want {
		return nil // a process before this one wrote it
	}
	for i, p := range a.part.Machine.Model.Params() {
		to := a.model.Params()[i].Data
		kernel.Parallel(len(to), 1<<16, func(lo, hi int) { copy(to[lo:hi], p.Data[lo:hi]) })
	}
	a.digest = want
	if err := ctx.Err(); err != nil || site.Kept != "" {
		return err // a replay keeps nothing
	}
	store, err := checkpoint.OpenStore(a.dir(site.Dir), checkpoint.Options{FS: site.FS, Keep: 1})
	if err != nil {
		return fmt.Errorf("anchor: %w", err)
	}
	defer store.Close()
	if _, err := store.Save(&checkpoint.State{Tensors: tensorsOf(a.model)}); err != nil {
		return fmt.Errorf("anchor: %w", err)
	}
	return nil
}

// read takes the weights that a folder has.
func (a *anchor) read(run string) error {
	a.digest = ""
	if _, err := checkpoint.Load(a.dir(run), tensorsOf(a.model)); err != nil {
		return err
	}
	d, err := train.ParametersDigest(a.model)
	a.digest = record.Digest(d.String())
	return err
}

// recall reads the weights, which must be those on record.
func (a *anchor) recall(ctx context.Context) error {
	site := &a.part.Machine.Site
	if err := ctx.Err(); err != nil {
		return err
	}
	from := site.Dir
	if site.Kept != "" {
		from = site.Kept
	}
	path := record.AnchorPath(a.part.Index, a.part.Name)
	if err := a.read(from); err != nil {
		return &Lost{fmt.Errorf("%s: the weights that the policy is kept near: %w", path, err)}
	}
	e := site.Entered(a.part.Index)
	if e == nil {
		return errors.New("the stage is continued, and the record has no entry of it")
	}
	if a.digest != e.Anchor {
		return &Lost{fmt.Errorf("%s: the weights that the policy is kept near have digest %s, on record is %s", path, a.digest, e.Anchor)}
	}
	return nil
}

// tensorsOf lists a model's parameters as checkpoint tensors.
func tensorsOf(m *deepseek.Model) []checkpoint.Tensor {
	var ts []checkpoint.Tensor
	for _, p := range m.Params() {
		ts = append(ts, checkpoint.Tensor{Name: p.Name, Shape: p.Shape, Data: p.Data})
	}
	return ts
}
