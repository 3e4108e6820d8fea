package kerneltest

import (
	"math"

	"github.com/temper-ml/temper/internal/detrand"
)

// Kind is a distribution of test inputs.
type Kind int

// The distributions, from tame to wild.
const (
	Tame    Kind = iota // in (-1, 1)
	Integer             // small integers: sums are exact, and many tie
	Wide                // all magnitudes whose products neither vanish nor overflow
	Edge                // mostly tame, with zeros of both signs, subnormals, huge values, Inf and NaN
	Kinds
)

// String returns the kind's name.
func (k Kind) String() string { return [...]string{"tame", "integer", "wide", "edge"}[k] }

// rareValues are what Edge mixes in.
var rareValues = [...]uint32{
	0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007fffff, 0x00800000,
	0x80800000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000,
	0x1f800000, 0x9f800000, 0x5f000000, 0x33800000,
}

// Values fills dst with the values of the given kind that seed and purpose
// name. They are the same on every machine.
func Values(dst []float32, kind Kind, seed uint64, purpose string) {
	s := detrand.Key(seed, "kerneltest "+purpose, uint64(kind))
	for i := range dst {
		dst[i] = value(kind, s.Uint64At(uint64(i)))
	}
}

// value turns 64 random bits into a value.
func value(kind Kind, r uint64) float32 {
	tame := float32(int32(r>>32)) * 0x1p-31
	switch kind {
	case Integer:
		return float32(int32(r>>32) % 9)
	case Wide:
		return tame * math.Float32frombits(uint32(127-40+r%81)<<23)
	case Edge:
		if r&0xff == 0 { // rare enough for chains that stay finite
			return math.Float32frombits(rareValues[r>>8&15])
		}
		if r&0xf == 1 {
			return float32(math.Copysign(0, float64(tame)))
		}
		if r&0xf == 2 {
			return tame * 0x1p-126
		}
	}
	return tame
}
