package replay

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/internal/config"
	"github.com/temper-ml/temper/internal/unit"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/recipe/execution"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/trace"
	"github.com/temper-ml/temper/report/verify"
	"github.com/temper-ml/temper/train"
)

// Options say where a replay finds what the run directory does not hold, and
// how it computes.
type Options struct {
	// Data are folders to look for data files in, beside where the recipe says;
	// Model is the base model's directory, empty to look for it likewise.
	Data  []string
	Model string
	// Way is how to compute; what it leaves open becomes other than the run's.
	Way Way
	// Cores are the threads that the machine runs at once, 0 for kernel.Threads.
	Cores int
	// Programs lets rules run programs that the run's recipe names, with all that
	// these can do on this machine. Without it rounds of answers that they judged are
	// taken from the run's files.
	Programs bool
	// Stepped, if not nil, is told of each step that was taken, Sampling how far a
	// round of answers is, perhaps by another goroutine.
	Stepped  func(*record.Step)
	Sampling func(execution.Sampling)
}

// Replayer takes the steps of a run again. It implements [verify.Replayer]. It
// never writes into the run directory, and reads nothing from there that it
// does not hold against the record.
type Replayer struct {
	log      *verify.Log
	manifest *record.Manifest
	opts     Options
	way, run Way
	measured map[verify.Position]bool  // where the record has evaluations
	saves    map[verify.Position]*save // that the run keeps
	recipe   *recipe.Recipe
	locator  *locator
	temp     string // folder of caches
	machine  *execution.Machine
	part     *execution.Part
	table    execution.Table // of tokens routed since step since of the stage
	since    int64
	at       *verify.Position // whose state the machine holds, nil if undefined
	read     map[int]bool     // stages whose kept rounds have been read

	touch func(trace.Operator, train.Values) // makes faults, for tests
}

var _ verify.Replayer = (*Replayer)(nil)

// Open prepares to replay the run whose record has been read.
func Open(l *verify.Log, o Options) (*Replayer, error) {
	if l.Manifest == nil {
		return nil, errors.New("replay: the record has no manifest that can be read")
	}
	m := l.Manifest
	r := &Replayer{log: l, manifest: m, opts: o, measured: map[verify.Position]bool{}, read: map[int]bool{}}
	for i := range l.Evaluations {
		r.measured[l.Evaluations[i].Position()] = true
	}
	var err error
	if r.saves, err = findSaves(l); err != nil {
		return nil, err
	}
	if r.recipe, err = decode(m.Recipe); err != nil {
		return nil, fmt.Errorf("manifest: recipe: %w", err)
	}
	r.forgetSaves()
	if len(m.Devices) > 0 {
		r.run = Way{SIMD: m.Devices[0].Path, Threads: m.Devices[0].Threads}
	}
	cores := o.Cores
	if cores == 0 {
		cores = kernel.Threads()
	}
	if r.way, err = o.Way.Other(r.run, kernel.Paths(), cores); err != nil {
		return nil, err
	}
	if r.temp, err = os.MkdirTemp("", "temper-replay-"); err != nil {
		return nil, err
	}
	roots := o.Data
	if len(roots) == 0 {
		roots = []string{".", l.Dir, filepath.Dir(filepath.Clean(l.Dir))}
	}
	r.locator = newLocator(m, r.recipe, roots, o.Model)
	r.recipe.Locate(r.locator.path)
	return r, nil
}

// maxLine is the length of a line of a recipe that the YAML reader is trusted with.
const maxLine = 32 << 10

// decode reads the recipe of a manifest, which may be hostile.
func decode(text string) (r *recipe.Recipe, err error) {
	defer func() { // the YAML reader gives up on some malformed texts by panicking
		if p := recover(); p != nil {
			r, err = nil, fmt.Errorf("not understood as YAML (%v)", p)
		}
	}()
	if line, rule := config.Tangled([]byte(text), maxLine); rule != "" {
		return nil, fmt.Errorf("line %d %s", line, rule)
	}
	return recipe.Decode([]byte(text), "recipe.yaml", nil)
}

// Way is how this replay computes, Run how the run did.
func (r *Replayer) Way() (way, run Way) { return r.way, r.run }

// Close removes what the replay kept outside of the run directory.
func (r *Replayer) Close() error {
	r.close()
	r.machine = nil
	return os.RemoveAll(r.temp)
}

// Starts lists the beginning of the run, unless it needs a base model that is
// not here, every position whose checkpoint the run keeps, and the beginnings of
// the stages that can be reached from those: where the checkpoint before is not
// kept any more, by taking the steps before.
func (r *Replayer) Starts(context.Context) ([]verify.Position, error) {
	var all []verify.Position
	reached := map[int]bool{} // stages with a start
	if _, err := r.base(); err == nil {
		all = append(all, verify.Position{})
		reached[0] = true
	}
	for p := range r.saves {
		all = append(all, p)
		reached[p.Stage] = true
	}
	for stage := 1; stage < len(r.log.Stages); stage++ {
		if reached[stage-1] {
			all = append(all, verify.Position{Stage: stage})
			reached[stage] = true
		}
	}
	slices.SortFunc(all, verify.Position.Compare)
	return slices.Compact(all), nil
}

