package plain

import "math"

// The constants of exp: e^x = 2^n e^r, n the integer nearest x/ln 2, |r| at
// most ln(2)/2, and e^r = 1 + r + r^2 q(r) with q the least-maximum fit of
// degree five, its coefficients rounded to float32 one after the other.
const (
	ExpLog2E = 1.44269504
	// ExpMagic is 1.5*2^23: a value added to it is rounded to an integer,
	// which then stands in the sum's low bits.
	ExpMagic = 12582912
	// ExpLn2Hi + ExpLn2Lo is ln 2. n*ExpLn2Hi is subtracted exactly.
	ExpLn2Hi = 0.693147182464599609375
	ExpLn2Lo = -1.904654323148236e-09
	// ExpMax is the largest x with a finite e^x, ExpMin the least x whose
	// e^x is a normal number; below it the result is 0.
	ExpMax = 88.72283172607421875
	ExpMin = -87.336540222167968750
	ExpC2  = 0.5
	ExpC3  = 0.1666666567325592
	ExpC4  = 0.041666463017463684
	ExpC5  = 0.008333570323884487
	ExpC6  = 0.001393508748151362
	ExpC7  = 0.00019740319112315774
)

// ExpF is e^x within one unit in the last place where the result is a normal
// number; +Inf above ExpMax, 0 below ExpMin, NaN for NaN.
func ExpF(x float32) float32 {
	switch {
	case x > ExpMax:
		return float32(math.Inf(1))
	case x < ExpMin:
		return 0
	case x != x:
		return x
	}
	t := FMA32(x, ExpLog2E, ExpMagic)
	n := t - ExpMagic
	r := FMA32(n, -ExpLn2Hi, x)
	r = FMA32(n, -ExpLn2Lo, r)
	q := FMA32(ExpC7, r, ExpC6)
	q = FMA32(q, r, ExpC5)
	q = FMA32(q, r, ExpC4)
	q = FMA32(q, r, ExpC3)
	q = FMA32(q, r, ExpC2)
	q = FMA32(q, r, 1)
	q = FMA32(q, r, 1)
	return math.Float32frombits(math.Float32bits(q) + math.Float32bits(t)<<23)
}

// Exp is ExpF of each element.
func Exp(dst, src []float32) {
	for i, v := range src {
		dst[i] = ExpF(v)
	}
}

// SigmoidF is 1 / (1 + ExpF(-x)).
func SigmoidF(x float32) float32 { return 1 / (1 + ExpF(-x)) }

// Sigmoid is SigmoidF of each element.
func Sigmoid(dst, src []float32) {
	for i, v := range src {
		dst[i] = SigmoidF(v)
	}
}

// SiluF is x / (1 + ExpF(-x)): NaN for -Inf.
func SiluF(x float32) float32 { return x / (1 + ExpF(-x)) }

// Silu is SiluF of each element.
func Silu(dst, src []float32) {
	for i, v := range src {
		dst[i] = SiluF(v)
	}
}
