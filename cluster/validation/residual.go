package validation

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/temper-ml/temper/cluster/validation/fit"
	"github.com/temper-ml/temper/cluster/validation/measured"
)

// Outcome is a case beside its prediction. Residuals are logarithms of
// predicted over measured: above 0, the prediction is too slow.
type Outcome struct {
	Case *measured.Case
	MoE  bool

	Seconds   float64 // predicted with all rows in the fit
	Low, High float64 // 90 % interval around it
	Residual  float64

	Out             float64 // residual with the whole system left out of the fit
	OutLow, OutHigh float64 // interval of the predicted seconds then
	Unseen          bool    // no other system of the fit has the device

	Memory float64 // predicted, of the kind that was measured; 0: nothing was measured
}

// Hit reports whether the measured step lies in the interval.
func (o *Outcome) Hit() bool { return o.Low <= o.Case.Seconds && o.Case.Seconds <= o.High }

// OutHit reports the same of the interval with the system left out.
func (o *Outcome) OutHit() bool { return o.OutLow <= o.Case.Seconds && o.Case.Seconds <= o.OutHigh }

// Error is predicted over measured, less one.
func (o *Outcome) Error() float64 { return math.Expm1(o.Residual) }

// OutError is the same with the system left out.
func (o *Outcome) OutError() float64 { return math.Expm1(o.Out) }

// MemoryError is predicted over measured memory, less one; NaN if none was measured.
func (o *Outcome) MemoryError() float64 {
	if o.Case.Memory == 0 || o.Memory == 0 {
		return math.NaN()
	}
	return o.Memory/o.Case.Memory - 1
}

// Errors summarises a set of relative errors.
type Errors struct {
	N                    int
	Bias, Mean, P95, Max float64 // signed mean, then of absolute values
}

// NewErrors summarises relative errors; NaN are left out.
func NewErrors(errs []float64) Errors {
	var e Errors
	var abs []float64
	for _, x := range errs {
		if math.IsNaN(x) {
			continue
		}
		e.N++
		e.Bias += x
		e.Mean += math.Abs(x)
		e.Max = math.Max(e.Max, math.Abs(x))
		abs = append(abs, math.Abs(x))
	}
	if e.N > 0 {
		e.Bias /= float64(e.N)
		e.Mean /= float64(e.N)
	}
	e.P95 = fit.Quantile(abs, 0.95)
	return e
}

// keys are the ways to group outcomes when looking for structure.
var keys = map[string]func(*Outcome) string{
	"system":    func(o *Outcome) string { return o.Case.System },
	"model":     func(o *Outcome) string { return o.Case.ModelName() },
	"kind":      func(o *Outcome) string { return o.Kind() },
	"engine":    func(o *Outcome) string { return o.Case.Engine },
	"device":    func(o *Outcome) string { return o.Case.Device },
	"dtype":     func(o *Outcome) string { return o.Case.Format() },
	"recompute": func(o *Outcome) string { return o.Case.Recompute },
	"schedule":  func(o *Outcome) string { return o.Case.Schedule },
	"async":     func(o *Outcome) string { return strconv.FormatBool(o.Case.AsyncTP) },
	"devices":   func(o *Outcome) string { return number(o.Case.Devices) },
	"tp":        func(o *Outcome) string { return number(o.Case.TP) },
	"pp":        func(o *Outcome) string { return number(o.Case.PP) },
	"dp":        func(o *Outcome) string { return number(o.Case.DP) },
	"cp":        func(o *Outcome) string { return number(o.Case.CP) },
	"ep":        func(o *Outcome) string { return number(o.Case.EP) },
	"mbs":       func(o *Outcome) string { return number(o.Case.MicroBatch) },
	"seq":       func(o *Outcome) string { return number(o.Case.Seq) },
	"micro": func(o *Outcome) string {
		return number(o.Case.GlobalBatch / (o.Case.DP * o.Case.MicroBatch))
	},
}

// number pads a count so that text sorts as numbers do.
func number(n int) string { return fmt.Sprintf("%7d", n) }

// Kind is dense or moe.
func (o *Outcome) Kind() string {
	if o.MoE {
		return "moe"
	}
	return "dense"
}

// GroupNames are the names that [WriteResiduals] groups by, sorted.
func GroupNames() []string {
	var names []string
	for k := range keys {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

// WriteResiduals prints for each value of the given keys ("tp", or several
// joined as "model+tp") how far the predictions are off: number of rows, signed
// mean, mean absolute error and worst, in percent, as fitted and left out.
func WriteResiduals(w io.Writer, outcomes []Outcome, by string) error {
	var fs []func(*Outcome) string
	for _, name := range strings.Split(by, "+") {
		f, ok := keys[name]
		if !ok {
			return fmt.Errorf("validation: no grouping %q, want some of %s joined by +", name, strings.Join(GroupNames(), ", "))
		}
		fs = append(fs, f)
	}
	groups := map[string][]*Outcome{}
	var order []string
	for i := range outcomes {
		var parts []string
		for _, f := range fs {
			parts = append(parts, f(&outcomes[i]))
		}
		k := strings.Join(parts, " ")
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], &outcomes[i])
	}
	slices.SortFunc(order, cmp.Compare[string])
	fmt.Fprintf(w, "%-44s %4s %7s %7s %7s   %7s %7s\n", by, "rows", "bias", "mean", "worst", "out", "worst")
	for _, k := range order {
		var in, out []float64
		for _, o := range groups[k] {
			in, out = append(in, o.Error()), append(out, o.OutError())
		}
		a, b := NewErrors(in), NewErrors(out)
		fmt.Fprintf(w, "%-44s %4d %+6.1f%% %6.1f%% %6.1f%%   %6.1f%% %6.1f%%\n", k, a.N, 100*a.Bias, 100*a.Mean, 100*a.Max, 100*b.Mean, 100*b.Max)
	}
	return nil
}
