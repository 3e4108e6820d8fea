package kernel

// FakeQuantFP8 rounds x in place to what E4M3 with a power-of-two scale for
// each group of consecutive elements would keep: with amax the group's largest
// magnitude, at least 1e-4, the scale is the least power of two s with
// amax <= 448*s. A last, shorter group is quantised by itself. The gradient is
// passed straight through: that of x is that of the result.
func FakeQuantFP8(x []float32, group int) {
	o := ops()
	eachGroup("FakeQuantFP8", x, group, o.fakeQuantFP8)
}

// FakeQuantFP4 is FakeQuantFP8 for E2M1: amax is at least 6*2^-126 and the
// scale the least power of two s with amax <= 6*s.
func FakeQuantFP4(x []float32, group int) {
	o := ops()
	eachGroup("FakeQuantFP4", x, group, o.fakeQuantFP4)
}

// RoundBF16 rounds x in place to bfloat16 values, to nearest with ties to
// even.
func RoundBF16(x []float32) {
	o := ops()
	Parallel(len(x), flatGrain, func(lo, hi int) { o.roundBF16(x[lo:hi]) })
}

func eachGroup(op string, x []float32, group int, f func([]float32)) {
	if group < 1 {
		panicf("kernel: %s: group must be at least 1, got %d", op, group)
	}
	n := (len(x) + group - 1) / group
	Parallel(n, max(1, flatGrain/4/group), func(lo, hi int) {
		for g := lo; g < hi; g++ {
			f(x[g*group : min(g*group+group, len(x))])
		}
	})
}
