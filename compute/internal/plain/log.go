package plain

import "math"

// The constants of log: x = 2^e (1+f) with 1+f between sqrt(1/2) and sqrt(2),
// and log(1+f) = f - f^2/2 + f^3 p(f), p the least-maximum fit of degree eight.
const (
	LogLn2Hi = 0.693359375
	LogLn2Lo = -0.00021219444005471377
	// LogSqrtHalf is the float32 nearest sqrt(1/2).
	LogSqrtHalf = 0.70710678118654752440
	LogC0       = 0.3333331346511841
	LogC1       = -0.25000008940696716
	LogC2       = 0.20002073049545288
	LogC3       = -0.16667991876602173
	LogC4       = 0.14220310747623444
	LogC5       = -0.12406114488840103
	LogC6       = 0.11883873492479324
	LogC7       = -0.11671175807714462
	LogC8       = 0.0674985721707344
	// logTiny is the least normal number; smaller ones are scaled by 2^23.
	logTiny = 0x1p-126
)

// log1p returns e*ln(2) + log(1+f).
func log1p(f, e float32) float32 {
	p := FMA32(LogC8, f, LogC7)
	p = FMA32(p, f, LogC6)
	p = FMA32(p, f, LogC5)
	p = FMA32(p, f, LogC4)
	p = FMA32(p, f, LogC3)
	p = FMA32(p, f, LogC2)
	p = FMA32(p, f, LogC1)
	p = FMA32(p, f, LogC0)
	z := f * f
	y := float32(z*f) * p
	y = FMA32(e, LogLn2Lo, y)
	y = FMA32(z, -0.5, y)
	y = f + y
	return FMA32(e, LogLn2Hi, y)
}

// LogF is the natural logarithm within two units in the last place: -Inf for
// either zero, NaN below zero, and exact care for subnormal x.
func LogF(x float32) float32 {
	s, bias := x, float32(0)
	if x < logTiny {
		s, bias = x*0x1p23, -23
	}
	// k is the exponent of s over sqrt(1/2), m its mantissa from there.
	u := math.Float32bits(s) - math.Float32bits(LogSqrtHalf)
	e := float32(int32(u)>>23) + bias
	m := math.Float32frombits(u&0x7fffff + math.Float32bits(LogSqrtHalf))
	y := log1p(m-1, e)
	switch {
	case x == 0:
		return float32(math.Inf(-1))
	case !(x > 0):
		return float32(math.NaN())
	case x > math.MaxFloat32:
		return x
	}
	return y
}

// Log is LogF of each element.
func Log(dst, src []float32) {
	for i, v := range src {
		dst[i] = LogF(v)
	}
}

// SoftplusF is log(1 + e^x) = max(x, 0) + log(1+t), t = ExpF(-|x|); for t
// above sqrt(2)-1, log(1+t) is log(2) + log(1 + (t-1)/2).
func SoftplusF(x float32) float32 {
	t := ExpF(-float32(math.Abs(float64(x))))
	f, e := t, float32(0)
	if t > LogSqrt2Less1 {
		f, e = float32(t-1)*0.5, 1
	}
	y := log1p(f, e)
	m := float32(0)
	if x > 0 {
		m = x
	}
	return m + y
}

// LogSqrt2Less1 is the float32 nearest sqrt(2)-1.
const LogSqrt2Less1 = 0.41421356237309504880

// Softplus is SoftplusF of each element.
func Softplus(dst, src []float32) {
	for i, v := range src {
		dst[i] = SoftplusF(v)
	}
}

// SqrtSoftplusF is the correctly rounded square root of SoftplusF(x).
func SqrtSoftplusF(x float32) float32 { return sqrt(SoftplusF(x)) }

// SqrtSoftplus is SqrtSoftplusF of each element.
func SqrtSoftplus(dst, src []float32) {
	for i, v := range src {
		dst[i] = SqrtSoftplusF(v)
	}
}

// sqrt is the correctly rounded float32 square root: the float64 root of a
// float32 value, rounded to float32, is the correctly rounded one.
func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }
