// Package kernelbench measures the matrix products of package kernel on the
// machine it runs on, against what the machine's own fused multiply-add units
// can do.
//
// Clocks drift and neighbours come and go, so peak and product are measured in
// turn, many times, each by its fastest burst of a fraction of a millisecond:
// the value of a result is the best product over the best peak, and the spread
// of the single pairs is reported beside it.
package kernelbench
