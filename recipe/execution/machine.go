package execution

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/eval"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/posttrain/preference"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/train"
	"github.com/temper-ml/temper/train/checkpoint"
)

// Machine is the model of a recipe in memory, and its vocabulary: what a run and
// a replay of it share. It writes to no run directory.
type Machine struct {
	Recipe    *recipe.Recipe
	Tokenizer *tokenizer.Tokenizer
	Model     *deepseek.Model
	// Cache is the folder of token caches, empty for none.
	Cache string
	// Now is the clock.
	Now func() time.Time
	// Site is where stages that learn from the model's own answers keep them.
	Site Site
}

// NewMachine makes a machine whose parameters are not set yet.
func NewMachine(r *recipe.Recipe, tok *tokenizer.Tokenizer, cfg *arch.Config, cache string, now func() time.Time) (*Machine, error) {
	model, err := deepseek.New(cfg)
	if err != nil {
		return nil, err
	}
	return &Machine{Recipe: r, Tokenizer: tok, Model: model, Cache: cache, Now: now}, nil
}

// Begin sets the parameters to those that a run begins with: drawn from the
// recipe's seed, or read from the directory that it loads. It returns what a
// person should know about that directory.
func (m *Machine) Begin() (notes []string, err error) { return parameters(m.Recipe, m.Model) }

// Parameters lists the model's parameters as checkpoint tensors.
func (m *Machine) Parameters() []checkpoint.Tensor { return tensorsOf(m.Model) }

// Part is a stage of a Machine: its data, and the trainer that takes its steps.
type Part struct {
	// Stage is the recipe's, its number of steps filled in.
	recipe.Stage
	Index   int
	Machine *Machine
	// Material is what the stage trains on, nil where it learns from the model's own
	// answers: those are Rounds, nil for others.
	Material *posttrain.Material
	Rounds   Rounds
	// Taught is what a stage has that learns from teachers on answers in its data,
	// nil for others.
	Taught  *Teaching
	Suites  map[string]*eval.Questions
	Trainer *train.Trainer
	// Pairs are those of a dpo stage, nil for other methods.
	Pairs *preference.Pairs

	reference *preference.Reference // that the loss compares with, nil until Compare
	digest    record.Digest         // of its file
}

// Open reads the data of stage i and makes its trainer, at step 0. change, if
// not nil, may change what decides no result. Close it in the end.
func (m *Machine) Open(ctx context.Context, i int, change func(*recipe.Stage)) (*Part, error) {
	p := &Part{Stage: m.Recipe.Stages[i], Index: i, Machine: m, Suites: map[string]*eval.Questions{}}
	if change != nil {
		change(&p.Stage)
	}
	err := p.open(ctx)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Part) open(ctx context.Context) error {
	data, err := p.Machine.Recipe.StageData(p.Index)
	if err != nil {
		return err
	}
	for name := range p.Eval.Suites {
		if p.Suites[name], err = p.Machine.Recipe.LoadSuite(ctx, p.Index, name, p.Machine.Tokenizer); err != nil {
			return err
		}
	}
	if posttrain.Asks(p.Method) {
		return p.ask(ctx, data)
	}
	if p.Material, err = data.Load(ctx, p.Takes(), p.Machine.Tokenizer, p.Machine.Cache, p.Machine.Recipe.Seed); err != nil {
		return err
	}
	if p.Epochs > 0 {
		p.Steps = p.Material.Steps(p.Epochs)
	}
	source := train.Source(p.Material)
	if p.Method == "distill" {
		if p.Taught, err = p.teach(ctx, data); err != nil {
			return err
		}
		source = p.Taught
	}
	if err := p.train(source, data.Rows); err != nil {
		return err
	}
	return p.pair()
}

// train makes the stage's trainer, for steps of so many rows.
func (p *Part) train(source train.Source, rows int) (err error) {
	if p.Trainer, err = train.New(p.Config, p.Machine.Model, source, rows, p.Machine.Now); err != nil {
		return err
	}
	return p.Trainer.Reserve(p.Data.Sequence)
}

// Idle stops what goes on beside the stage's steps, until the next is prepared.
func (p *Part) Idle() {
	if p != nil && p.Rounds != nil {
		p.Rounds.Idle()
	}
}

// Close ends what goes on beside the stage's steps.
func (p *Part) Close() error {
	switch {
	case p == nil:
	case p.Rounds != nil:
		return p.Rounds.Close()
	case p.Taught != nil:
		return p.Taught.Close()
	}
	return nil
}

