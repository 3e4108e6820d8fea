package eval

import (
	"math"

	"github.com/temper-ml/temper/internal/portable"
)

// z is the normal distribution's 97.5 % point.
const z = 1.959963984540054

// Accuracy counts questions: Right of Total are as they should be, or as the
// suite asks for.
type Accuracy struct {
	Right int `json:"right"`
	Total int `json:"total"`
}

// Value is Right/Total, 0 of an empty suite.
func (a Accuracy) Value() float64 {
	if a.Total == 0 {
		return 0
	}
	return float64(a.Right) / float64(a.Total)
}

func (a *Accuracy) add(right bool) {
	a.Total++
	if right {
		a.Right++
	}
}

// Metric is one number of a suite.
type Metric struct {
	Value float64 `json:"value"`
	// Count is how many things the value is a mean over.
	Count int64 `json:"count"`
	// Interval holds the true value in 95 % of samples like this one; nil where
	// one sample cannot say.
	Interval *[2]float64 `json:"interval,omitempty"`
}

// share is a proportion with Wilson's interval.
func share(a Accuracy) Metric { return bounded(a.Value(), a.Total) }

// bounded is the mean of n independent values in [0, 1] with Wilson's interval
// (Wilson 1927): those p whose normal distribution of the mean has the value m
// within z deviations,
//
//	|m - p| <= z √(p(1-p)/n)
//
// For values that are 0 or 1, p(1-p) is the variance. Other values in [0, 1], as
// the estimates of pass@k are, vary less: E x² <= E x. The interval is wider than
// it must be then, and never empty, as one from the sample's variance is when all
// values are equal.
func bounded(m float64, n int) Metric {
	if n == 0 {
		return Metric{}
	}
	f := float64(n)
	zz := float64(z*z) / f
	middle := m + zz/2
	half := z * math.Sqrt(float64(m*(1-m))/f+float64(zz/(4*f)))
	low, high := (middle-half)/(1+zz), (middle+half)/(1+zz)
	if m <= 0 {
		low = 0
	}
	if m >= 1 {
		high = 1
	}
	return Metric{m, int64(n), &[2]float64{max(0, low), min(1, high)}}
}

// mean is that of values with a normal interval, m ± z s/√n, s² the sample's
// variance.
func mean(values []float64) Metric {
	ones := make([]float64, len(values))
	for i := range ones {
		ones[i] = 1
	}
	return ratio(values, ones)
}

// ratio is Σx/Σw, the mean of x by weight, over documents i that were drawn
// independently. Their number and length are random too, so the variance is that
// of a ratio (Cochran, Sampling Techniques, 1977, eq. 2.39), by linearisation:
//
//	r = Σx/Σw,   var r ≈ n/(n-1) Σ (xᵢ - r wᵢ)² / (Σw)²
//
// Tokens of one document are not independent; that they are taken together here
// makes the interval as wide as it has to be.
func ratio(x, w []float64) Metric {
	sum, weight := 0.0, 0.0
	for i := range x {
		sum += x[i]
		weight += w[i]
	}
	if weight == 0 {
		return Metric{}
	}
	r := sum / weight
	m := Metric{Value: r, Count: int64(weight)}
	n := len(x)
	if n < 2 {
		return m
	}
	squares := 0.0
	for i := range x {
		d := x[i] - float64(r*w[i])
		squares += float64(d * d)
	}
	half := float64(z*math.Sqrt(squares*float64(n)/float64(n-1))) / weight
	m.Interval = &[2]float64{r - half, r + half}
	return m
}

// scaled is a metric times a positive constant.
func (m Metric) scaled(by float64) Metric {
	return m.mapped(func(x float64) float64 { return x * by })
}

// exp is the metric's exponential. Intervals follow increasing functions.
func (m Metric) exp() Metric { return m.mapped(exp) }

// exp stops at the largest number: words can be as long as texts in scripts that
// do not separate them.
func exp(x float64) float64 { return min(portable.Exp(x), math.MaxFloat64) }

func (m Metric) mapped(f func(float64) float64) Metric {
	m.Value = f(m.Value)
	if i := m.Interval; i != nil {
		m.Interval = &[2]float64{f(i[0]), f(i[1])}
	}
	return m
}

// passAtK estimates, from n samples of which c are right, how likely one of k
// samples at least is right:
//
//	1 - C(n-c, k) / C(n, k) = 1 - Π_{i=n-c+1}^{n} (1 - k/i)
//
// It is unbiased (Chen et al. 2021, eq. 1, and its numerically stable form).
func passAtK(n, c, k int) float64 {
	if n-c < k {
		return 1
	}
	none := 1.0
	for i := n - c + 1; i <= n; i++ {
		none *= 1 - float64(k)/float64(i)
	}
	return 1 - none
}
