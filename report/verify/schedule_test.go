package verify

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/report/record"
)

// exactRate evaluates the definition of a schedule with 200 bits.
func exactRate(l *record.Schedule, s, steps int64) float64 {
	num := func(x float64) *big.Float { return new(big.Float).SetPrec(200).SetFloat64(x) }
	op := func() *big.Float { return new(big.Float).SetPrec(200) }
	if s < l.Warmup {
		v, _ := op().Quo(op().Mul(num(l.Peak), num(float64(s+1))), num(float64(l.Warmup))).Float64()
		return v
	}
	fall := l.Warmup
	if l.Kind == "wsd" {
		fall = steps - l.Decay
	}
	if l.Kind == "constant" || s < fall {
		return l.Peak
	}
	x := num(1)
	if steps-1 > fall {
		x = op().Quo(num(float64(s-fall)), num(float64(steps-1-fall)))
	}
	rest := op().Sub(num(1), x)
	if l.Kind != "linear" { // (1 + cos πx)/2, cosine by its series
		pi, _, _ := big.ParseFloat("3.14159265358979323846264338327950288419716939937510582097494", 10, 200, big.ToNearestEven)
		y := op().Mul(pi, x)
		term, sum := num(1), num(1)
		for k := 1; k < 40; k++ {
			term = op().Quo(op().Mul(op().Neg(term), op().Mul(y, y)), num(float64(2*k*(2*k-1))))
			sum = op().Add(sum, term)
		}
		rest = op().Quo(op().Add(num(1), sum), num(2))
	}
	v, _ := op().Add(num(l.Final), op().Mul(op().Sub(num(l.Peak), num(l.Final)), rest)).Float64()
	return v
}

// The recomputed rate is the definition's, up to a few roundings.
func TestLearningRateIsTheDefinitions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := rapid.Int64Range(1, 200_000).Draw(t, "steps")
		l := &record.Schedule{
			Kind:   rapid.SampledFrom([]string{"constant", "linear", "cosine", "wsd"}).Draw(t, "kind"),
			Peak:   rapid.Float64Range(1e-9, 10).Draw(t, "peak"),
			Warmup: rapid.Int64Range(0, steps).Draw(t, "warmup"),
		}
		if l.Kind != "constant" {
			l.Final = l.Peak * rapid.Float64Range(0, 1).Draw(t, "final")
		}
		if l.Kind == "wsd" {
			l.Decay = rapid.Int64Range(0, steps-l.Warmup).Draw(t, "decay")
		}
		s := rapid.Int64Range(0, steps-1).Draw(t, "step")
		got, want := learningRate(l, s, steps), exactRate(l, s, steps)
		if math.Abs(got-want) > 8e-16*l.Peak {
			t.Fatalf("%+v, step %d of %d: %v, want %v", l, s, steps, got, want)
		}
	})
}

