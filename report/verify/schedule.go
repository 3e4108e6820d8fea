package verify

import (
	"math"

	"github.com/temper-ml/temper/report/record"
)

// learningRate is the learning rate of step s in a stage of steps steps, bit for
// bit, by the definition in docs/verify.md: float64 operations in the order in
// which that gives them, each rounded.
func learningRate(l *record.Schedule, s, steps int64) float64 {
	if s < l.Warmup {
		share := float64(s+1) / float64(l.Warmup)
		return l.Peak * share
	}
	fall := l.Warmup // the first step of the fall
	switch l.Kind {
	case "constant":
		return l.Peak
	case "wsd":
		fall = steps - l.Decay
	}
	if s < fall {
		return l.Peak
	}
	x := 1.0
	if length := steps - 1 - fall; length > 0 {
		x = math.Min(1, float64(s-fall)/float64(length))
	}
	rest := 1 - x
	if l.Kind != "linear" {
		c := quarterCosine(x)
		rest = c * c
	}
	drop := (l.Peak - l.Final) * rest
	return l.Final + drop
}

// quarterCosine is cos(πx/2) for x in [0, 1]: the Taylor polynomial of degree
// 26 in nested form, so that every machine gets the same bits.
func quarterCosine(x float64) float64 {
	y := x * (math.Pi / 2)
	square := y * y
	sum := 1.0
	for k := 13; k >= 1; k-- {
		term := square / float64(2*k*(2*k-1))
		term *= sum
		sum = 1 - term
	}
	return sum
}
