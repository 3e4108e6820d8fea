package kernel

import (
	"github.com/temper-ml/temper/compute/internal/asm"
	"github.com/temper-ml/temper/compute/internal/plain"
)

// rowOps is one instruction set's version of the loops of package plain, which
// defines each of them under the same name.
type rowOps struct {
	add, mul, mulAdd func(dst, a, b []float32)
	axpy             func(dst []float32, s float32, x []float32)
	scale            func(dst []float32, s float32)

	exp, log, sigmoid, silu, softplus, sqrtSoftplus func(dst, src []float32)

	dot          func(a, b []float32) float32
	sum          func(a []float32) float32
	max, maxAbs  func(a []float32) float32
	expSum       func(x []float32, m float32) float32
	sumExp       func(x []float32, m float32) float32
	softmaxDX    func(dx, dy, p []float32)
	scaleMax     func(x []float32, s float32) float32
	expScaled    func(x []float32, s, m float32)
	scoreDX      func(ds, p []float32, delta, scale float32)
	reluAxpy     func(dst, x []float32, s float32)
	reluDX       func(x, d []float32, s float32)
	maxTo        func(dst, x []float32)
	scaleTo      func(y, x, w []float32, r float32)
	rmsNormDX    func(dx, dy, x, w []float32, r float32)
	rmsNormDW    func(dw, dy, x []float32, r float32)
	rope         func(x, cos, sin []float32, sign float32)
	hadamard     func(x []float32, scale float32)
	swiGLU       func(h, g, u []float32, weight, limit float32)
	swiGLUBack   func(dg, du, dh, g, u []float32, weight, limit float32) float32
	hcPre        func(a, x []float32, pre *[4]float32)
	hcPreBack    func(dx []float32, dpre *[4]float32, da, x []float32, pre *[4]float32)
	hcPost       func(y, x, f []float32, post *[4]float32, comb *[16]float32)
	hcPostBack   func(dx, df []float32, dpost *[4]float32, dcomb *[16]float32, dy, x, f []float32, post *[4]float32, comb *[16]float32)
	hcMap        func(out, m *plain.Group, scale *[3]float32, base *[24]float32, iters int, eps float32)
	hcMapBack    func(dz, dout, m *plain.Group, scale *[3]float32, base *[24]float32, iters int, eps float32, steps []plain.HCStep)
	adamW        func(p, g, m, v []float32, a *plain.Adam)
	fakeQuantFP8 func(x []float32)
	fakeQuantFP4 func(x []float32)
	roundBF16    func(x []float32)
}

var plainOps = rowOps{
	add: plain.Add, mul: plain.Mul, mulAdd: plain.MulAdd,
	axpy: plain.Axpy, scale: plain.Scale,
	exp: plain.Exp, log: plain.Log, sigmoid: plain.Sigmoid, silu: plain.Silu,
	softplus: plain.Softplus, sqrtSoftplus: plain.SqrtSoftplus,
	dot: plain.Dot, sum: plain.Sum, max: plain.Max, maxAbs: plain.MaxAbs,
	expSum: plain.ExpSum, sumExp: plain.SumExp, softmaxDX: plain.SoftmaxDX,
	scaleMax: plain.ScaleMax, expScaled: plain.ExpScaled, scoreDX: plain.ScoreDX,
	reluAxpy: plain.ReluAxpy, reluDX: plain.ReluDX, maxTo: plain.MaxTo,
	scaleTo: plain.ScaleTo, rmsNormDX: plain.RMSNormDX, rmsNormDW: plain.RMSNormDW,
	rope: plain.Rope, hadamard: plain.Hadamard,
	swiGLU: plain.SwiGLU, swiGLUBack: plain.SwiGLUBackward,
	hcPre: plain.HCPre, hcPreBack: plain.HCPreBackward,
	hcPost: plain.HCPost, hcPostBack: plain.HCPostBackward,
	hcMap: plain.HCMap, hcMapBack: plain.HCMapBackward,
	adamW:        plain.AdamW,
	fakeQuantFP8: plain.FakeQuantE4M3, fakeQuantFP4: plain.FakeQuantE2M1,
	roundBF16: plain.RoundBF16,
}

// opsOf holds the loops of each level.
var opsOf = [...]*rowOps{asm.Go: &plainOps, asm.AVX2: &plainOps, asm.AVX512: &plainOps, asm.NEON: &plainOps}

// ops returns the loops of the active path.
func ops() *rowOps {
	if w := watching.Load(); w != nil {
		return w.rows(asm.Active())
	}
	return opsOf[asm.Active()]
}
