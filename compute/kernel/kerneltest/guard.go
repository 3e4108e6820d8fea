package kerneltest

import (
	"math"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
)

// band is how many elements guard each side of a buffer: more than any
// register holds.
const band = 72

// canary marks elements that no kernel may write: a NaN, so that one that is
// read poisons the result.
const canary = 0x7fbadbad

// Guarded returns a slice of n elements between two bands of canaries, and a
// function that fails t if a canary has changed. The slice's elements are
// canaries too, until they are set.
func Guarded(n int) (data []float32, check func(t testing.TB, name string)) {
	m, check := GuardedMat(1, n, n)
	return m.Data[:n:n], check
}

// GuardedMat returns a matrix whose gaps, and the bands before and after it,
// are canaries, and a function that fails t if one of those has changed. The
// matrix's elements are canaries too, until they are set.
func GuardedMat(rows, cols, stride int) (m kernel.Mat, check func(t testing.TB, name string)) {
	size := 0
	if rows > 0 {
		size = (rows-1)*stride + cols
	}
	all := make([]float32, size+2*band)
	for i := range all {
		all[i] = math.Float32frombits(canary)
	}
	m = kernel.Mat{Data: all[band : band+size : band+size], Rows: rows, Cols: cols, Stride: stride}
	return m, func(t testing.TB, name string) {
		t.Helper()
		for i, v := range all {
			at := i - band
			inside := at >= 0 && at < size && at%max(stride, 1) < cols
			if !inside && math.Float32bits(v) != canary {
				t.Fatalf("%s (%dx%d, stride %d): element %d, outside, was overwritten with %g",
					name, rows, cols, stride, at, v)
			}
		}
	}
}
