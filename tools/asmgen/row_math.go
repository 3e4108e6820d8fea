package main

import "math"

// The constants of package plain's exp and log; see there. The conformance
// suite fails if the two differ.
const (
	expLog2E = 1.44269504
	expMagic = 12582912
	expLn2Hi = 0.693147182464599609375
	expLn2Lo = -1.904654323148236e-09
	expMax   = 88.72283172607421875
	expMin   = -87.336540222167968750

	logLn2Hi      = 0.693359375
	logLn2Lo      = -0.00021219444005471377
	logSqrtHalf   = 0.70710678118654752440
	logSqrt2Less1 = 0.41421356237309504880
)

var (
	// expC holds the coefficients from the highest power down.
	expC = []float32{
		0.00019740319112315774, 0.001393508748151362, 0.008333570323884487,
		0.041666463017463684, 0.1666666567325592, 0.5, 1, 1,
	}
	logC = []float32{
		0.0674985721707344, -0.11671175807714462, 0.11883873492479324,
		-0.12406114488840103, 0.14220310747623444, -0.16667991876602173,
		0.20002073049545288, -0.25000008940696716, 0.3333331346511841,
	}
	inf = float32(math.Inf(1))
)

const signBit = 0x80000000

// poly evaluates the polynomial with coefficients c, highest first, at x.
func (r *row) poly(c []float32, x vec) vec {
	v := r.copy(r.f32(c[0]))
	for _, k := range c[1:] {
		r.horner(v, x, r.f32(k))
	}
	return v
}

// exp is plain.ExpF.
func (r *row) exp(x vec) vec {
	t := r.copy(r.f32(expMagic))
	r.acc(t, x, r.f32(expLog2E))
	n := r.sub(t, r.f32(expMagic))
	f := r.fma(n, r.f32(-expLn2Hi), x)
	r.acc(f, n, r.f32(-expLn2Lo))
	y := r.addI(r.poly(expC, f), r.shl(t, 23))
	r.sel(y, r.f32(inf), x, greater, r.f32(expMax))
	r.sel(y, r.f32(0), x, less, r.f32(expMin))
	r.sel(y, x, x, unordered, x)
	return y
}

// negate flips the sign.
func (r *row) negate(x vec) vec { return r.xor(x, r.bits(signBit)) }

// onePlusExpNeg is 1 + ExpF(-x).
func (r *row) onePlusExpNeg(x vec) vec { return r.add(r.exp(r.negate(x)), r.f32(1)) }

// sigmoid is plain.SigmoidF.
func (r *row) sigmoid(x vec) vec {
	d := r.onePlusExpNeg(x)
	return r.div(r.copy(r.f32(1)), d)
}

// silu is plain.SiluF.
func (r *row) silu(x vec) vec { return r.div(x, r.onePlusExpNeg(x)) }

// log1p is plain's log1p: e*ln(2) + log(1+f).
func (r *row) log1p(f, e vec) vec {
	p := r.poly(logC, f)
	z := r.mul(f, f)
	y := r.mul(r.mul(z, f), p)
	r.acc(y, e, r.f32(logLn2Lo))
	r.acc(y, z, r.f32(-0.5))
	y = r.add(f, y)
	r.acc(y, e, r.f32(logLn2Hi))
	return y
}

// log is plain.LogF.
func (r *row) log(x vec) vec {
	const tiny = 0x1p-126
	s, bias := r.copy(x), r.copy(r.f32(0))
	r.sel(s, r.mul(x, r.f32(0x1p23)), x, less, r.f32(tiny))
	r.sel(bias, r.f32(-23), x, less, r.f32(tiny))
	u := r.subI(s, r.f32(logSqrtHalf))
	e := r.vec(r.Context)
	r.VCVTDQ2PS(r.sar(u, 23), e)
	e = r.add(e, bias)
	m := r.addI(r.and(u, r.bits(0x7fffff)), r.f32(logSqrtHalf))
	y := r.log1p(r.sub(m, r.f32(1)), e)
	r.sel(y, r.f32(float32(math.NaN())), x, notGreater, r.f32(0))
	r.sel(y, r.f32(-inf), x, equal, r.f32(0))
	r.sel(y, x, x, greater, r.f32(math.MaxFloat32))
	return y
}

// softplus is plain.SoftplusF.
func (r *row) softplus(x vec) vec {
	t := r.exp(r.or(x, r.bits(signBit)))
	f, e := r.copy(t), r.copy(r.f32(0))
	half := r.mul(r.sub(t, r.f32(1)), r.f32(0.5))
	r.sel(f, half, t, greater, r.f32(logSqrt2Less1))
	r.sel(e, r.f32(1), t, greater, r.f32(logSqrt2Less1))
	y := r.log1p(f, e)
	return r.add(r.max(x, r.f32(0)), y)
}

// rowFunctions makes the functions of one number.
func rowFunctions(r *row) {
	for _, f := range []struct {
		name string
		of   func(x vec) vec
	}{
		{"Exp", r.exp},
		{"Log", r.log},
		{"Sigmoid", r.sigmoid},
		{"Silu", r.silu},
		{"Softplus", r.softplus},
		{"SqrtSoftplus", func(x vec) vec { return r.sqrt(r.softplus(x)) }},
	} {
		r.flat(f.name, "is plain."+f.name+".", "dst", "src", "", func(in, _ []vec) []vec {
			return []vec{f.of(in[0])}
		})
	}
}
