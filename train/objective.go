package train

import (
	"context"
	"fmt"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/nn"
)

// Objective is what a stage minimises in place of the mean cross-entropy of its
// labels: any function of the labels' log-probabilities that is a sum over rows.
// What one term couples, a pair of answers or all tokens of an answer, must lie
// in one row, and what the whole step shares, counts and advantages, must be
// known at Begin. The step's result is then the same however its rows are split
// into micro-batches or over ranks.
type Objective interface {
	// Terms names what Loss reports beside its gradient; the first is the loss.
	Terms() []string
	// Begin is told the rows of a step before its first gradient, and refuses
	// those that it cannot score.
	Begin(step int64, rows []Row) error
	// Loss is given the log-probabilities of the labels of a row, one for each
	// position, 0 where there is no label. It adds to dlogp, which is zero, the
	// gradient of the whole step's loss by each, and to terms, which are zero,
	// the row's part of each of the step's terms.
	Loss(row int, logp, dlogp []float32, terms []float64) error
}

// Extremes is an objective some of whose terms are the largest of its rows' values,
// not their sum. Such values are not negative.
type Extremes interface {
	Objective
	// Largest is how many of Terms, from the end, are.
	Largest() int
}

// Forward is an Objective that lets the model look at more than the step's rows
// before the first gradient, to know something that the whole step shares.
type Forward interface {
	Objective
	// Forward is called after Begin; the model has the step's weights. The numbers
	// it returns are part of the step's trace. An error that is
	// [deepseek.ErrNonFinite] counts as the step's.
	Forward(ctx context.Context) ([]float64, error)
	// Work is what Forward ran the model on in this step, forward only.
	Work() arch.Work
}

// forward runs what the objective has to know before a step's first gradient.
func (t *Trainer) forward(ctx context.Context, r *Result, tr *tracer) error {
	f, ok := t.objective.(Forward)
	if !ok {
		return nil
	}
	mark := t.now()
	known, err := f.Forward(ctx)
	r.Time.Model += t.now().Sub(mark)
	if err != nil {
		return fmt.Errorf("train: step %d: objective: %w", t.step, err)
	}
	tr.known(known)
	return nil
}

// flops counts a step's operations.
func (t *Trainer) flops(rows []Row) float64 {
	n := FLOPs(t.cfg, t.model.Config(), rows)
	if f, ok := t.objective.(Forward); ok {
		n += t.model.Config().FLOPs(f.Work()).Forward()
	}
	return n
}

// Objective replaces what is minimised, from the next step on. The other parts
// of the loss keep their weights.
func (t *Trainer) Objective(o Objective) {
	t.objective, t.terms, t.summed = o, nil, 0
	if o != nil {
		t.terms = make([]float64, len(o.Terms()))
		t.summed = len(t.terms)
	}
	if e, ok := o.(Extremes); ok {
		t.summed -= e.Largest()
	}
}

// pass runs one micro-batch forward and backward, rows from index lo of the step.
// It adds the objective's terms to sums, rounded so that their order does not
// matter.
func (t *Trainer) pass(micro []Row, lo int, o deepseek.StepOptions, sums []float64) (deepseek.Losses, error) {
	if err := t.lessons(&o, lo, lo+len(micro)); err != nil {
		return deepseek.Losses{}, err
	}
	if t.objective == nil {
		return t.model.TrainStep(microBatch(micro), o)
	}
	var refused error
	l, err := t.model.ForwardBackward(microBatch(micro), func(logp []float32) []float32 {
		t.dlogp = append(t.dlogp[:0], make([]float32, len(logp))...)
		for at, i := 0, 0; i < len(micro) && refused == nil; i++ {
			n := len(micro[i].Tokens)
			clear(t.terms)
			refused = t.objective.Loss(lo+i, logp[at:at+n], t.dlogp[at:at+n], t.terms)
			for k, v := range t.terms {
				if k < t.summed {
					sums[k] += nn.Term(v)
				} else {
					sums[k] = max(sums[k], v)
				}
			}
			at += n
		}
		return t.dlogp
	}, o)
	if refused != nil {
		return l, fmt.Errorf("objective: %w", refused)
	}
	return l, err
}

// termsOf returns the objective's terms by name, nil without an objective.
func (t *Trainer) termsOf(sums []float64) map[string]float64 {
	if t.objective == nil {
		return nil
	}
	m := make(map[string]float64, len(sums))
	for i, name := range t.objective.Terms() {
		m[name] = sums[i]
	}
	return m
}
