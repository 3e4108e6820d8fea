package fit

import (
	"math"
	"slices"
)

// Spread separates the residuals of predictions into what a whole group of
// rows shares and what is each row's own.
type Spread struct {
	Group float64 // standard deviation between groups
	Row   float64 // standard deviation inside a group
}

// Total is the standard deviation of a row of a group not seen before.
func (s Spread) Total() float64 { return math.Hypot(s.Group, s.Row) }

// robust is the factor from the median absolute value of a Gaussian to its
// standard deviation.
const robust = 1.4826

// NewSpread estimates the spread of residuals; group[i] is the group of row i.
// Groups count alike, however many rows each has: a hundred rows of one system
// are one observation of how systems differ. The row's share is the median
// over groups of the spread around the group's own median, which no single
// odd system or row can move.
func NewSpread(residuals []float64, group []int) Spread {
	members := map[int][]float64{}
	var order []int
	for i, r := range residuals {
		if _, ok := members[group[i]]; !ok {
			order = append(order, group[i])
		}
		members[group[i]] = append(members[group[i]], r)
	}
	var s Spread
	var inside, between []float64
	for _, g := range order {
		rs := members[g]
		center := Median(rs)
		between = append(between, float64(center*center))
		if len(rs) < 3 {
			continue
		}
		away := make([]float64, len(rs))
		for i, r := range rs {
			away[i] = math.Abs(r - center)
		}
		inside = append(inside, robust*Median(away))
	}
	if len(inside) > 0 {
		s.Row = Median(inside)
	}
	sum := 0.0
	for _, b := range between {
		sum += b
	}
	if len(between) > 0 {
		s.Group = math.Sqrt(sum / float64(len(between)))
	}
	return s
}

// Median returns the middle of xs (0 for none).
func Median(xs []float64) float64 { return Quantile(xs, 0.5) }

// Quantile returns the q-quantile of xs by linear interpolation (0 for none).
func Quantile(xs []float64, q float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	sorted := slices.Clone(xs)
	slices.Sort(sorted)
	at := q * float64(len(sorted)-1)
	i := int(math.Floor(at))
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	part := at - float64(i)
	return float64(sorted[i]*(1-part)) + float64(sorted[i+1]*part)
}

// WeightedQuantile returns the least x of xs such that the weights of all
// values up to x make at least the share q of the whole.
func WeightedQuantile(xs, weights []float64, q float64) float64 {
	order := make([]int, len(xs))
	total := 0.0
	for i := range order {
		order[i] = i
		total += weights[i]
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case xs[a] < xs[b]:
			return -1
		case xs[a] > xs[b]:
			return 1
		}
		return 0
	})
	sum := 0.0
	for _, i := range order {
		sum += weights[i]
		if sum >= q*total {
			return xs[i]
		}
	}
	return 0
}
