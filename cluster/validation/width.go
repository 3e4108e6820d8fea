package validation

import (
	"math"

	"github.com/temper-ml/temper/cluster/validation/fit"
)

// Widths says how far a step that was never measured may be from its
// prediction: standard deviations of the logarithm, added in squares, by what
// is new about it.
type Widths struct {
	Row    float64 // two rows of one system differ by this for no reason that the model knows
	System float64 // a new engine version, network or host on a known device
	Device float64 // a device without any measured row
	MoE    float64 // experts: their balance and their kernels differ more than dense ones
	Factor float64 // standard deviations on each side of a 90 % interval
}

// gaussian is the factor of a normal distribution; leastFactor keeps a few
// lucky rows from closing the interval.
const (
	gaussian    = 1.6449
	leastFactor = 1
)

// Coverage is the share of unseen rows that an interval is made to hold.
const Coverage = 0.9

// sighting is the error of one row while its system was left out of the fit.
type sighting struct {
	residual float64
	system   int
	moe      bool
	unseen   bool // no other system has the device
}

// Sigma is the standard deviation of a prediction.
func (w Widths) Sigma(moe, unseen bool) float64 {
	v := float64(w.Row*w.Row) + float64(w.System*w.System)
	if moe {
		v += float64(w.MoE * w.MoE)
	}
	if unseen {
		v += float64(w.Device * w.Device)
	}
	return math.Sqrt(v)
}

// Interval is the 90 % interval around a predicted time.
func (w Widths) Interval(seconds float64, moe, unseen bool) (low, high float64) {
	f := math.Exp(w.Factor * w.Sigma(moe, unseen))
	return seconds / f, seconds * f
}

// newWidths estimates the widths from rows that were predicted without their
// systems. Systems count alike, except where the factor is chosen, which has to
// hold for rows.
func newWidths(all []sighting) Widths {
	known := spreadOf(all, func(s sighting) bool { return !s.moe && !s.unseen })
	w := Widths{Row: spreadOf(all, func(sighting) bool { return true }).Row, System: known.Group, Factor: gaussian}
	extra := func(total float64) float64 {
		return math.Sqrt(math.Max(0, float64(total*total)-float64(w.System*w.System)))
	}
	w.Device = extra(spreadOf(all, func(s sighting) bool { return !s.moe && s.unseen }).Group)
	w.MoE = extra(spreadOf(all, func(s sighting) bool { return s.moe && !s.unseen }).Group)
	if w.Sigma(false, false) == 0 {
		w.Row = Noise
	}
	w.Factor = w.factor(all)
	return w
}

// factor is how many of its own standard deviations the row at the wanted
// share of coverage is away. It is the larger of two counts, rows alike and
// systems alike: neither many rows of one good system nor one bad row of a
// small one decides alone.
func (w Widths) factor(all []sighting) float64 {
	count := map[int]float64{}
	for _, s := range all {
		count[s.system]++
	}
	var away, rows, systems []float64
	for _, s := range all {
		away = append(away, math.Abs(s.residual)/w.Sigma(s.moe, s.unseen))
		rows = append(rows, 1)
		systems = append(systems, 1/count[s.system])
	}
	if len(away) == 0 {
		return gaussian
	}
	return max(leastFactor, fit.WeightedQuantile(away, rows, Coverage), fit.WeightedQuantile(away, systems, Coverage))
}

// spreadOf is the spread of the sightings that a condition keeps.
func spreadOf(all []sighting, keep func(sighting) bool) fit.Spread {
	var rs []float64
	var group []int
	for _, s := range all {
		if keep(s) {
			rs, group = append(rs, s.residual), append(group, s.system)
		}
	}
	return fit.NewSpread(rs, group)
}
