package train

import (
	"context"
	"fmt"
	"time"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/report/record/trace"
	"github.com/temper-ml/temper/train/optim"
)

// Source gives the rows of every optimizer step of a stage.
type Source interface {
	// Rows returns the rows of a step in canonical order. It must be a pure
	// function of step: a resumed run and a verifier ask for any step again.
	Rows(step int64) ([]Row, error)
}

// Trainer takes the optimizer steps of one stage. It is not safe for concurrent use.
type Trainer struct {
	cfg       Config
	model     *deepseek.Model
	source    Source
	optimizer *optim.Optimizer
	recompute deepseek.Recompute
	trained   []*optim.Param
	grads     [][]float32
	objective Objective // nil: the mean cross-entropy
	terms     []float64 // of one row of it
	summed    int       // so many of them are summed, the others are largest
	dlogp     []float32
	teaching  Teaching // nil: none
	entropy   float64  // weight of the cross-entropy beside it
	teachers  []string // their names
	step      int64    // steps taken
	skipped   int64    // of them, without an update
	digests   *digester
	tracing   *Tracing // of the next step
	now       func() time.Time
}

// Result is what one step reports.
type Result struct {
	// Step counts from 0.
	Step int64 `json:"step"`
	// Counts are the denominators of the losses.
	Counts Counts `json:"counts"`
	// LM, MTP, Balance and Indexer are the means that are optimised, unweighted.
	LM      float64 `json:"lm"`
	MTP     float64 `json:"mtp"`
	Balance float64 `json:"balance"`
	Indexer float64 `json:"indexer"`
	// Terms are those of the stage's objective and teachers, by name, nil without
	// either; LM is then reported and not optimised.
	Terms map[string]float64 `json:"terms,omitempty"`
	// GradNorm is the norm before clipping; LR the learning rate used.
	GradNorm float64 `json:"grad_norm"`
	LR       float64 `json:"lr"`
	// Load is the routed tokens per block and expert, over the whole step.
	Load [][]int64 `json:"-"`
	// MaxViolation is the largest relative overload of an expert, over all blocks.
	MaxViolation float64 `json:"max_violation"`
	// Skipped says that the step was not finite and changed nothing; Why tells where.
	Skipped bool   `json:"skipped,omitempty"`
	Why     string `json:"why,omitempty"`
	// FLOPs are the model's operations, forward and backward, without recompute.
	FLOPs float64 `json:"flops"`
	// Digests are of the step, when Trainer.Digest asked for them.
	Digests Digests `json:"digests,omitzero"`
	// Time tells where the step's wall time went.
	Time Times `json:"time"`
}

// Times splits a step's wall time, in nanoseconds; the parts add up to Total.
type Times struct {
	Data      time.Duration `json:"data"`
	Model     time.Duration `json:"model"`
	Reduce    time.Duration `json:"reduce"`
	Optimizer time.Duration `json:"optimizer"`
	Digest    time.Duration `json:"digest,omitempty"`
	Total     time.Duration `json:"total"`
}

// New returns a trainer at step 0 of a stage. rows is the number of rows of a
// step, now the clock.
func New(cfg Config, model *deepseek.Model, source Source, rows int, now func() time.Time) (*Trainer, error) {
	if err := cfg.Check(rows); err != nil {
		return nil, err
	}
	recompute, err := deepseek.ParseRecompute(cfg.Recompute)
	if err != nil {
		return nil, err
	}
	t := &Trainer{cfg: cfg, model: model, source: source, recompute: recompute, now: now}
	for _, p := range model.Params() {
		if p.Grad == nil {
			continue
		}
		t.grads = append(t.grads, p.Grad)
		if t.trains(p) {
			t.trained = append(t.trained, optimParam(p))
		}
	}
	t.optimizer, err = optim.New(cfg.Optimizer, t.trained)
	return t, err
}

// trains reports whether the stage's policy updates p.
func (t *Trainer) trains(p *deepseek.Param) bool {
	return !p.Frozen && (p.Role != arch.Gate || t.cfg.Router.Train)
}

func optimParam(p *deepseek.Param) *optim.Param {
	o := optimShape(&p.Tensor)
	o.Data, o.Grad = p.Data, p.Grad
	return o
}

// optimShape says how a tensor is optimised. A vector is one row to an optimizer.
func optimShape(t *arch.Tensor) *optim.Param {
	return &optim.Param{
		Name: t.Name, Rows: t.Rows(), Cols: t.Cols(),
		Matrix: t.Optim == arch.Matrix, Blocks: t.Blocks, Decay: t.Optim != arch.Vector,
	}
}

