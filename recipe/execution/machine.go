package execution

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

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
func (m *Machine) Parameters() []checkpoint.Tensor {
	var ts []checkpoint.Tensor
	for _, p := range m.Model.Params() {
		ts = append(ts, checkpoint.Tensor{Name: p.Name, Shape: p.Shape, Data: p.Data})
	}
	return ts
}

// Part is a stage of a Machine: its data, and the trainer that takes its steps.
type Part struct {
	// Stage is the recipe's, its number of steps filled in.
	recipe.Stage
	Index    int
	Machine  *Machine
	Material *posttrain.Material
	Suites   map[string]*eval.Questions
	Trainer  *train.Trainer
	// Pairs are those of a dpo stage, nil for other methods.
	Pairs *preference.Pairs

	reference *preference.Reference // that the loss compares with, nil until Compare
	digest    record.Digest         // of its file
}

// Open reads the data of stage i and makes its trainer, at step 0. change, if
// not nil, may change what decides no result.
func (m *Machine) Open(ctx context.Context, i int, change func(*recipe.Stage)) (*Part, error) {
	p := &Part{Stage: m.Recipe.Stages[i], Index: i, Machine: m, Suites: map[string]*eval.Questions{}}
	if change != nil {
		change(&p.Stage)
	}
	data, err := m.Recipe.StageData(i)
	if err != nil {
		return nil, err
	}
	if p.Material, err = data.Load(ctx, p.Method, m.Tokenizer, m.Cache, m.Recipe.Seed); err != nil {
		return nil, err
	}
	for name := range p.Eval.Suites {
		if p.Suites[name], err = m.Recipe.LoadSuite(ctx, i, name, m.Tokenizer); err != nil {
			return nil, err
		}
	}
	if p.Epochs > 0 {
		p.Steps = p.Material.Steps(p.Epochs)
	}
	if p.Trainer, err = train.New(p.Config, m.Model, p.Material, data.Rows, m.Now); err != nil {
		return nil, err
	}
	if err := p.pair(); err != nil {
		return nil, err
	}
	return p, p.Trainer.Reserve(data.Sequence)
}

// Entry is what the record says of the stage when it is entered after so many steps.
func (p *Part) Entry(taken int64) *record.Stage {
	sum, _ := record.NewDigest("sha256", p.Material.Digest[:]) // 32 bytes are one
	return &record.Stage{
		Stage: p.Index, Name: p.Name, Method: p.Method, From: taken, Steps: p.Steps,
		Rows: int64(p.Material.RowsPerEpoch()), HeldOut: int64(len(p.Material.HeldOut)),
		Data: sum, Order: record.Digest(order(&p.Stage, p.Material).String()), Tokens: p.Material.Tokens, Supervised: p.Material.Labels,
		Batch: int64(p.Data.Rows), Micro: int64(p.MicroRows), Accumulation: accumulation(p.Data.Rows, p.Slots, p.MicroRows),
		Sequence: int64(p.Data.Sequence), Optimizer: p.Optimizer.Name,
		LR:        record.Schedule{Kind: p.LR.Name, Peak: p.LR.Peak, Final: p.LR.Final, Warmup: p.LR.Warmup, Decay: p.LR.Decay},
		Reference: p.digest, MTP: p.Loss.MTP > 0, Indexer: p.Loss.Indexer > 0,
	}
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
	switch digest := fmt.Sprintf("%x", p.Material.Digest); {
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
func (p *Part) Holds() bool { return len(p.Material.HeldOut) > 0 || len(p.Suites) > 0 }

// Measure evaluates the model on what the stage holds out.
func (p *Part) Measure(ctx context.Context) (*Measured, error) {
	m := p.Machine
	start := m.Now()
	taken, _ := p.Trainer.Steps()
	e := &Measured{Stage: p.Index, Step: taken}
	switch {
	case len(p.Material.HeldOut) == 0:
	case p.Pairs != nil:
		q, err := preference.Measure(ctx, m.Model, p.DPO, p.Pairs, p.reference)
		if err != nil {
			return nil, err
		}
		e.Pairs = &q
	default:
		l, err := eval.Measure(ctx, m.Model, p.Material.HeldOut, p.Eval.Rows)
		if err != nil {
			return nil, err
		}
		e.Loss = &l
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
