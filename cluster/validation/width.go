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

// A width that only a few systems tell is drawn towards what was expected of it
// before any was seen, as if priorSystems had shown that.
const (
	systemPrior  = 0.05
	devicePrior  = 0.1
	moePrior     = 0.08
	priorSystems = 2
)

// shrunk is a width told by n systems, drawn towards its prior.
func shrunk(width float64, n int, prior float64) float64 {
	told, assumed := float64(n), float64(priorSystems)
	return math.Sqrt((float64(told*width*width) + float64(assumed*prior*prior)) / (told + assumed))
}

// systemsOf counts the systems of the sightings that a condition keeps.
func systemsOf(all []sighting, keep func(sighting) bool) int {
	seen := map[int]bool{}
	for _, s := range all {
		if keep(s) {
			seen[s.system] = true
		}
	}
	return len(seen)
}

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
	dense := func(s sighting) bool { return !s.moe && !s.unseen }
	w := costmodel.Widths{
		Row:      spreadOf(all, func(sighting) bool { return true }).Row,
		System:   shrunk(spreadOf(all, dense).Group, systemsOf(all, dense), systemPrior),
		Schedule: scheduleWidth, Factor: gaussian,
	}
	unseen := func(s sighting) bool { return !s.moe && s.unseen }
	w.Device = shrunk(extra(w, all, unseen), systemsOf(all, unseen), devicePrior)
	moe := func(s sighting) bool { return s.moe }
	w.MoE = shrunk(extra(w, all, moe), systemsOf(all, moe), moePrior)
	w.Factor = factor(w, all)
	return w
}

// extra is what the sightings that a condition keeps show between systems,
// beyond what the widths so far explain.
func extra(w costmodel.Widths, all []sighting, keep func(sighting) bool) float64 {
	explained := 0.0
	counted := map[int]bool{}
	for _, s := range all {
		if !keep(s) || counted[s.system] {
			continue
		}
		counted[s.system] = true
		explained += float64(w.System * w.System)
		if s.unseen {
			explained += float64(w.Device * w.Device)
		}
	}
	if len(counted) == 0 {
		return 0
	}
	between := spreadOf(all, keep).Group
	return math.Sqrt(math.Max(0, float64(between*between)-explained/float64(len(counted))))
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
