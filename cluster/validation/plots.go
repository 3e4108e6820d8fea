package validation

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/temper-ml/temper/cluster/validation/fit"
	"github.com/temper-ml/temper/internal/figure"
)

// percent prints a share as a person reads it.
func percent(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }

// signed prints a relative error.
func signed(x float64) string { return fmt.Sprintf("%+.1f %%", 100*x) }

// bands are the errors that the eye should be able to judge.
var bands = []figure.Band{{Name: "± 25 %", Share: 0.25, Fill: "#f5f7fa"}, {Name: "± 10 %", Share: 0.1, Fill: "#e6ebf1"}}

// Figures draws the report's plots, by file name.
func (v *Validation) Figures() map[string][]byte {
	return map[string][]byte{
		"validation-steps.svg":   v.stepsFigure().SVG(),
		"validation-systems.svg": v.systemsFigure().SVG(),
		"validation-errors.svg":  v.errorsFigure().SVG(),
		"validation-devices.svg": v.devicesFigure().SVG(),
		"validation-memory.svg":  v.memoryFigure().SVG(),
	}
}

// bySystem makes a series of each system's outcomes, the largest system first.
func (v *Validation) bySystem(remark func([]*Outcome) string, point func(*Outcome) (figure.Point, bool)) []figure.Series {
	var series []figure.Series
	for _, group := range v.systems() {
		s := figure.Series{Name: group[0].Case.System}
		var kept []*Outcome
		for _, o := range group {
			if p, ok := point(o); ok {
				s.Points = append(s.Points, p)
				kept = append(kept, o)
			}
		}
		if len(kept) > 0 {
			s.Remark = remark(kept)
			series = append(series, s)
		}
	}
	return series
}

// systems are the outcomes by system, the largest first.
func (v *Validation) systems() [][]*Outcome {
	groups := make([][]*Outcome, len(v.Set.systems))
	for i := range v.Outcomes {
		k := v.Set.system[i]
		groups[k] = append(groups[k], &v.Outcomes[i])
	}
	slices.SortStableFunc(groups, func(a, b []*Outcome) int { return cmp.Compare(len(b), len(a)) })
	return groups
}

// counted is the number of systems with rows that count.
func (v *Validation) counted() int {
	n := 0
	for _, g := range v.systems() {
		if !g[0].Case.Held {
			n++
		}
	}
	return n
}

// stepRemark is what a legend says of a system.
func stepRemark(group []*Outcome) string {
	if group[0].Case.Held {
		return fmt.Sprintf("%s, not fitted, %s off", rows(len(group)), percent(errorsOf(group, (*Outcome).Error).Mean))
	}
	return fmt.Sprintf("%s, %s off", rows(len(group)), percent(errorsOf(group, (*Outcome).Error).Mean))
}

// rows counts in words.
func rows(n int) string {
	if n == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", n)
}

// errorsOf summarises one error of some outcomes.
func errorsOf(group []*Outcome, f func(*Outcome) float64) Errors {
	var xs []float64
	for _, o := range group {
		xs = append(xs, f(o))
	}
	return NewErrors(xs)
}

func (v *Validation) stepsFigure() *figure.Scatter {
	all := v.judged()
	e := errorsOf(all, (*Outcome).Error)
	return &figure.Scatter{
		Title: "Training steps, predicted against measured",
		Subtitle: fmt.Sprintf("%d published steps on %d systems; mean absolute error %s; bars are 90 %% intervals for a machine like these",
			len(all), v.counted(), percent(e.Mean)),
		X: figure.Axis{Label: "measured, seconds per step", Log: true}, Y: figure.Axis{Label: "predicted, seconds per step", Log: true},
		Ratio: figure.Axis{Label: "predicted / measured", Log: true, Lo: 0.55, Hi: 1.8, Ticks: []float64{0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 1.75}},
		Bands: bands,
		Series: v.bySystem(stepRemark, func(o *Outcome) (figure.Point, bool) {
			return figure.Point{X: o.Case.Seconds, Y: o.Seconds, Low: o.Low, High: o.High}, true
		}),
	}
}

func (v *Validation) systemsFigure() *figure.Dots {
	d := &figure.Dots{
		Title:    "What a prediction is worth on a machine that was never seen",
		Subtitle: "mean absolute error of each system's steps: constants from the priors alone, with the system left out of the fit, and with all rows",
		X:        figure.Axis{Label: "mean absolute error of the step time", Format: func(x float64) string { return fmt.Sprintf("%.0f %%", 100*x) }},
		Measures: []figure.Entry{{Name: "all rows in the fit"}, {Name: "system left out"}, {Name: "priors alone"}},
		Goal:     goalDense, GoalName: "goal, dense 7 %",
	}
	for _, group := range v.systems() {
		var before []float64
		for i := range v.Outcomes {
			if v.Outcomes[i].Case.System == group[0].Case.System {
				before = append(before, math.Expm1(v.Before[i]))
			}
		}
		d.Lines = append(d.Lines, figure.Line{
			Name: group[0].Case.System, Remark: rows(len(group)),
			Values: []float64{errorsOf(group, (*Outcome).Error).Mean, errorsOf(group, (*Outcome).OutError).Mean, NewErrors(before).Mean},
		})
	}
	return d
}

