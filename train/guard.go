package train

import (
	"errors"
	"fmt"
	"time"

	"github.com/temper-ml/temper/model/deepseek"
)

// maxSkips is how many steps of a stage may be skipped before it stops anyway:
// a model that is not finite any more would otherwise skip to the end.
const maxSkips = 8

// settle ends a step whose numbers were not finite: it stops the stage or skips
// the step, as the configuration says. Nothing has been updated.
func (t *Trainer) settle(r Result, rows []Row, start time.Time, cause error) (Result, error) {
	if t.cfg.NonFinite == "stop" {
		return r, fmt.Errorf("%w: nothing was updated; lower the learning rate, inspect those rows, or set non_finite: skip", cause)
	}
	if t.skipped >= maxSkips {
		return r, fmt.Errorf("%w: %d steps were skipped before, more would hide a broken model", cause, t.skipped)
	}
	t.skipped++
	t.step++
	r.Skipped, r.Why = true, cause.Error()
	t.finish(&r, rows, start)
	return r, nil
}

// guilty names the first tensor whose gradient is not finite.
func (t *Trainer) guilty() error {
	err := t.model.CheckGradients()
	if err == nil { // each value is finite, their squares overflow
		err = fmt.Errorf("gradient norm overflows: %w", deepseek.ErrNonFinite)
	}
	return fmt.Errorf("train: step %d: %w", t.step, err)
}

// IsNonFinite reports whether err is the guard's.
func IsNonFinite(err error) bool { return errors.Is(err, deepseek.ErrNonFinite) }
