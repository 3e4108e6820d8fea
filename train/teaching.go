package train

import (
	"fmt"

	"github.com/temper-ml/temper/model/deepseek"
)

// Teaching gives positions teachers: the step then minimises the mean, over all
// labels of the step, of their weighted divergences from them. The divergence is over the
// whole vocabulary, so it is no function of the labels' log-probabilities, which is what
// an [Objective] is.
type Teaching interface {
	// Begin is told the rows of a step before its first gradient, and refuses
	// those that have no teacher it knows.
	Begin(step int64, rows []Row) error
	// Lessons returns what rows lo to hi-1 of the step learn: entry i of a lesson is
	// about the i-th of their positions that have a label. It may depend on nothing
	// but the rows. It is used until the next call.
	Lessons(lo, hi int) (*deepseek.Distillation, error)
	// Shape is as Lessons at most is, without rows: its divergence and the number of
	// its lessons, for [Trainer.Reserve].
	Shape() *deepseek.Distillation
}

// DivergenceTerm names what teachers' students minimise.
const DivergenceTerm = "divergence"

// Teach replaces what is minimised, from the next step on, by divergences from
// teachers, plus entropy times the mean cross-entropy of the labels, usually 0. An
// [Objective] takes the cross-entropy's place. The other parts of the loss keep
// their weights. A teacher that is not finite stops the stage: no other step
// would mend it.
//
// Result.Terms then has [DivergenceTerm], the mean that is optimised, and for each
// teacher that with a dot and its name, the mean over its positions.
func (t *Trainer) Teach(by Teaching, entropy float64) error {
	if !(entropy >= 0) || entropy > 100 {
		return fmt.Errorf("train: weight of the cross-entropy beside teachers is %v, want 0 to 100", entropy)
	}
	t.teaching, t.entropy = by, entropy
	return nil
}

// taught adapts a step's options to teachers.
func (t *Trainer) taught(o *deepseek.StepOptions, c Counts) {
	if t.teaching != nil {
		o.DistillScale = o.LMScale
		o.LMScale = float32(t.entropy / float64(c.Supervised))
	}
}

// lessons brings the teachers of rows lo to hi-1.
func (t *Trainer) lessons(o *deepseek.StepOptions, lo, hi int) error {
	if t.teaching == nil {
		return nil
	}
	var err error
	if o.Distill, err = t.teaching.Lessons(lo, hi); err != nil {
		return fmt.Errorf("teachers: %w", err)
	}
	for len(t.teachers) < len(o.Distill.Teachers) {
		t.teachers = append(t.teachers, "")
	}
	for j := range o.Distill.Teachers {
		t.teachers[j] = o.Distill.Teachers[j].Name
	}
	return nil
}

// divergences adds what the teachers' losses come to over a step to its terms.
func (t *Trainer) divergences(r *Result, sum *deepseek.Losses) {
	if t.teaching == nil {
		return
	}
	if r.Terms == nil {
		r.Terms = map[string]float64{}
	}
	r.Terms[DivergenceTerm] = sum.Distill / float64(r.Counts.Supervised)
	for j, l := range sum.Teachers {
		if l.Positions > 0 {
			r.Terms[DivergenceTerm+"."+t.teachers[j]] = l.Divergence / float64(l.Positions)
		}
	}
}
