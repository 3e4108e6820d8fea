package kernel

import "github.com/temper-ml/temper/compute/internal/plain"

// flatGrain is the number of elements of an elementwise operation that are
// worth a thread's attention.
const flatGrain = 1 << 14

// wantLen panics unless an argument has exactly the length that op needs.
func wantLen(op, arg string, have, want int) {
	if have != want {
		panicf("kernel: %s: %s holds %d elements, want %d", op, arg, have, want)
	}
}

// Add sets dst = a + b. dst may be a or b.
func Add(dst, a, b []float32) {
	wantLen("Add", "a", len(a), len(dst))
	wantLen("Add", "b", len(b), len(dst))
	o := ops()
	Parallel(len(dst), flatGrain, func(lo, hi int) { o.add(dst[lo:hi], a[lo:hi], b[lo:hi]) })
}

// AddTo sets dst += a.
func AddTo(dst, a []float32) { Add(dst, dst, a) }

// Mul sets dst = a * b, element by element. dst may be a or b.
func Mul(dst, a, b []float32) {
	wantLen("Mul", "a", len(a), len(dst))
	wantLen("Mul", "b", len(b), len(dst))
	o := ops()
	Parallel(len(dst), flatGrain, func(lo, hi int) { o.mul(dst[lo:hi], a[lo:hi], b[lo:hi]) })
}

// MulAdd sets dst = fma(a, b, dst), element by element.
func MulAdd(dst, a, b []float32) {
	wantLen("MulAdd", "a", len(a), len(dst))
	wantLen("MulAdd", "b", len(b), len(dst))
	o := ops()
	Parallel(len(dst), flatGrain, func(lo, hi int) { o.mulAdd(dst[lo:hi], a[lo:hi], b[lo:hi]) })
}

// Axpy sets dst = fma(s, x, dst).
func Axpy(dst []float32, s float32, x []float32) {
	wantLen("Axpy", "x", len(x), len(dst))
	o := ops()
	Parallel(len(dst), flatGrain, func(lo, hi int) { o.axpy(dst[lo:hi], s, x[lo:hi]) })
}

// Scale sets dst *= s.
func Scale(dst []float32, s float32) {
	o := ops()
	Parallel(len(dst), flatGrain, func(lo, hi int) { o.scale(dst[lo:hi], s) })
}

// Zero sets dst to +0.
func Zero(dst []float32) {
	Parallel(len(dst), 4*flatGrain, func(lo, hi int) { clear(dst[lo:hi]) })
}

// each runs a one-input map over threads.
func each(op string, dst, src []float32, f func(dst, src []float32)) {
	wantLen(op, "src", len(src), len(dst))
	Parallel(len(dst), flatGrain/4, func(lo, hi int) { f(dst[lo:hi], src[lo:hi]) })
}

// Exp sets dst to e^src within one unit in the last place: +Inf above
// 88.72283, +0 below -87.33654 (where the result would not be a normal
// number). dst may be src, here and in the functions that follow.
func Exp(dst, src []float32) { each("Exp", dst, src, ops().exp) }

// Log sets dst to the natural logarithm of src within two units in the last
// place: -Inf for zeros, NaN for negative numbers.
func Log(dst, src []float32) { each("Log", dst, src, ops().log) }

// Sigmoid sets dst = 1 / (1 + e^-src).
func Sigmoid(dst, src []float32) { each("Sigmoid", dst, src, ops().sigmoid) }

// Silu sets dst = src / (1 + e^-src). It is NaN for -Inf.
func Silu(dst, src []float32) { each("Silu", dst, src, ops().silu) }

// Softplus sets dst = log(1 + e^src).
func Softplus(dst, src []float32) { each("Softplus", dst, src, ops().softplus) }

// SqrtSoftplus sets dst = sqrt(log(1 + e^src)), the router's score.
func SqrtSoftplus(dst, src []float32) { each("SqrtSoftplus", dst, src, ops().sqrtSoftplus) }

// SqrtSoftplusBackward sets dx to the gradient of SqrtSoftplus at x, given its
// result y: dx = dy * sigmoid(x) / (2y), and 0 where y is 0. dx may be dy.
func SqrtSoftplusBackward(dx, dy, x, y []float32) {
	wantLen("SqrtSoftplusBackward", "dy", len(dy), len(dx))
	wantLen("SqrtSoftplusBackward", "x", len(x), len(dx))
	wantLen("SqrtSoftplusBackward", "y", len(y), len(dx))
	Parallel(len(dx), flatGrain/16, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			if y[i] == 0 {
				dx[i] = 0
				continue
			}
			dx[i] = float32(dy[i]*plain.SigmoidF(x[i])) / (2 * y[i])
		}
	})
}

// ExpF is Exp of one number, bit for bit.
func ExpF(x float32) float32 { return plain.ExpF(x) }

// LogF is Log of one number, bit for bit.
func LogF(x float32) float32 { return plain.LogF(x) }

// SigmoidF is Sigmoid of one number, bit for bit.
func SigmoidF(x float32) float32 { return plain.SigmoidF(x) }

// SiluF is Silu of one number, bit for bit.
func SiluF(x float32) float32 { return plain.SiluF(x) }

// SoftplusF is Softplus of one number, bit for bit.
func SoftplusF(x float32) float32 { return plain.SoftplusF(x) }

// SqrtSoftplusF is SqrtSoftplus of one number, bit for bit.
func SqrtSoftplusF(x float32) float32 { return plain.SqrtSoftplusF(x) }
