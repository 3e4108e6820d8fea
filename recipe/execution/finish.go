package execution

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/temper-ml/temper/compute/dtype"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

// finish writes the final weights and closes the run.
func (x *runner) finish(ctx context.Context) (*Summary, error) {
	dir := filepath.Join(x.opts.Dir, "model")
	if err := x.export(dir); err != nil {
		return nil, err
	}
	e := &record.End{Status: "complete"}
	var err error
	if e.Weights, err = parametersDigest(x.model); err != nil {
		return nil, err
	}
	if e.Export, err = hashDir(ctx, dir); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	x.standing.totals(e)
	if old := x.standing.end; old != nil {
		if old.Weights != e.Weights {
			return nil, fmt.Errorf("run: the run ended with weights %s, its last checkpoint has %s", old.Weights, e.Weights)
		}
		if err := sameExport(old.Export, e.Export); err != nil {
			return nil, err
		}
	} else if err := x.enter(e); err != nil {
		return nil, err
	}
	s := x.standing.summary(x.opts.Dir, x.opts.Key.Verifier())
	x.tell(Ended{*s})
	return s, nil
}

// ended is a finished run that is resumed: if its model is gone it is written
// again from the last checkpoint. Nothing is added to the record.
func (x *runner) ended(ctx context.Context, at position) (*Summary, error) {
	dir := filepath.Join(x.opts.Dir, "model")
	got, err := hashDir(ctx, dir)
	if err == nil {
		if err := sameExport(x.standing.end.Export, got); err != nil {
			return nil, err
		}
		s := x.standing.summary(x.opts.Dir, x.old.Signer)
		x.tell(Ended{*s})
		return s, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if last := x.standing.next(); !x.standing.same(at, last) {
		return nil, fmt.Errorf("run: %s is finished, and its model and its last checkpoint are gone: nothing is left to write it from", x.opts.Dir)
	}
	if err := x.build(); err != nil {
		return nil, err
	}
	return x.carryOut(ctx, at)
}

// sameExport compares the files of a model with those that the record has.
func sameExport(old, now map[string]record.Digest) error {
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if now[name] != old[name] {
			return fmt.Errorf("run: model/%s is not what the run wrote (digest %s, now %q): remove model to have it written again", name, old[name], now[name])
		}
	}
	if len(now) > len(old) {
		return errors.New("run: model holds files that the run did not write: remove it to have it written again")
	}
	return nil
}

// export writes the model, if that is not done.
func (x *runner) export(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	text, err := x.tok.MarshalJSON()
	if err != nil {
		return err
	}
	o := hf.Options{DType: dtype.BF16, Files: map[string][]byte{TokenizerName: text}}
	if x.recipe.Export.DType == "f32" {
		o.DType = dtype.F32
	}
	if x.recipe.Model.Load != "" {
		if o.CopyFrom, err = x.recipe.Path(x.recipe.Model.Load); err != nil {
			return err
		}
	}
	data := func(t *arch.Tensor) ([]float32, error) { return x.model.Param(t.Name).Data, nil }
	if err := hf.WriteSlices(x.opts.FS, dir, x.model.Config(), o, data); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}
