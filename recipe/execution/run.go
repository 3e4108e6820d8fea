package execution

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/temper-ml/temper/compute/dtype"
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/train/checkpoint"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

// ErrInterrupted says that a run stopped because it was asked to, with its
// state saved.
var ErrInterrupted = errors.New("interrupted; everything up to the last step is saved")

// Options say where and how a recipe is carried out; they decide no result.
type Options struct {
	// Dir is the run directory.
	Dir string
	// Resume continues the run that Dir holds.
	Resume bool
	// Observer is told what happens; may be nil.
	Observer Observer
	// Now is the clock.
	Now func() time.Time
}

// runner is a run in progress.
type runner struct {
	recipe  *recipe.Recipe
	opts    Options
	log     *eventLog
	tok     *tokenizer.Tokenizer
	model   *deepseek.Model
	peak    float64
	summary Summary
	start   time.Time
}

// Run carries out a recipe from its start, or from its last checkpoint. When
// ctx ends it saves a checkpoint and returns ErrInterrupted.
func Run(ctx context.Context, r *recipe.Recipe, opts Options) (*Summary, error) {
	lock, err := durable.Acquire(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	defer lock.Release()
	if err := claim(r, opts); err != nil {
		return nil, err
	}
	x := &runner{recipe: r, opts: opts, start: opts.Now(), summary: Summary{Run: opts.Dir}}
	if err := x.prepare(ctx); err != nil {
		return nil, err
	}
	at, err := x.find()
	if err != nil {
		return nil, err
	}
	if x.log, err = openLog(opts.Dir, at); err != nil {
		return nil, err
	}
	defer x.log.Close()
	if err := x.recall(); err != nil {
		return nil, err
	}
	x.begin(at)
	if err := x.stages(ctx, at); err != nil {
		return nil, errors.Join(err, x.log.Sync())
	}
	return x.finish()
}

// claim makes sure that the directory holds this run, or nothing yet.
func claim(r *recipe.Recipe, opts Options) error {
	text, err := r.YAML()
	if err != nil {
		return err
	}
	old, err := os.ReadFile(filepath.Join(opts.Dir, "recipe.yaml"))
	switch {
	case errors.Is(err, os.ErrNotExist) && opts.Resume:
		return fmt.Errorf("run: %s holds no run to resume: leave --resume out to start one", opts.Dir)
	case errors.Is(err, os.ErrNotExist):
		return keep(opts.Dir, "recipe.yaml", text)
	case err != nil:
		return fmt.Errorf("run: %w", err)
	case !opts.Resume:
		return fmt.Errorf("run: %s already holds a run: continue it with --resume, or choose another --out", opts.Dir)
	case !bytes.Equal(old, text):
		return fmt.Errorf("run: the recipe differs from %s, the one this run began with: resume with the same recipe, or start another run", filepath.Join(opts.Dir, "recipe.yaml"))
	}
	return nil
}

// prepare makes tokenizer and model, with the parameters a run begins with.
func (x *runner) prepare(ctx context.Context) error {
	var err error
	if x.tok, err = Tokenizer(ctx, x.recipe, x.opts.Dir); err != nil {
		return err
	}
	text, err := x.tok.MarshalJSON()
	if err != nil {
		return err
	}
	if err := keep(x.opts.Dir, tokenizerName, text); err != nil {
		return err
	}
	cfg, err := Architecture(x.recipe, x.tok)
	if err != nil {
		return err
	}
	if x.model, err = deepseek.New(cfg); err != nil {
		return err
	}
	return x.measurePeak()
}

// measurePeak updates the machine's multiply-add rate. Clocks and neighbours
// change during a run, so it is measured at both ends and the best counts.
func (x *runner) measurePeak() error {
	peak, err := kernel.PeakFMA(kernel.Path(), kernel.Threads(), 50*time.Millisecond)
	x.peak = max(x.peak, peak)
	return err
}

func (x *runner) begin(at position) {
	total, _, active := x.model.Config().Count()
	x.emit(Began{
		Dir: x.opts.Dir, Parameters: total, Active: active, Vocabulary: x.tok.VocabSize(),
		Path: kernel.Path(), Threads: kernel.Threads(), PeakFLOPs: x.peak, Resumed: at != position{},
	})
}

// emit tells the log and the observer.
func (x *runner) emit(e Event) {
	x.log.Observe(e)
	x.summary.add(e)
	if x.opts.Observer != nil {
		x.opts.Observer.Observe(e)
	}
}

func (x *runner) note(format string, args ...any) { x.emit(Noted{fmt.Sprintf(format, args...)}) }

// finish writes the final weights and closes the run.
func (x *runner) finish() (*Summary, error) {
	dir := filepath.Join(x.opts.Dir, "model")
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		text, err := x.tok.MarshalJSON()
		if err != nil {
			return nil, err
		}
		o := hf.Options{DType: dtype.BF16, Files: map[string][]byte{tokenizerName: text}}
		if x.recipe.Export.DType == "f32" {
			o.DType = dtype.F32
		}
		if x.recipe.Model.Load != "" {
			if o.CopyFrom, err = x.recipe.Path(x.recipe.Model.Load); err != nil {
				return nil, err
			}
		}
		data := func(t *arch.Tensor) ([]float32, error) { return x.model.Param(t.Name).Data, nil }
		if err := hf.WriteSlices(durable.OS, dir, x.model.Config(), o, data); err != nil {
			return nil, fmt.Errorf("export: %w", err)
		}
	} else if err != nil {
		return nil, err
	}
	x.summary.WeightsDigest = checkpoint.Digest(x.parameters())
	x.summary.WallSeconds += x.opts.Now().Sub(x.start).Seconds()
	if err := x.measurePeak(); err != nil {
		return nil, err
	}
	x.summary.settle(x.peak)
	x.emit(Ended{x.summary})
	return &x.summary, x.log.Sync()
}

// parameters lists the model's parameters as checkpoint tensors.
func (x *runner) parameters() []checkpoint.Tensor {
	var ts []checkpoint.Tensor
	for _, p := range x.model.Params() {
		ts = append(ts, checkpoint.Tensor{Name: p.Name, Shape: p.Shape, Data: p.Data})
	}
	return ts
}
