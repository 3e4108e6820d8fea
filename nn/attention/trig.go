package attention

import "math"

// π/2 in three parts: the first two have trailing zero bits, so that a
// multiple of them subtracts without loss; together they hold 150 bits.
const (
	halfPi1 = 0x1.921fb54442d18p0
	halfPi2 = 0x1.1a62633145c07p-54
	halfPi3 = -0x1.f1976b7ed8fbcp-110
)

// sincos returns the sine and the cosine of x with an error below one unit in
// the last place for |x| < 2^30. Unlike math.Sincos it has the same bits on
// every machine: the library's version may be assembly, or fused by the
// compiler, on some of them. Here every rounding is written out.
func sincos(x float64) (sin, cos float64) {
	k := math.Floor(float64(x*(2/math.Pi)) + 0.5)
	r := math.FMA(-k, halfPi1, x)
	t := math.FMA(-k, halfPi2, r)
	// r - t is what the second part took away: keep what it lost to rounding.
	lost := math.FMA(-k, halfPi2, r-t)
	lo := math.FMA(-k, halfPi3, lost)
	s, c := sinPoly(t, lo), cosPoly(t, lo)
	switch int64(k) & 3 {
	case 0:
		return s, c
	case 1:
		return c, -s
	case 2:
		return -s, -c
	default:
		return -c, s
	}
}

// sinPoly returns sin(x+lo) for |x| <= π/4: the minimax polynomial of FreeBSD's
// msun library, evaluated by fused multiply-adds.
func sinPoly(x, lo float64) float64 {
	z := x * x
	p := math.FMA(z, 1.58969099521155010221e-10, -2.50507602534068634195e-08)
	p = math.FMA(z, p, 2.75573137070700676789e-06)
	p = math.FMA(z, p, -1.98412698298579493134e-04)
	p = math.FMA(z, p, 8.33333333332248946124e-03)
	p = math.FMA(z, p, -1.66666666666666324348e-01)
	v := z * x
	return x + math.FMA(v, p, math.FMA(-0.5*z, lo, lo))
}

// cosPoly returns cos(x+lo) for |x| <= π/4.
func cosPoly(x, lo float64) float64 {
	z := x * x
	p := math.FMA(z, -1.13596475577881948265e-11, 2.08757232129817482790e-09)
	p = math.FMA(z, p, -2.75573143513906633035e-07)
	p = math.FMA(z, p, 2.48015872894767294178e-05)
	p = math.FMA(z, p, -1.38888888888741095749e-03)
	p = math.FMA(z, p, 4.16666666666666019037e-02)
	w := math.FMA(-0.5, z, 1)
	rest := math.FMA(-0.5, z, 1-w) // what w lost to rounding
	return w + math.FMA(float64(z*z), p, math.FMA(-x, lo, rest))
}
