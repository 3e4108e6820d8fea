package campaign

import (
	"slices"

	"github.com/temper-ml/temper/cluster/campaign/rollout"
)

// sampleSpread is the spread of the lengths of instruction data: the standard
// deviation of their logarithm, as in public dialog sets (0.7 to 1).
const sampleSpread = 0.8

// packedSamples is how many samples are packed to see how well they fit.
const packedSamples = 2000

// packed is the share of real tokens in rows of seq tokens that hold whole
// samples, put together longest first, each into the fullest row it fits in.
// Lengths are lognormal and cut at the row.
func packed(mean, spread float64, seq int) float64 {
	row := float64(seq)
	lengths := rollout.Lengths{Mean: mean, Max: row, Spread: spread}.Quantiles(packedSamples)
	var left []float64 // room in each open row, least first
	rows, tokens := 0.0, 0.0
	for _, n := range slices.Backward(lengths) {
		tokens += n
		at, _ := slices.BinarySearch(left, n)
		room := row
		if at < len(left) {
			room = left[at]
			left = slices.Delete(left, at, at+1)
		} else {
			rows++
		}
		if room -= n; room >= 1 {
			at, _ = slices.BinarySearch(left, room)
			left = slices.Insert(left, at, room)
		}
	}
	return tokens / (rows * row)
}
