package kernel

import "github.com/temper-ml/temper/compute/internal/plain"

// Multiplications of the polynomials behind one element; see package plain.
const (
	expCost      = 10
	logCost      = 14
	softplusCost = expCost + 1 + logCost
)

// telling returns the loops of o, each of which first tells its name and how many
// multiplications its definition in package plain has.
func (o *rowOps) telling(tell func(name string, n int)) *rowOps {
	t := *o
	t.tellPlain(o, tell)
	t.tellFunctions(o, tell)
	t.tellReductions(o, tell)
	t.tellScores(o, tell)
	t.tellNorms(o, tell)
	t.tellStreams(o, tell)
	return &t
}

func (t *rowOps) tellPlain(o *rowOps, tell func(name string, n int)) {
	t.mul = func(dst, a, b []float32) { tell("mul", len(dst)); o.mul(dst, a, b) }
	t.mulAdd = func(dst, a, b []float32) { tell("mulAdd", len(dst)); o.mulAdd(dst, a, b) }
	t.axpy = func(dst []float32, s float32, x []float32) { tell("axpy", len(dst)); o.axpy(dst, s, x) }
	t.scale = func(dst []float32, s float32) { tell("scale", len(dst)); o.scale(dst, s) }
	t.adamW = func(p, g, m, v []float32, a *plain.Adam) { tell("adamW", 8*len(p)); o.adamW(p, g, m, v, a) }
	t.fakeQuantFP8 = func(x []float32) { tell("fakeQuantFP8", 2*len(x)); o.fakeQuantFP8(x) }
	t.fakeQuantFP4 = func(x []float32) { tell("fakeQuantFP4", 2*len(x)); o.fakeQuantFP4(x) }
}

func (t *rowOps) tellFunctions(o *rowOps, tell func(name string, n int)) {
	each := func(name string, cost int, f func(dst, src []float32)) func(dst, src []float32) {
		return func(dst, src []float32) { tell(name, cost*len(dst)); f(dst, src) }
	}
	t.exp, t.log = each("exp", expCost, o.exp), each("log", logCost, o.log)
	t.sigmoid, t.silu = each("sigmoid", expCost, o.sigmoid), each("silu", expCost, o.silu)
	t.softplus = each("softplus", softplusCost, o.softplus)
	t.sqrtSoftplus = each("sqrtSoftplus", softplusCost, o.sqrtSoftplus)
	t.swiGLU = func(h, g, u []float32, weight, limit float32) {
		tell("swiGLU", (expCost+2)*len(h))
		o.swiGLU(h, g, u, weight, limit)
	}
	t.swiGLUBack = func(dg, du, dh, g, u []float32, weight, limit float32) float32 {
		tell("swiGLUBack", (expCost+8)*len(dh))
		return o.swiGLUBack(dg, du, dh, g, u, weight, limit)
	}
}

func (t *rowOps) tellReductions(o *rowOps, tell func(name string, n int)) {
	t.dot = func(a, b []float32) float32 { tell("dot", len(a)); return o.dot(a, b) }
	t.expSum = func(x []float32, m float32) float32 { tell("expSum", expCost*len(x)); return o.expSum(x, m) }
	t.sumExp = func(x []float32, m float32) float32 { tell("sumExp", expCost*len(x)); return o.sumExp(x, m) }
	t.softmaxDX = func(dx, dy, p []float32) { tell("softmaxDX", 2*len(dx)); o.softmaxDX(dx, dy, p) }
}

func (t *rowOps) tellScores(o *rowOps, tell func(name string, n int)) {
	t.scaleMax = func(x []float32, s float32) float32 { tell("scaleMax", len(x)); return o.scaleMax(x, s) }
	t.expScaled = func(x []float32, s, m float32) { tell("expScaled", (expCost+1)*len(x)); o.expScaled(x, s, m) }
	t.scoreDX = func(ds, p []float32, delta, scale float32) {
		tell("scoreDX", 3*len(ds))
		o.scoreDX(ds, p, delta, scale)
	}
	t.reluAxpy = func(dst, x []float32, s float32) { tell("reluAxpy", len(x)); o.reluAxpy(dst, x, s) }
	t.reluDX = func(x, d []float32, s float32) { tell("reluDX", len(x)); o.reluDX(x, d, s) }
}

func (t *rowOps) tellNorms(o *rowOps, tell func(name string, n int)) {
	with := func(w []float32, bare, weighted int) int {
		if w == nil {
			return bare
		}
		return weighted
	}
	t.scaleTo = func(y, x, w []float32, r float32) { tell("scaleTo", with(w, 1, 2)*len(y)); o.scaleTo(y, x, w, r) }
	t.rmsNormDX = func(dx, dy, x, w []float32, r float32) {
		tell("rmsNormDX", with(w, 3, 5)*len(dx))
		o.rmsNormDX(dx, dy, x, w, r)
	}
	t.rmsNormDW = func(dw, dy, x []float32, r float32) { tell("rmsNormDW", 2*len(dw)); o.rmsNormDW(dw, dy, x, r) }
	t.rope = func(x, cos, sin []float32, sign float32) { tell("rope", 5*len(cos)); o.rope(x, cos, sin, sign) }
	t.hadamard = func(x []float32, scale float32) { tell("hadamard", len(x)); o.hadamard(x, scale) }
}

func (t *rowOps) tellStreams(o *rowOps, tell func(name string, n int)) {
	t.hcPre = func(a, x []float32, pre *[4]float32) { tell("hcPre", 4*len(a)); o.hcPre(a, x, pre) }
	t.hcPreBack = func(dx []float32, dpre *[4]float32, da, x []float32, pre *[4]float32) {
		tell("hcPreBack", 8*len(da))
		o.hcPreBack(dx, dpre, da, x, pre)
	}
	t.hcPost = func(y, x, f []float32, post *[4]float32, comb *[16]float32) {
		tell("hcPost", 20*len(f))
		o.hcPost(y, x, f, post, comb)
	}
	t.hcPostBack = func(dx, df []float32, dpost *[4]float32, dcomb *[16]float32, dy, x, f []float32, post *[4]float32, comb *[16]float32) {
		tell("hcPostBack", 40*len(f))
		o.hcPostBack(dx, df, dpost, dcomb, dy, x, f, post, comb)
	}
	// Gates, a softmax, and 2*iters-1 normalisations, each with its gradient.
	t.hcMap = func(out, m *plain.Group, scale *[3]float32, base *[24]float32, iters int, eps float32) {
		tell("hcMap", plain.Lanes*(92+16*(expCost+2)+16*(2*iters-1)))
		o.hcMap(out, m, scale, base, iters, eps)
	}
	t.hcMapBack = func(dz, dout, m *plain.Group, scale *[3]float32, base *[24]float32, iters int, eps float32, steps []plain.HCStep) {
		tell("hcMapBack", plain.Lanes*(108+16*(expCost+2)+48*(2*iters-1)+32))
		o.hcMapBack(dz, dout, m, scale, base, iters, eps, steps)
	}
}
