package audit

import (
	"encoding/json"
	"math"
)

// An Interval is every number from Lo to Hi, both included; both lie in
// [0, +Inf]. Operations round outwards: the exact result for any two members lies
// in the result.
type Interval struct{ Lo, Hi float64 }

// Anything is the interval of a quantity about which nothing is known.
var Anything = Interval{0, math.Inf(1)}

// Exactly returns the interval of one number.
func Exactly(x float64) Interval { return Interval{x, x} }

// Empty reports whether no number lies in i. Ends that differ by rounding only
// are taken to meet.
func (i Interval) Empty() bool { return !(i.Lo <= i.Hi*(1+1e-9)) }

// Contains reports whether all of j lies in i, up to rounding.
func (i Interval) Contains(j Interval) bool {
	return j.Lo >= i.Lo*(1-1e-9) && j.Hi <= i.Hi*(1+1e-9)
}

// Intersect returns the numbers in both.
func (i Interval) Intersect(j Interval) Interval {
	return Interval{max(i.Lo, j.Lo), min(i.Hi, j.Hi)}
}

// Bounded reports whether both ends say something.
func (i Interval) Bounded() bool { return i.Lo > 0 && !math.IsInf(i.Hi, 1) }

// Mul returns the products of members. Zero times infinity has no value: at a
// lower end it is 0, at an upper end infinity, so that nothing is lost.
func (i Interval) Mul(j Interval) Interval {
	return Interval{down(mulLow(i.Lo, j.Lo)), up(mulHigh(i.Hi, j.Hi))}
}

// Div returns the quotients of members. What is divided by zero may be anything
// large; 0/0 and Inf/Inf may be anything.
func (i Interval) Div(j Interval) Interval {
	lo, hi := 0.0, math.Inf(1)
	if i.Lo > 0 && !math.IsInf(j.Hi, 1) {
		lo = down(i.Lo / j.Hi) // j.Hi of 0 gives infinity: only infinities are left
	}
	if j.Lo > 0 && !math.IsInf(i.Hi, 1) {
		hi = up(i.Hi / j.Lo)
	}
	return Interval{lo, hi}
}

func mulLow(x, y float64) float64 {
	if x == 0 || y == 0 {
		return 0
	}
	return x * y
}

func mulHigh(x, y float64) float64 {
	if math.IsInf(x, 1) || math.IsInf(y, 1) {
		return math.Inf(1)
	}
	return x * y
}

// down and up step to the next number outwards; whole infinities stay, except
// that a finite computation which overflowed is only known to be large.
func down(x float64) float64 {
	if x == 0 {
		return 0
	}
	return math.Nextafter(x, 0)
}

func up(x float64) float64 {
	return math.Nextafter(x, math.Inf(1))
}

// MarshalJSON writes [lo, hi], with null for an end without limit.
func (i Interval) MarshalJSON() ([]byte, error) {
	var ends [2]any
	for k, x := range []float64{i.Lo, i.Hi} {
		if !math.IsInf(x, 0) {
			ends[k] = x
		}
	}
	return json.Marshal(ends)
}
