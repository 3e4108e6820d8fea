package validation

import (
	"fmt"
	"math"
	"slices"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/validation/fit"
	"github.com/temper-ml/temper/cluster/validation/measured"
	"github.com/temper-ml/temper/model/arch"
)

// Calibration is the cost model fitted to a user's own measurements.
type Calibration struct {
	Constants *costmodel.Constants // for costmodel.New

	Rows          []CalibratedRow
	Before, After Errors // of the step times, with the constants as they came and as fitted
	Out           Errors // with each layout left out of the fit in turn; N is 0 below three layouts
	Memory        Errors // of the peak memory, where it was measured; nothing of it is fitted
	Moved         []Moved
	Remarks       []string // what a reader should know before trusting it
}

// CalibratedRow is one measured layout beside its predictions.
type CalibratedRow struct {
	Case          *measured.Case
	Before, After float64 // predicted seconds
}

// Moved is a constant that the measurements say something about.
type Moved struct {
	Name, Unit, Meaning string
	Before, After       float64
	Error               float64 // standard error of the logarithm of After
	Learned             float64 // share of the prior's variance that the measurements removed
}

// calibrationNoise is what is expected of a measured run beside its prediction:
// a user's own steps repeat better than published ones.
const calibrationNoise = 0.03

// identifiable is the share of its variance that a constant must lose to count
// as identified by the measurements.
const identifiable = 0.1

// Calibrate fits the constants to measured steps of one cluster. Constants that
// the measurements say nothing about stay as they are: first all may move, then
// only those do that lost a tenth of their prior's variance.
func Calibrate(base *costmodel.Constants, cases []measured.Case) (*Calibration, error) {
	if len(cases) == 0 {
		return nil, fmt.Errorf("validation: nothing measured to calibrate with")
	}
	wide := newCostModel(base, sitePrior)
	s, err := NewSet(slices.Clone(cases), wide)
	if err != nil {
		return nil, err
	}
	p := s.calibrationProblem()
	first, err := fit.Minimise(p, nil)
	if err != nil {
		return nil, err
	}
	keep := identified(p, first)
	for j := range p.Parameters {
		if !keep[j] {
			p.Parameters[j].Sigma = fixedSigma
		}
	}
	r, err := fit.Minimise(p, nil)
	if err != nil {
		return nil, err
	}
	c := &Calibration{}
	if err := c.describe(s, p, r); err != nil {
		return nil, err
	}
	return c, c.conclude(s, p, r, keep, base)
}

// fixedSigma holds a parameter where it is.
const fixedSigma = 1e-9

// sitePrior is what a constant may be on a machine that was not part of the
// fit: around its value, up to twice as widely as was allowed before anything
// was measured. A site may be odd in a way that no published machine is. What is
// known to within a factor only is not made wider: it would soak up everything.
func sitePrior(c costmodel.Constant) (center, sd float64) {
	return c.Value, max(c.SD, min(2*c.SD, 0.3))
}

// calibrationProblem weighs every layout alike.
func (s *Set) calibrationProblem() *fit.Problem {
	p := s.Problem()
	p.Noise = calibrationNoise
	for i := range p.Weight {
		p.Weight[i] = 1
	}
	return p
}

// identified marks the parameters that the rows determine; at least the one
// that they say most about.
func identified(p *fit.Problem, r *fit.Result) []bool {
	keep := make([]bool, len(p.Parameters))
	best := 0
	for j := range keep {
		keep[j] = r.Learned(p, j) >= identifiable
		if r.Learned(p, j) > r.Learned(p, best) {
			best = j
		}
	}
	keep[best] = true
	return keep
}