// Entry is what the record says of the stage when it is entered after so many steps.
func (p *Part) Entry(taken int64) *record.Stage {
	e := &record.Stage{
		Stage: p.Index, Name: p.Name, Method: p.Method, From: taken, Steps: p.Steps,
		Sequence: int64(p.Data.Sequence), Optimizer: p.Optimizer.Name,
		LR:        record.Schedule{Kind: p.LR.Name, Peak: p.LR.Peak, Final: p.LR.Final, Warmup: p.LR.Warmup, Decay: p.LR.Decay},
		Reference: p.digest, MTP: p.Loss.MTP > 0, Indexer: p.Loss.Indexer > 0,
	}
	if p.Rounds != nil {
		p.Rounds.Describe(e)
		return e
	}
	m := p.Material
	e.Data, _ = record.NewDigest("sha256", m.Digest[:]) // 32 bytes are one
	e.Order = record.Digest(order(&p.Stage, m).String())
	e.Rows, e.HeldOut, e.Tokens, e.Supervised = int64(m.RowsPerEpoch()), int64(len(m.HeldOut)), m.Tokens, m.Labels
	e.Batch, e.Micro, e.Accumulation = int64(p.Data.Rows), int64(p.MicroRows), accumulation(p.Data.Rows, p.Slots, p.MicroRows)
	if p.Taught != nil {
		p.Taught.describe(e)
	}
	return e
}

// source identifies the data of the stage in checkpoints.
func (p *Part) source() string {
	if p.Rounds != nil {
		return string(p.asked().Data)
	}
	return fmt.Sprintf("%x", p.Material.Digest)
}

// report counts what became of the rows of the stage's files.
func (p *Part) report() data.Report {
	if p.Rounds != nil {
		return p.Rounds.Report()
	}
	return p.Material.Report
}

// accumulation is how many micro-batches a step has: each slot's rows are cut apart.
func accumulation(rows, slots, micro int) int64 {
	n := 0
	for slot := range slots {
		size := (slot+1)*rows/slots - slot*rows/slots
		n += (size + micro - 1) / micro
	}
	return int64(n)
}

// State lists the whole training state: parameters, among them the routers'
// bias, and the optimizer's slots.
func (p *Part) State() []checkpoint.Tensor {
	ts := p.Machine.Parameters()
	for _, slot := range p.Trainer.Optimizer().Slots() {
		ts = append(ts, checkpoint.Tensor{Name: slot.Name, Shape: []int{len(slot.Data)}, Data: slot.Data})
	}
	return ts
}

// Resume continues after a checkpoint whose tensors have been loaded into State;
// text is what it holds beside them, path its name for messages.
func (p *Part) Resume(text []byte, path string) error {
	var m meta
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	seed := p.Machine.Recipe.Seed
	switch digest := p.source(); {
	case m.Stage != p.Index:
		return fmt.Errorf("%s was made in stage %d, not %d", path, m.Stage, p.Index)
	case m.Data != digest:
		return fmt.Errorf("%s was made with other data (digest %s, now %s): the same files are needed", path, m.Data, digest)
	case m.Seed != seed || m.Steps != p.Steps:
		return fmt.Errorf("%s was made with seed %d and %d steps, the recipe now says %d and %d", path, m.Seed, m.Steps, seed, p.Steps)
	}
	return p.Trainer.Resume(m.Step, m.Skipped, m.Updates)
}

// Holds reports whether the stage holds out anything to be measured on.
func (p *Part) Holds() bool {
	if len(p.Suites) > 0 {
		return true
	}
	if p.Rounds != nil {
		return p.asked().HeldOut > 0
	}
	return len(p.Material.HeldOut) > 0
}

// Measure evaluates the model on what the stage holds out.
func (p *Part) Measure(ctx context.Context) (*Measured, error) {
	m := p.Machine
	start := m.Now()
	taken, _ := p.Trainer.Steps()
	e := &Measured{Stage: p.Index, Step: taken}
	if err := p.measure(ctx, e); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(p.Suites)) {
		r, err := p.Suites[name].Measure(ctx, m.Model, eval.Options{})
		if err != nil {
			return nil, fmt.Errorf("suite %s: %w", name, err)
		}
		e.add(name, r, p.Suites[name].Headline())
	}
	e.Took = m.Now().Sub(start)
	return e, nil
}

// measure adds what is held out of the stage's own data.
func (p *Part) measure(ctx context.Context, e *Measured) error {
	switch {
	case p.Rounds != nil:
		return p.Rounds.Measure(ctx, e)
	case len(p.Material.HeldOut) == 0:
	case p.Taught != nil:
		return p.measureTaught(ctx, e)
	case p.Pairs != nil:
		q, err := preference.Measure(ctx, p.Machine.Model, p.DPO, p.Pairs, p.reference)
		if err != nil {
			return err
		}
		e.Pairs = &q
	default:
		l, err := eval.Measure(ctx, p.Machine.Model, p.Material.HeldOut, p.Eval.Rows)
		if err != nil {
			return err
		}
		e.Loss = &l
	}
	return nil
}
