package validation

import (
	"math"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/validation/fit"
)

// Validation is a fitted set with what cross-validation says about it.
type Validation struct {
	Set      *Set
	Fit      *fit.Result
	Before   []float64        // residuals under the priors alone
	Outcomes []Outcome        // one for each case, in order
	Widths   costmodel.Widths // of a prediction of something new
}

// Validate fits the constants to all cases, then leaves each system out in
// turn. The interval of a row that was left out is made from the errors of the
// other systems only, so that its coverage is a test and no tautology.
func (s *Set) Validate() (*Validation, error) {
	p := s.Problem()
	v := &Validation{Set: s, Before: make([]float64, len(s.Cases))}
	if err := s.residuals(p.Priors(), s.rows(), v.Before); err != nil {
		return nil, err
	}
	var err error
	if v.Fit, err = fit.Minimise(p, nil); err != nil {
		return nil, err
	}
	folds, err := fit.LeaveOut(p, v.Fit, s.system)
	if err != nil {
		return nil, err
	}
	v.conclude(folds)
	return v, nil
}

// conclude turns folds into outcomes.
func (v *Validation) conclude(folds []fit.Fold) {
	s := v.Set
	seen := make([]sighting, len(s.Cases))
	for _, f := range folds {
		for k, i := range f.Rows {
			seen[i] = sighting{f.Residuals[k], s.system[i], s.prepared[i].MoE(), v.unseen(i)}
		}
	}
	v.Widths = newWidths(v.others(seen, -1))
	v.Outcomes = make([]Outcome, len(s.Cases))
	for _, f := range folds {
		w := newWidths(v.others(seen, f.Group))
		for k, i := range f.Rows {
			v.Outcomes[i] = v.outcome(i, f.Residuals[k], seen[i], w)
		}
	}
}

// others are the sightings that count, without those of one system.
func (v *Validation) others(seen []sighting, system int) []sighting {
	var out []sighting
	for i, x := range seen {
		if x.system != system && !v.Set.Cases[i].Held {
			out = append(out, x)
		}
	}
	return out
}

// knownRows is how many steps make a device known: fewer cannot tell its own
// deviation from an odd row.
const knownRows = 10

// unseen reports whether the other systems have too few rows of case i's machine.
func (v *Validation) unseen(i int) bool {
	n := 0
	for j, c := range v.Set.Cases {
		if v.Set.system[j] != v.Set.system[i] && !c.Held && c.Device == v.Set.Cases[i].Device {
			n++
		}
	}
	return n < knownRows
}

// known reports whether the fit has enough rows of a machine.
func (v *Validation) known(device string) bool {
	n := 0
	for _, c := range v.Set.Cases {
		if !c.Held && c.Device == device {
			n++
		}
	}
	return n >= knownRows
}

// outcome describes case i.
func (v *Validation) outcome(i int, out float64, x sighting, w costmodel.Widths) Outcome {
	c, q := &v.Set.Cases[i], v.Set.prepared[i]
	o := Outcome{Case: c, MoE: q.MoE(), Residual: v.Fit.Residuals[i], Out: out, Unseen: x.unseen}
	o.Seconds = c.Seconds * math.Exp(o.Residual)
	o.Low, o.High = v.Widths.Interval(o.Seconds, costmodel.Novelty{MoE: o.MoE, Device: !v.known(c.Device)})
	o.OutLow, o.OutHigh = w.Interval(c.Seconds*math.Exp(out), costmodel.Novelty{MoE: o.MoE, Device: x.unseen})
	if c.Memory > 0 {
		o.Memory = q.Memory(c.MemoryKind)
	}
	return o
}

// Predict predicts every case with the constants as they are, without a fit.
func (s *Set) Predict() (*Validation, error) {
	return s.fixed(func(p *fit.Problem) (*fit.Result, error) {
		r := &fit.Result{Theta: p.Priors(), Residuals: make([]float64, len(s.Cases))}
		return r, s.residuals(r.Theta, s.rows(), r.Residuals)
	})
}

// Fitted fits the constants to all cases, without leaving any out: enough to
// look at residuals, with the widths of nothing known.
func (s *Set) Fitted() (*Validation, error) {
	return s.fixed(func(p *fit.Problem) (*fit.Result, error) { return fit.Minimise(p, nil) })
}

// fixed describes the set under one result, nothing left out.
func (s *Set) fixed(solve func(*fit.Problem) (*fit.Result, error)) (*Validation, error) {
	r, err := solve(s.Problem())
	if err != nil {
		return nil, err
	}
	v := &Validation{Set: s, Fit: r, Before: r.Residuals, Widths: newWidths(nil)}
	for i := range s.Cases {
		v.Outcomes = append(v.Outcomes, v.outcome(i, r.Residuals[i], sighting{}, v.Widths))
	}
	return v, nil
}

// rows are the indexes of all cases.
func (s *Set) rows() []int {
	all := make([]int, len(s.Cases))
	for i := range all {
		all[i] = i
	}
	return all
}
