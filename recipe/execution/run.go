package execution

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
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
	// Key signs the record ([Key] finds the user's); nil: one in Dir, made on
	// first use.
	Key *runlog.Key
	// Observer is told what happens; may be nil.
	Observer Observer
	// Now is the clock.
	Now func() time.Time
	// FS is the disk that record, checkpoints and model are written to; nil: the
	// machine's.
	FS durable.FS
}

// runner is a run in progress.
type runner struct {
	recipe *recipe.Recipe
	opts   Options
	tok    *tokenizer.Tokenizer
	arch   *arch.Config
	model  *deepseek.Model
	device record.Device
	start  time.Time

	remeasured int // times that the device was measured again

	log      *runlog.Writer
	old      *record.Manifest // of a run that is continued
	standing *standing
	notes    []string // to be recorded as soon as the run is opened
	joined   bool     // the entry that continues the run is written, or none is due
	at       position // steps taken
	safe     position // of the state that is saved; the beginning of a stage always is
	stopped  bool     // it is recorded why the run stops

	watching sync.Mutex // held while the observer is told, and over notes
}

// Run carries out a recipe from its start, or from its last checkpoint. When
// ctx ends it saves a checkpoint and returns ErrInterrupted.
func Run(ctx context.Context, r *recipe.Recipe, opts Options) (*Summary, error) {
	if opts.FS == nil {
		opts.FS = durable.OS
	}
	lock, err := durable.Acquire(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	defer lock.Release()
	if err := claim(r, opts); err != nil {
		return nil, err
	}
	x := &runner{recipe: r, opts: opts, start: opts.Now()}
	at, err := x.find()
	if err != nil {
		return nil, err
	}
	err = x.prepare(ctx)
	if err == nil {
		err = x.openRecord(ctx, at)
	}
	if err != nil {
		if ctx.Err() != nil { // nothing is recorded that would have to be taken back
			err = errors.Join(ErrInterrupted, err)
		}
		return nil, err
	}
	carryOut := x.carryOut
	if x.standing.end != nil {
		carryOut = x.ended
	}
	s, err := carryOut(ctx, at)
	return s, errors.Join(err, x.log.Close())
}

// carryOut does everything that is recorded.
func (x *runner) carryOut(ctx context.Context, at position) (*Summary, error) {
	if err := x.begin(at); err != nil {
		return nil, err
	}
	err := x.stages(ctx, at)
	if err == nil {
		var s *Summary
		if s, err = x.finish(ctx); err == nil {
			return s, nil
		}
	}
	return nil, x.failed(ctx, err)
}

// failed records why a run stops, if that is not done and the record can still
// be written.
func (x *runner) failed(ctx context.Context, err error) error {
	asked := ctx.Err() != nil && (x.at.step == 0 || x.at == x.safe)
	if asked && !errors.Is(err, ErrInterrupted) {
		err = errors.Join(ErrInterrupted, err)
	}
	switch {
	case x.stopped || !x.joined || x.standing.end != nil:
	case asked:
		_ = x.enter(&record.Pause{Stage: x.at.stage, Step: x.at.step, Reason: askedToStop})
	default:
		_ = x.enter(&record.Fault{Fault: "error", Stage: x.at.stage, Step: x.at.step, Evidence: err.Error()})
	}
	return err
}

// askedToStop is the reason of a pause.
const askedToStop = "asked to stop"

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

// prepare makes the tokenizer and says what the model is.
func (x *runner) prepare(ctx context.Context) error {
	var err error
	if x.tok, err = Tokenizer(ctx, x.recipe, x.opts.Dir); err != nil {
		return err
	}
	text, err := x.tok.MarshalJSON()
	if err != nil {
		return err
	}
	if err := keep(x.opts.Dir, TokenizerName, text); err != nil {
		return err
	}
	if x.arch, err = Architecture(x.recipe, x.tok); err != nil {
		return err
	}
	x.device, err = device()
	return err
}

// build makes the model. Data are read before it where possible: beside it,
// what reading leaves to be collected could come to as much memory again.
func (x *runner) build() (err error) {
	debug.FreeOSMemory()
	x.model, err = deepseek.New(x.arch)
	return err
}

// begin opens the run for who watches it.
func (x *runner) begin(at position) error {
	total, _, active := x.arch.Count()
	if x.standing.begin == nil {
		d, err := parametersDigest(x.model)
		if err != nil {
			return err
		}
		if err := x.enter(&record.Begin{Total: total, Active: active, Parameters: d}); err != nil {
			return err
		}
	}
	x.tell(Began{
		Dir: x.opts.Dir, Parameters: total, Active: active, Vocabulary: x.tok.VocabSize(),
		Path: kernel.Path(), Threads: kernel.Threads(), PeakFLOPs: peakOf([]record.Device{x.device}), Resumed: at != position{},
		Signer: x.opts.Key.Verifier(),
	})
	return x.pass()
}

// pass records the notes that are waiting, once the run is open.
func (x *runner) pass() error {
	if !x.joined || x.standing.end != nil {
		return nil
	}
	x.watching.Lock()
	notes := x.notes
	x.notes = nil
	x.watching.Unlock()
	for _, n := range notes {
		if err := x.note("%s", n); err != nil {
			return err
		}
	}
	return nil
}

// enter adds an entry to the record.
func (x *runner) enter(body record.Body) error {
	e, err := x.log.Append(body)
	if e != nil {
		err = errors.Join(err, x.standing.add(e))
	}
	return err
}

// tell tells the observer. It may be called from several goroutines.
func (x *runner) tell(e Event) {
	if x.opts.Observer != nil {
		x.watching.Lock()
		defer x.watching.Unlock()
		x.opts.Observer.Observe(e)
	}
}

// later has a note recorded by the goroutine that records, as soon as it can.
func (x *runner) later(text string) {
	x.watching.Lock()
	defer x.watching.Unlock()
	x.notes = append(x.notes, text)
}

func (x *runner) note(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	x.tell(Noted{text})
	return x.enter(&record.Note{Text: text})
}

func (x *runner) cache() string { return filepath.Join(x.opts.Dir, "cache") }