// Step takes the next step. On an error the parameters, the optimizer and the
// step counter are as before it.
func (t *Trainer) Step(ctx context.Context) (Result, error) {
	start := t.now()
	rows, err := t.source.Rows(t.step)
	if err == nil {
		err = checkRoutes(rows)
	}
	if err != nil {
		return Result{}, fmt.Errorf("train: data of step %d: %w", t.step, err)
	}
	r := Result{Step: t.step, Counts: Count(rows), LR: t.cfg.LR.At(t.step, t.cfg.Steps)}
	if r.Counts.Supervised == 0 {
		return r, fmt.Errorf("train: step %d has no supervised token in %d rows: its loss would be 0/0", t.step, len(rows))
	}
	r.Time.Data = t.now().Sub(start)
	tr := t.newTracer()
	tr.settings(t.options(r.Counts), r.LR)
	tr.state(trace.State, t)
	if err := t.accumulate(ctx, rows, &r, tr); err != nil {
		tr.end(err)
		if !IsNonFinite(err) {
			return r, err
		}
		return t.settle(r, rows, start, err)
	}
	mark := t.now()
	tr.sums(t, &r)
	r.GradNorm = optim.GradNorm(t.trained)
	if r.GradNorm-r.GradNorm != 0 { // NaN or infinite
		tr.end(t.guilty())
		return t.settle(r, rows, start, t.guilty())
	}
	scale := optim.ClipScale(r.GradNorm, t.cfg.Optimizer.Clip)
	tr.norm(r.GradNorm, scale)
	t.optimizer.Step(r.LR, scale)
	if !routed(rows) {
		t.balance(r.Load)
	}
	tr.state(trace.Update, t)
	r.Time.Optimizer = t.now().Sub(mark)
	t.step++
	r.FLOPs = t.flops(rows)
	t.finish(&r, rows, start)
	return r, nil
}

// finish takes the digests of a step that counts, and its time.
func (t *Trainer) finish(r *Result, rows []Row, start time.Time) {
	if t.digests != nil {
		mark := t.now()
		r.Digests = t.digests.step(r.Step, rows, t.optimizer.Steps())
		r.Time.Digest = t.now().Sub(mark)
	}
	w := &r.Time
	w.Total = t.now().Sub(start)
	w.Reduce = w.Total - w.Data - w.Model - w.Optimizer - w.Digest
}

// accumulate runs all rows forward and backward, slot by slot.
func (t *Trainer) accumulate(ctx context.Context, rows []Row, r *Result, tr *tracer) error {
	zero(t.grads)
	tree := slotTree{grads: t.grads}
	var sum deepseek.Losses
	terms := make([]float64, len(t.terms))
	if t.objective != nil {
		if err := t.objective.Begin(t.step, rows); err != nil {
			return fmt.Errorf("train: step %d: objective: %w", t.step, err)
		}
		if err := t.forward(ctx, r, tr); err != nil {
			return err
		}
	}
	if t.teaching != nil {
		if err := t.teaching.Begin(t.step, rows); err != nil {
			return fmt.Errorf("train: step %d: teachers: %w", t.step, err)
		}
	}
	for slot := range t.cfg.Slots {
		lo, hi := slotRange(len(rows), t.cfg.Slots, slot)
		for ; lo < hi; lo += t.cfg.MicroRows {
			if err := ctx.Err(); err != nil {
				return err
			}
			mark, micro, o := t.now(), rows[lo:min(hi, lo+t.cfg.MicroRows)], t.options(r.Counts)
			o.Watch = tr.rows(micro, lo)
			l, err := t.pass(micro, lo, o, terms)
			if err != nil {
				return fmt.Errorf("train: step %d, rows %d to %d: %w", t.step, lo, lo+len(micro)-1, err)
			}
			tr.rowsDone(micro)
			sum.Add(l)
			r.Time.Model += t.now().Sub(mark)
		}
		tree.finish(t.cfg.Slots)
	}
	c := r.Counts
	r.LM, r.Terms = sum.LM/float64(c.Supervised), t.termsOf(terms)
	t.divergences(r, &sum)
	if c.MTP > 0 {
		r.MTP = sum.MTP / float64(c.MTP)
	}
	r.Balance = sum.Balance / float64(c.Segments)
	r.Indexer = sum.Indexer / float64(c.Tokens)
	r.Load = sum.Counts
	for _, counts := range r.Load {
		r.MaxViolation = max(r.MaxViolation, MaxViolation(counts))
	}
	return nil
}

