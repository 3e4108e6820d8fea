package figure

import (
	"math"
	"strconv"
)

// Axis describes one direction of a plot.
type Axis struct {
	Label  string
	Log    bool
	Lo, Hi float64 // both 0: from the data
	// Format prints a tick; nil: the shortest number.
	Format func(float64) string
	// Ticks are the marked values; nil: chosen.
	Ticks []float64
}

// scale maps numbers to pixels.
type scale struct {
	Axis
	from, to float64 // pixels of Lo and Hi
}

// at is the pixel of x. Values outside are brought to the edge.
func (s *scale) at(x float64) float64 {
	x = math.Min(math.Max(x, s.Lo), s.Hi)
	part := (x - s.Lo) / (s.Hi - s.Lo)
	if s.Log {
		part = math.Log(x/s.Lo) / math.Log(s.Hi/s.Lo)
	}
	return s.from + float64(part*(s.to-s.from))
}

// fit widens the axis to hold all xs, with a margin.
func (a Axis) fit(xs []float64) Axis {
	if a.Lo != 0 || a.Hi != 0 {
		return a
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, x := range xs {
		if math.IsNaN(x) || math.IsInf(x, 0) || a.Log && x <= 0 {
			continue
		}
		lo, hi = math.Min(lo, x), math.Max(hi, x)
	}
	switch {
	case lo > hi && a.Log:
		lo, hi = 1, 10
	case lo > hi:
		lo, hi = 0, 1
	}
	if a.Log {
		margin := math.Max(math.Pow(hi/lo, 0.04), 1.1)
		a.Lo, a.Hi = lo/margin, hi*margin
		return a
	}
	margin := math.Max(0.04*(hi-lo), 1e-9)
	a.Lo, a.Hi = lo-margin, hi+margin
	return a
}

// ticks are the marked values inside the axis.
func (a Axis) ticks() []float64 {
	if a.Ticks != nil {
		var in []float64
		for _, t := range a.Ticks {
			if t >= a.Lo && t <= a.Hi {
				in = append(in, t)
			}
		}
		return in
	}
	if a.Log {
		return logTicks(a.Lo, a.Hi)
	}
	return linearTicks(a.Lo, a.Hi)
}

// linearTicks returns five to ten round numbers.
func linearTicks(lo, hi float64) []float64 {
	raw := (hi - lo) / 8
	step := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		if step*m >= raw {
			step *= m
			break
		}
	}
	var ticks []float64
	for i := math.Ceil(lo / step); i*step <= hi; i++ {
		ticks = append(ticks, i*step)
	}
	return ticks
}

// logTicks returns powers of ten with 2 and 5 between them, thinned to 1 and 3
// or the powers alone where the axis spans many.
func logTicks(lo, hi float64) []float64 {
	within := []float64{1, 2, 5}
	if decades := math.Log10(hi / lo); decades > 5 {
		within = []float64{1}
	}
	var ticks []float64
	for e := math.Floor(math.Log10(lo)); e <= math.Ceil(math.Log10(hi)); e++ {
		for _, m := range within {
			if t := m * math.Pow(10, e); t >= lo && t <= hi {
				ticks = append(ticks, t)
			}
		}
	}
	return ticks
}

// label prints a tick.
func (a Axis) label(x float64) string {
	if a.Format != nil {
		return a.Format(x + 0) // minus zero is zero
	}
	if math.Abs(x) < 1e-12 {
		return "0"
	}
	return strconv.FormatFloat(x, 'g', 4, 64)
}
