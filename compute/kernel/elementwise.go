package kernel

import (
	"math"

	"github.com/temper-ml/temper/compute/internal/asm"
	"github.com/temper-ml/temper/compute/internal/plain"
)

// flatGrain is the number of elements of an elementwise operation that are
// worth a thread's attention.
const flatGrain = 1 << 14

// wantLen panics unless an argument has exactly the length that op needs.
func wantLen(op, arg string, have, want int) {
	if have != want {
		panicf("kernel: %s: %s holds %d elements, want %d", op, arg, have, want)
	}
}

// FMA32 returns x*y + z rounded once, exactly as the hardware's float32 fused
// multiply-add, in plain Go. It is the one place where fusing is meant; every
// other product that is added to something is wrapped in an explicit float32
// conversion so that no compiler fuses it.
func FMA32(x, y, z float32) float32 { return asm.FMA32(x, y, z) }

// Add sets dst = a + b. dst may be a or b.
func Add(dst, a, b []float32) {
	wantLen("Add", "a", len(a), len(dst))
	wantLen("Add", "b", len(b), len(dst))
	l := newLoop(ops())
	l.out, l.a, l.b = dst, a, b
	l.over(len(dst), flatGrain, func(l *loop, lo, hi int) { l.ops.add(l.out[lo:hi], l.a[lo:hi], l.b[lo:hi]) })
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
	l := newLoop(ops())
	l.out, l.s = dst, s
	l.over(len(dst), flatGrain, func(l *loop, lo, hi int) { l.ops.scale(l.out[lo:hi], l.s) })
}

// Zero sets dst to +0.
func Zero(dst []float32) {
	l := newLoop(nil)
	l.out = dst
	l.over(len(dst), 4*flatGrain, func(l *loop, lo, hi int) { clear(l.out[lo:hi]) })
}

// each runs a one-input map over threads.
func each(op string, dst, src []float32, f func(dst, src []float32)) {
	wantLen(op, "src", len(src), len(dst))
	l := newLoop(nil)
	l.out, l.a, l.apply = dst, src, f
	l.over(len(dst), flatGrain/4, func(l *loop, lo, hi int) { l.apply(l.out[lo:hi], l.a[lo:hi]) })
}

// Exp sets dst to e^src within one unit in the last place: +Inf above
// 88.72283, +0 below -87.33654 (where the result would not be a normal
// number). dst may be src, here and in the functions that follow.
func Exp(dst, src []float32) { each("Exp", dst, src, ops().exp) }

// Log sets dst to the natural logarithm of src within two units in the last
// place: -Inf for zeros, NaN for negative numbers.
func Log(dst, src []float32) { each("Log", dst, src, ops().log) }

// Sigmoid sets dst = 1 / (1 + e^-src) within 2.5 units in the last place.
func Sigmoid(dst, src []float32) { each("Sigmoid", dst, src, ops().sigmoid) }

// Silu sets dst = src / (1 + e^-src) within 2.5 units in the last place. It is
// NaN for -Inf.
func Silu(dst, src []float32) { each("Silu", dst, src, ops().silu) }

// Softplus sets dst = log(1 + e^src) within two units in the last place.
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

// swigluRow returns the weight of row r, 1 without weights.
func swigluRow(weight []float32, r int) float32 {
	if weight == nil {
		return 1
	}
	return weight[r]
}

// swigluLimit makes "no limit" the limit that clamps nothing.
func swigluLimit(limit float32) float32 {
	if limit > 0 {
		return limit
	}
	return float32(math.Inf(1))
}

// SwiGLU sets h = (weight[row] * silu(min(g, limit))) * clamp(u, -limit, limit)
// over rows of f elements. weight nil means 1; a limit of 0 or less, none.
func SwiGLU(h, g, u, weight []float32, rows, f int, limit float32) {
	wantLen("SwiGLU", "h", len(h), rows*f)
	wantLen("SwiGLU", "g", len(g), rows*f)
	wantLen("SwiGLU", "u", len(u), rows*f)
	if weight != nil {
		wantLen("SwiGLU", "weight", len(weight), rows)
	}
	l := newLoop(ops())
	l.out, l.a, l.b, l.c, l.s = h, g, u, weight, swigluLimit(limit)
	l.rows(rows, f, func(l *loop, r, at, to int) {
		l.ops.swiGLU(l.out[at:to], l.a[at:to], l.b[at:to], swigluRow(l.c, r), l.s)
	})
}

// SwiGLUBackward overwrites dg, du and dweight with the gradients of SwiGLU's
// inputs, given dh. A clamped input has gradient 0. dweight nil is skipped. dg
// may be g or dh, du may be u.
func SwiGLUBackward(dg, du, dweight, dh, g, u, weight []float32, rows, f int, limit float32) {
	wantLen("SwiGLUBackward", "dg", len(dg), rows*f)
	wantLen("SwiGLUBackward", "du", len(du), rows*f)
	wantLen("SwiGLUBackward", "dh", len(dh), rows*f)
	wantLen("SwiGLUBackward", "g", len(g), rows*f)
	wantLen("SwiGLUBackward", "u", len(u), rows*f)
	if weight != nil {
		wantLen("SwiGLUBackward", "weight", len(weight), rows)
	}
	if dweight != nil {
		wantLen("SwiGLUBackward", "dweight", len(dweight), rows)
	}
	limit = swigluLimit(limit)
	o := ops()
	eachRow(rows, f, func(r, at, to int) {
		d := o.swiGLUBack(dg[at:to], du[at:to], dh[at:to], g[at:to], u[at:to], swigluRow(weight, r), limit)
		if dweight != nil {
			dweight[r] = d
		}
	})
}

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