func (v *Validation) errorsFigure() *figure.Bars {
	all := v.judged()
	series := func(name string, f func(*Outcome) float64) figure.Series {
		s := figure.Series{Name: name, Remark: "mean absolute error " + percent(errorsOf(all, f).Mean)}
		for _, o := range all {
			s.Points = append(s.Points, figure.Point{Y: f(o)})
		}
		return s
	}
	return &figure.Bars{
		Title:    "Errors of all steps",
		Subtitle: "above zero, the prediction is slower than the measurement; the last bins hold everything beyond",
		XLabel:   "predicted over measured, less one", Width: 0.02, Limit: 0.4,
		Filled: series("all rows in the fit", (*Outcome).Error), Lined: series("system left out", (*Outcome).OutError),
		Bands:  []figure.Band{{Name: "± 10 %", Share: 0.1}},
		Format: func(x float64) string { return fmt.Sprintf("%+.0f %%", 100*x) },
	}
}

func (v *Validation) devicesFigure() *figure.Spots {
	s := &figure.Spots{
		Title:    "Errors by size of the machine",
		Subtitle: "one mark per step, spread sideways; bars are medians: a trend would mean that something grows with scale and is not modelled",
		X:        figure.Axis{Label: "devices", Log: true, Ticks: []float64{8, 16, 32, 64, 128, 256, 512, 1024, 2048}},
		Y:        figure.Axis{Label: "predicted / measured", Log: true, Lo: 0.55, Hi: 1.8, Ticks: []float64{0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 1.75}},

		Reference: 1, Bands: bands,
		Series: v.bySystem(stepRemark, func(o *Outcome) (figure.Point, bool) {
			return figure.Point{X: float64(o.Case.Devices), Y: math.Exp(o.Residual)}, true
		}),
	}
	at := map[int][]float64{}
	var sizes []int
	for _, o := range v.all() {
		if at[o.Case.Devices] == nil {
			sizes = append(sizes, o.Case.Devices)
		}
		at[o.Case.Devices] = append(at[o.Case.Devices], math.Exp(o.Residual))
	}
	slices.Sort(sizes)
	for _, n := range sizes {
		s.Medians = append(s.Medians, figure.Point{X: float64(n), Y: fit.Median(at[n])})
	}
	return s
}

func (v *Validation) memoryFigure() *figure.Scatter {
	e := errorsOf(v.judged(), (*Outcome).MemoryError)
	return &figure.Scatter{
		Title:    "Peak memory of the busiest device, predicted against measured",
		Subtitle: fmt.Sprintf("%d steps whose memory was published; mean absolute error %s, 95th percentile %s; nothing is fitted", e.N, percent(e.Mean), percent(e.P95)),
		X:        figure.Axis{Label: "measured, GiB"}, Y: figure.Axis{Label: "predicted, GiB"},
		Ratio: figure.Axis{Label: "predicted / measured", Log: true, Lo: 0.8, Hi: 1.25, Ticks: []float64{0.8, 0.85, 0.9, 0.95, 1, 1.05, 1.1, 1.15, 1.25}},
		Bands: []figure.Band{{Name: "± 6 %", Share: 0.06, Fill: "#f0f3f7"}, {Name: "± 3 %", Share: 0.03, Fill: "#e1e7ee"}},
		Series: v.bySystem(func(g []*Outcome) string {
			return fmt.Sprintf("%s, %s off, %s", rows(len(g)), percent(errorsOf(g, (*Outcome).MemoryError).Mean), g[0].Case.MemoryKind)
		}, func(o *Outcome) (figure.Point, bool) {
			const gib = 1 << 30
			return figure.Point{X: o.Case.Memory / gib, Y: o.Memory / gib}, o.Case.Memory > 0 && o.Memory > 0
		}),
	}
}

// judged are the outcomes that count, in order.
func (v *Validation) judged() []*Outcome {
	var out []*Outcome
	for _, o := range v.all() {
		if !o.Case.Held {
			out = append(out, o)
		}
	}
	return out
}

// all are the outcomes in order.
func (v *Validation) all() []*Outcome {
	out := make([]*Outcome, len(v.Outcomes))
	for i := range v.Outcomes {
		out[i] = &v.Outcomes[i]
	}
	return out
}