// Bits that the trainer's own schedules have, of each kind.
func TestLearningRateBits(t *testing.T) {
	for _, c := range []struct {
		l        record.Schedule
		s, steps int64
		bits     uint64
	}{
		{record.Schedule{Kind: "constant", Peak: 0.0003, Final: 0, Warmup: 7, Decay: 0}, 0, 100, 0x3f067830373ccbdc},
		{record.Schedule{Kind: "constant", Peak: 0.0003, Final: 0, Warmup: 7, Decay: 0}, 4, 100, 0x3f2c163c450bfed4},
		{record.Schedule{Kind: "constant", Peak: 0.0003, Final: 0, Warmup: 7, Decay: 0}, 20, 100, 0x3f33a92a30553261},
		{record.Schedule{Kind: "constant", Peak: 0.0003, Final: 0, Warmup: 7, Decay: 0}, 60, 100, 0x3f33a92a30553261},
		{record.Schedule{Kind: "constant", Peak: 0.0003, Final: 0, Warmup: 7, Decay: 0}, 77, 100, 0x3f33a92a30553261},
		{record.Schedule{Kind: "constant", Peak: 0.0003, Final: 0, Warmup: 7, Decay: 0}, 99, 100, 0x3f33a92a30553261},
		{record.Schedule{Kind: "linear", Peak: 0.001, Final: 1.7e-05, Warmup: 3, Decay: 0}, 0, 100, 0x3f35d867c3ece2a5},
		{record.Schedule{Kind: "linear", Peak: 0.001, Final: 1.7e-05, Warmup: 3, Decay: 0}, 4, 100, 0x3f50375b27b59844},
		{record.Schedule{Kind: "linear", Peak: 0.001, Final: 1.7e-05, Warmup: 3, Decay: 0}, 20, 100, 0x3f4b1060e7e8f99a},
		{record.Schedule{Kind: "linear", Peak: 0.001, Final: 1.7e-05, Warmup: 3, Decay: 0}, 60, 100, 0x3f3b4916ca46e08e},
		{record.Schedule{Kind: "linear", Peak: 0.001, Final: 1.7e-05, Warmup: 3, Decay: 0}, 77, 100, 0x3f2fc1429ca457a9},
		{record.Schedule{Kind: "linear", Peak: 0.001, Final: 1.7e-05, Warmup: 3, Decay: 0}, 99, 100, 0x3ef1d3671ac14c66},
		{record.Schedule{Kind: "cosine", Peak: 0.00022, Final: 1e-05, Warmup: 11, Decay: 0}, 0, 100, 0x3ef4f8b588e368f1},
		{record.Schedule{Kind: "cosine", Peak: 0.00022, Final: 1e-05, Warmup: 11, Decay: 0}, 4, 100, 0x3f1a36e2eb1c432d},
		{record.Schedule{Kind: "cosine", Peak: 0.00022, Final: 1e-05, Warmup: 11, Decay: 0}, 20, 100, 0x3f2c21ad7f54be60},
		{record.Schedule{Kind: "cosine", Peak: 0.00022, Final: 1e-05, Warmup: 11, Decay: 0}, 60, 100, 0x3f1942672f2b0ea0},
		{record.Schedule{Kind: "cosine", Peak: 0.00022, Final: 1e-05, Warmup: 11, Decay: 0}, 77, 100, 0x3f055de17e0a0082},
		{record.Schedule{Kind: "cosine", Peak: 0.00022, Final: 1e-05, Warmup: 11, Decay: 0}, 99, 100, 0x3ee4f8b588e368f1},
		{record.Schedule{Kind: "wsd", Peak: 7e-05, Final: 3e-06, Warmup: 5, Decay: 31}, 0, 100, 0x3eed5c31593e5fb7},
		{record.Schedule{Kind: "wsd", Peak: 7e-05, Final: 3e-06, Warmup: 5, Decay: 31}, 4, 100, 0x3f12599ed7c6fbd2},
		{record.Schedule{Kind: "wsd", Peak: 7e-05, Final: 3e-06, Warmup: 5, Decay: 31}, 20, 100, 0x3f12599ed7c6fbd2},
		{record.Schedule{Kind: "wsd", Peak: 7e-05, Final: 3e-06, Warmup: 5, Decay: 31}, 60, 100, 0x3f12599ed7c6fbd2},
		{record.Schedule{Kind: "wsd", Peak: 7e-05, Final: 3e-06, Warmup: 5, Decay: 31}, 77, 100, 0x3f0ee38e0fbcf734},
		{record.Schedule{Kind: "wsd", Peak: 7e-05, Final: 3e-06, Warmup: 5, Decay: 31}, 99, 100, 0x3ec92a737110e454},
	} {
		if got := learningRate(&c.l, c.s, c.steps); math.Float64bits(got) != c.bits {
			t.Errorf("%+v, step %d of %d: %#x (%v), want %#x", c.l, c.s, c.steps, math.Float64bits(got), got, c.bits)
		}
	}
}