// base returns the directory of the base model, empty if the recipe has none.
func (r *Replayer) base() (string, error) {
	if r.recipe.Model.Load == "" {
		return "", nil
	}
	return r.recipe.Path(r.recipe.Model.Load)
}

// prepare makes the machine.
func (r *Replayer) prepare(ctx context.Context) error {
	if r.machine != nil {
		return nil
	}
	tok, err := r.tokenizer()
	if err != nil {
		return err
	}
	cfg, err := r.architecture(tok)
	if err != nil {
		return err
	}
	if err := r.fits(cfg); err != nil {
		return err
	}
	if r.machine, err = execution.NewMachine(r.recipe, tok, cfg, r.temp, time.Now); err != nil {
		return err
	}
	r.machine.Site = r.site()
	return nil
}

// unknownMemory is what a machine is taken to have that does not tell.
const unknownMemory = 1 << 42

// fits refuses a model, or rows of a micro-batch, that this machine cannot hold:
// parameters, gradients and a moment, and one activation of each token at least.
func (r *Replayer) fits(cfg *arch.Config) error {
	has := execution.Available()
	if has == 0 {
		has = unknownMemory
	}
	total, _, _ := cfg.Count()
	state := 12 * float64(total)
	needs := state
	for i := range r.recipe.Stages {
		s := r.recipe.Stages[i]
		r.way.apply(&s)
		activation := 4 * float64(s.MicroRows) * float64(s.Data.Sequence) * float64(cfg.HiddenSize)
		needs = max(needs, state+activation)
	}
	if total < 1 || needs > float64(has) {
		return missing("memory: %s parameters and their micro-batches need %s at least, this machine has %s", unit.Count(total), unit.Bytes(min(needs, 1<<62)), unit.Bytes(has))
	}
	return nil
}

// tokenizer reads the run's vocabulary.
func (r *Replayer) tokenizer() (*tokenizer.Tokenizer, error) {
	name := filepath.Join(r.log.Dir, execution.TokenizerName)
	sum, err := fileDigest(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, missing("the run's tokenizer: %w", err)
	} else if err != nil {
		return nil, err
	}
	if sum != r.manifest.Tokenizer {
		return nil, fmt.Errorf("%w: %s has digest %s, the manifest %s", verify.ErrState, execution.TokenizerName, sum, r.manifest.Tokenizer)
	}
	return tokenizer.Load(name)
}

// Retrain trains the vocabulary again that the recipe trains, and fails if it is
// not the run's. ok is false if the recipe takes one that was there.
func (r *Replayer) Retrain(ctx context.Context) (ok bool, err error) {
	if r.recipe.Tokenizer.Train == nil {
		return false, nil
	}
	tok, err := execution.Tokenizer(ctx, r.recipe, r.temp)
	if err != nil {
		return true, err
	}
	text, err := tok.MarshalJSON()
	if err != nil {
		return true, err
	}
	if sum := record.SHA256(text); sum != r.manifest.Tokenizer {
		return true, fmt.Errorf("%w: trained again, the tokenizer has digest %s, the manifest %s", verify.ErrState, sum, r.manifest.Tokenizer)
	}
	return true, nil
}

// architecture is what the recipe says, which must be what the manifest has.
// Without the files that the recipe takes it from, it is what the manifest has.
func (r *Replayer) architecture(tok *tokenizer.Tokenizer) (*arch.Config, error) {
	recorded, err := arch.ParseConfig([]byte(r.manifest.Architecture))
	if err != nil {
		return nil, fmt.Errorf("manifest: architecture: %w", err)
	}
	var m *Missing
	cfg, err := execution.Architecture(r.recipe, tok)
	if errors.As(err, &m) {
		return recorded, recorded.CheckTrainable()
	} else if err != nil {
		return nil, err
	}
	if string(cfg.MarshalHF()) != string(recorded.MarshalHF()) {
		return nil, fmt.Errorf("%w: the manifest's architecture is not the one that its recipe gives", verify.ErrState)
	}
	return cfg, nil
}

// Replay takes the steps of a segment.
func (r *Replayer) Replay(ctx context.Context, seg verify.Segment, each func(record.Body) error) error {
	return r.on(r.way, func() error { return r.replay(ctx, seg, each) })
}

func (r *Replayer) replay(ctx context.Context, seg verify.Segment, each func(record.Body) error) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if err := r.restore(ctx, seg.From); err != nil {
		return err
	}
	at := seg.From
	r.at = nil // until all of it is good
	r.table, r.since = nil, at.Step
	if err := r.keptRounds(ctx, each); err != nil {
		return err
	}
	if err := r.evaluate(ctx, at, each); err != nil {
		return err
	}
	for at.Step < seg.To {
		if err := r.step(ctx, each); err != nil {
			return err
		}
		at.Step++
		if err := r.after(ctx, at, each); err != nil {
			return err
		}
	}
	r.at = &at
	return nil
}
