package detrand

import "math"

// NormalAt returns element i as a standard normal deviate: the inverse normal
// distribution function at a uniform number strictly inside (0, 1).
func (s Stream) NormalAt(i uint64) float64 {
	u := (float64(s.Uint64At(i)>>12) + 0.5) * 0x1p-52
	return quantile(u)
}

// quantile is the inverse of the normal distribution function, accurate to
// about 1e-15: algorithm AS 241 (PPND16) of Wichura, Applied Statistics 37
// (1988). Products are converted explicitly so that no compiler fuses them.
func quantile(p float64) float64 {
	q := p - 0.5
	if math.Abs(q) <= 0.425 {
		r := 0.180625 - float64(q*q)
		return q * rational(r, &as241A, &as241B)
	}
	r := p
	if q > 0 {
		r = 1 - p
	}
	r = math.Sqrt(-logarithm(r))
	var x float64
	if r <= 5 {
		x = rational(r-1.6, &as241C, &as241D)
	} else {
		x = rational(r-5, &as241E, &as241F)
	}
	if q < 0 {
		return -x
	}
	return x
}

// rational returns num(r)/den(r), both of degree 7 in Horner form.
func rational(r float64, num, den *[8]float64) float64 {
	n, d := num[7], den[7]
	for i := 6; i >= 0; i-- {
		n = float64(n*r) + num[i]
		d = float64(d*r) + den[i]
	}
	return n / d
}

// logarithm is ln x for positive normal x: math.Log differs between
// architectures in the last bit, this does not. x = m·2^e with m in
// [√½, √2), ln m = 2·atanh((m-1)/(m+1)) by its series.
func logarithm(x float64) float64 {
	m, e := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m *= 2
		e--
	}
	t := (m - 1) / (m + 1)
	t2 := t * t
	sum := 0.0
	for k := 27; k >= 1; k -= 2 {
		sum = float64(sum*t2) + 1/float64(k)
	}
	return float64(float64(e)*math.Ln2) + float64(2*t*sum)
}

var (
	as241A = [8]float64{
		3.3871328727963666080e0, 1.3314166789178437745e+2, 1.9715909503065514427e+3, 1.3731693765509461125e+4,
		4.5921953931549871457e+4, 6.7265770927008700853e+4, 3.3430575583588128105e+4, 2.5090809287301226727e+3,
	}
	as241B = [8]float64{
		1, 4.2313330701600911252e+1, 6.8718700749205790830e+2, 5.3941960214247511077e+3,
		2.1213794301586595867e+4, 3.9307895800092710610e+4, 2.8729085735721942674e+4, 5.2264952788528545610e+3,
	}
	as241C = [8]float64{
		1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
		1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
	}
	as241D = [8]float64{
		1, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
		1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
	}
	as241E = [8]float64{
		6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
		2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7,
	}
	as241F = [8]float64{
		1, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
		7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15,
	}
)