// describe fills rows, errors and remarks.
func (c *Calibration) describe(s *Set, p *fit.Problem, r *fit.Result) error {
	before := make([]float64, len(s.Cases))
	if err := s.residuals(p.Priors(), s.rows(), before); err != nil {
		return err
	}
	var was, is, out, memory []float64
	for i := range s.Cases {
		x := &s.Cases[i]
		c.Rows = append(c.Rows, CalibratedRow{x, x.Seconds * math.Exp(before[i]), x.Seconds * math.Exp(r.Residuals[i])})
		was, is = append(was, math.Expm1(before[i])), append(is, math.Expm1(r.Residuals[i]))
		if x.Memory > 0 {
			memory = append(memory, s.prepared[i].Memory(x.MemoryKind)/x.Memory-1)
		}
		if err := c.compareLog(x); err != nil {
			return err
		}
	}
	if len(s.Cases) >= 3 {
		folds, err := fit.LeaveOut(p, r, s.rows())
		if err != nil {
			return err
		}
		for _, f := range folds {
			for _, x := range f.Residuals {
				out = append(out, math.Expm1(x))
			}
		}
	}
	c.Before, c.After, c.Out, c.Memory = NewErrors(was), NewErrors(is), NewErrors(out), NewErrors(memory)
	if len(s.Cases) == 1 {
		c.Remarks = append(c.Remarks, "one layout cannot tell its parts from each other: another layout may be off as before; measure two or three that differ in tp, pp or micro-batch")
	}
	if c.After.Max > 0.15 {
		c.Remarks = append(c.Remarks, fmt.Sprintf("a step is still %s off after the fit: either it measured something else, or the model lacks what made it slow", percent(c.After.Max)))
	}
	return nil
}

// compareLog holds the rate that a run's own log prints against the model's
// operations: if they disagree, the flags describe another model.
func (c *Calibration) compareLog(x *measured.Case) error {
	if x.Logged == 0 {
		return nil
	}
	m, err := x.Config()
	if err != nil {
		return err
	}
	per, err := m.FLOPsPerToken(arch.Megatron, x.Seq)
	if err != nil {
		return err
	}
	ours := per * float64(x.GlobalBatch) * float64(x.Seq) / (x.Seconds * float64(x.Devices)) / 1e12
	if ratio := x.Logged / ours; math.Abs(ratio-1) > 0.1 {
		c.Remarks = append(c.Remarks, fmt.Sprintf("the log counts %.4g TFLOP/s for each device, this model at that time has %.4g by Megatron's convention: is it the same model, sequence length and global batch?", x.Logged, ours))
	}
	return nil
}

// conclude makes the fitted constants.
func (c *Calibration) conclude(s *Set, p *fit.Problem, r *fit.Result, keep []bool, base *costmodel.Constants) error {
	m := s.Predictor.(*CostModel)
	var fitted []costmodel.Constant
	for j, k := range m.fitted {
		if !keep[j] {
			continue
		}
		before := k.Value
		k.Value, k.Error = math.Exp(r.Theta[j]), r.StdErr[j]
		k.Fitted = []string{s.Cases[0].System}
		fitted = append(fitted, k)
		c.Moved = append(c.Moved, Moved{k.Name, k.Unit, k.Meaning, before, k.Value, k.Error, r.Learned(p, j)})
	}
	slices.SortStableFunc(c.Moved, func(a, b Moved) int {
		switch {
		case a.Learned > b.Learned:
			return -1
		case a.Learned < b.Learned:
			return 1
		}
		return 0
	})
	measured := base.Measured()
	for i := range s.Cases {
		cl, err := s.Cases[i].Cluster()
		if err != nil {
			return err
		}
		if key := costmodel.DeviceKey(cl.Device.Name); !slices.Contains(measured, key) {
			measured = append(measured, key)
		}
	}
	slices.Sort(measured)
	var err error
	c.Constants, err = base.Fitted(fitted, measured, siteWidths(base.Widths(), s, r))
	return err
}

// siteWidths is how far a prediction for the measured machine may be off: what
// the fitted constants leave open, a system's own share as far as few layouts
// cannot tell it, and the spread of layouts.
func siteWidths(w costmodel.Widths, s *Set, r *fit.Result) costmodel.Widths {
	open, spread, moe := 0.0, 0.0, false
	for i, x := range r.Residuals {
		d := r.Deviation(i)
		open += float64(d * d)
		spread += float64(x * x)
		moe = moe || s.prepared[i].MoE()
	}
	n := float64(len(r.Residuals))
	open, spread = math.Sqrt(open/n), math.Sqrt(spread/n)
	w.System = min(w.System, math.Hypot(open, w.System/math.Sqrt(1+n)))
	w.Row = min(1, max(w.Row, spread))
	if moe {
		w.MoE /= math.Sqrt(1 + n)
	}
	return w
}
