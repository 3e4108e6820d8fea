package goodput

import "math"

// Optimum is the interval between checkpoints at which a simulated run makes
// the most of its time, beside what the formulas say.
type Optimum struct {
	Interval, Goodput   float64 // simulated
	Young, Daly         float64
	GoodputDaly         float64 // simulated at Daly's interval
	NothingFails, Limit bool    // no interval matters; the shortest that can be written is best
}

// Optimum looks for the best interval by simulation: a long run under the same
// failures for every candidate (200 interruptions of the whole run and more),
// golden section over the logarithm from an eighth of Daly's interval to eight
// times it, or to the shortest that storage can keep up with.
func (r Run) Optimum() (*Optimum, error) {
	if r.Failures.MTBF == 0 {
		return &Optimum{NothingFails: true}, nil
	}
	r.Check.Interval = 0
	s, err := r.setup()
	if err != nil {
		return nil, err
	}
	mtbf := r.Failures.MTBF / float64(r.Devices)
	out := &Optimum{Young: Young(s.check.Save, mtbf), Daly: s.check.Interval}
	r.Work, r.Horizon, r.Trials = 0, min(1e10, max(200*mtbf, 20*s.check.Interval)), 20
	at := func(log float64) float64 {
		r.Check.Interval = math.Exp(log)
		one, err2 := r.Play()
		if err2 != nil {
			err = err2
			return 0
		}
		return one.Goodput
	}
	out.GoodputDaly = at(math.Log(out.Daly))
	low := math.Log(max(out.Daly/8, s.check.Write, 1))
	best, goodput := peak(at, low, math.Log(out.Daly*8))
	out.Interval, out.Goodput = math.Exp(best), goodput
	out.Limit = best-low < 0.05
	return out, err
}

// peak is the place and the value of the maximum of f between low and high, to
// two per cent of the place.
func peak(f func(float64) float64, low, high float64) (at, value float64) {
	const golden = 0.6180339887498949
	a, b := high-float64(golden*(high-low)), low+float64(golden*(high-low))
	fa, fb := f(a), f(b)
	for high-low > 0.02 {
		if fa >= fb {
			high, b, fb = b, a, fa
			a = high - float64(golden*(high-low))
			fa = f(a)
		} else {
			low, a, fa = a, b, fb
			b = low + float64(golden*(high-low))
			fb = f(b)
		}
	}
	if fa >= fb {
		return a, fa
	}
	return b, fb
}
