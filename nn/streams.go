package nn

import "github.com/temper-ml/temper/compute/kernel"

// Spread copies every row of h [T, D] into each of s streams of x [T, s, D].
func Spread(x, h []float32, s, d int) {
	const grain = 16
	if len(h)/d <= grain { // takes nothing from the heap
		spread(x, h, s, d, 0, len(h)/d)
		return
	}
	kernel.Parallel(len(h)/d, grain, func(lo, hi int) { spread(x, h, s, d, lo, hi) })
}

// spread is Spread for tokens [lo, hi).
func spread(x, h []float32, s, d, lo, hi int) {
	for t := lo; t < hi; t++ {
		for k := range s {
			copy(x[(t*s+k)*d:(t*s+k+1)*d], h[t*d:(t+1)*d])
		}
	}
}

// AddSpread adds row t of e [T, D] to every stream of token t of x [T, s, D].
func AddSpread(x, e []float32, s, d int) {
	kernel.Parallel(len(e)/d, 16, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			for k := range s {
				kernel.AddTo(x[(t*s+k)*d:(t*s+k+1)*d], e[t*d:(t+1)*d])
			}
		}
	})
}

// SumStreams sets row t of h [T, D] to the sum over the streams of x [T, s, D], ascending.
func SumStreams(h, x []float32, s, d int) {
	kernel.Parallel(len(h)/d, 16, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			row := h[t*d : (t+1)*d]
			copy(row, x[t*s*d:(t*s+1)*d])
			for k := 1; k < s; k++ {
				kernel.AddTo(row, x[(t*s+k)*d:(t*s+k+1)*d])
			}
		}
	})
}
