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
// systems. Systems count alike, except where the factor is chosen.
func newWidths(all []sighting) costmodel.Widths {
	known := spreadOf(all, func(s sighting) bool { return !s.moe && !s.unseen })
	w := costmodel.Widths{Row: spreadOf(all, func(sighting) bool { return true }).Row, System: known.Group, Schedule: scheduleWidth, Factor: gaussian}
	w.Device = extra(w, all, func(s sighting) bool { return !s.moe && s.unseen })
	w.MoE = extra(w, all, func(s sighting) bool { return s.moe })
	if w.Sigma(costmodel.Novelty{}) == 0 {
		w.Row = Noise
	}
	w.Factor = factor(w, all)
	return w
}

// extra is what the sightings that a condition keeps show between systems,
// beyond what the widths so far explain.
func extra(w costmodel.Widths, all []sighting, keep func(sighting) bool) float64 {
	explained := 0.0
	count := map[int]bool{}
	for _, s := range all {
		if keep(s) && !count[s.system] {
			count[s.system] = true
			known := w.System * w.System
			if s.unseen {
				known += float64(w.Device * w.Device)
			}
			explained += known
		}
	}
	if len(count) == 0 {
		return 0
	}
	between := spreadOf(all, keep).Group
	return math.Sqrt(math.Max(0, float64(between*between)-explained/float64(len(count))))
}

// factor is how many of its own standard deviations the row at the wanted
// share of coverage is away. Rows weigh what they do in the fit, so that neither
// the many rows of one system nor one odd row of a small one decides alone.
func factor(w costmodel.Widths, all []sighting) float64 {
	var away []float64
	var system []int
	for _, s := range all {
		away = append(away, math.Abs(s.residual)/w.Sigma(costmodel.Novelty{MoE: s.moe, Device: s.unseen}))
		system = append(system, s.system)
	}
	if len(away) == 0 {
		return gaussian
	}
	return max(leastFactor, fit.WeightedQuantile(away, weights(system), Coverage))
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
