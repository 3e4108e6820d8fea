package validation

import (
	"math"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/validation/fit"
)

// gaussian is the factor of a normal distribution; leastFactor keeps a few
// lucky rows from closing the interval.
const (
	gaussian    = 1.6449
	leastFactor = 1
)

// scheduleWidth is assumed for orders of passes that no row has: nothing that
// was left out can tell it.
const scheduleWidth = 0.04

// Coverage is the share of unseen rows that an interval is made to hold.
const Coverage = 0.9

// sighting is the error of one row while its system was left out of the fit.
type sighting struct {
	residual float64
	system   int
	moe      bool
	unseen   bool // no other system has the device
}

// newWidths estimates the widths from rows that were predicted without their
// systems. Systems count alike, except where the factor is chosen, which has to
// hold for rows.
func newWidths(all []sighting) costmodel.Widths {
	known := spreadOf(all, func(s sighting) bool { return !s.moe && !s.unseen })
	w := costmodel.Widths{Row: spreadOf(all, func(sighting) bool { return true }).Row, System: known.Group, Schedule: scheduleWidth, Factor: gaussian}
	extra := func(total float64) float64 {
		return math.Sqrt(math.Max(0, float64(total*total)-float64(w.System*w.System)))
	}
	w.Device = extra(spreadOf(all, func(s sighting) bool { return !s.moe && s.unseen }).Group)
	w.MoE = extra(spreadOf(all, func(s sighting) bool { return s.moe && !s.unseen }).Group)
	if w.Sigma(costmodel.Novelty{}) == 0 {
		w.Row = Noise
	}
	w.Factor = factor(w, all)
	return w
}

// factor is how many of its own standard deviations the row at the wanted
// share of coverage is away. It is the larger of two counts, rows alike and
// systems alike: neither many rows of one good system nor one bad row of a
// small one decides alone.
func factor(w costmodel.Widths, all []sighting) float64 {
	count := map[int]float64{}
	for _, s := range all {
		count[s.system]++
	}
	var away, rows, systems []float64
	for _, s := range all {
		away = append(away, math.Abs(s.residual)/w.Sigma(costmodel.Novelty{MoE: s.moe, Device: s.unseen}))
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