// options scales each part of the objective to its mean over the whole step.
func (t *Trainer) options(c Counts) deepseek.StepOptions {
	o := t.cfg.options(c)
	o.Recompute = t.recompute
	t.taught(&o, c)
	return o
}

func (c *Config) options(n Counts) deepseek.StepOptions {
	o := deepseek.StepOptions{
		LMScale:      float32(1 / float64(n.Supervised)),
		BalanceScale: float32(c.Loss.Balance / float64(n.Segments)),
		IndexerScale: float32(c.Loss.Indexer / float64(n.Tokens)),
	}
	if n.MTP > 0 {
		o.MTPScale = float32(c.Loss.MTP / float64(n.MTP))
	}
	return o
}

// microBatch lays rows end to end.
func microBatch(rows []Row) *deepseek.Batch {
	if len(rows) == 1 {
		r := rows[0]
		return &deepseek.Batch{Tokens: r.Tokens, Labels: r.Labels, MTPLabels: r.MTPLabels, Segments: r.Segments, Routes: r.Routes}
	}
	b := &deepseek.Batch{}
	routed := routed(rows)
	for _, r := range rows {
		at := len(b.Tokens)
		b.Tokens = append(b.Tokens, r.Tokens...)
		b.Labels = append(b.Labels, r.Labels...)
		b.MTPLabels = append(b.MTPLabels, r.MTPLabels...)
		for _, s := range r.Segments {
			b.Segments = append(b.Segments, deepseek.Segment{Start: at + s.Start, End: at + s.End})
		}
		switch {
		case r.Routes != nil:
			b.Routes = append(b.Routes, r.Routes...)
		case routed:
			b.Routes = append(b.Routes, make([]*deepseek.Routes, len(r.Segments))...)
		}
	}
	return b
}

// FLOPs counts the model's operations of a step, forward and backward: keys that
// are really attended, and the output head at supervised positions, the only ones
// it runs at. Recomputation and the optimizer are not in it.
func FLOPs(c Config, model *arch.Config, rows []Row) float64 {
	return model.FLOPs(WorkOf(c, model, rows)).Total()
}

// WorkOf describes a step's rows to the ledger of operations.
func WorkOf(c Config, model *arch.Config, rows []Row) arch.Work {
	o := c.options(Count(rows))
	var w arch.Work
	routed := routed(rows)
	for i := range rows {
		one := microBatch(rows[i:i+1]).Work(o, model.NumMTP)
		w.MTP, w.IndexerLoss = one.MTP, one.IndexerLoss
		w.Lengths = append(w.Lengths, one.Lengths...)
		if routed {
			w.Given = append(w.Given, one.Given...)
			w.Given = append(w.Given, make([]int, len(one.Lengths)-len(one.Given))...)
		}
		if w.Supervised == nil {
			w.Supervised = make([]int64, len(one.Supervised))
		}
		for depth, n := range one.Supervised {
			w.Supervised[depth] += n
		}
	}
	return w
}

// Done reports whether the stage's steps are all taken.
func (t *Trainer) Done() bool { return t.step >= t.cfg.Steps }

// Steps returns how many steps have been taken, and how many of them skipped.
func (t *Trainer) Steps() (taken, skipped int64) { return t.step, t.skipped }

// Reserve makes room for micro-batches whose rows have up to sequence tokens.
func (t *Trainer) Reserve(sequence int) error {
	o := t.options(Counts{Supervised: 1, MTP: 1, Segments: 1, Tokens: 1})
	if t.teaching != nil {
		o.Distill = t.teaching.Shape()
	}
	return t.model.Reserve(t.cfg.MicroRows*sequence, o)
}

// Optimizer returns the optimizer, whose state belongs to a checkpoint.
func (t *Trainer) Optimizer() *optim.Optimizer { return t.optimizer }

// Resume sets the counters of a trainer whose parameters and optimizer slots
// have been restored.
func (t *Trainer) Resume(step, skipped, updates int64) error {
	if step < 0 || step > t.cfg.Steps || skipped < 0 || skipped > step || updates != step-skipped {
		return fmt.Errorf("train: counters of a checkpoint contradict each other: step %d of %d, %d skipped, %d updates", step, t.cfg.Steps, skipped, updates)
	}
	t.step, t.skipped = step, skipped
	return t.optimizer.SetSteps(updates)
}
