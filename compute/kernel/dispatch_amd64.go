//go:build amd64 && !noasm

package kernel

import (
	"unsafe"

	"github.com/temper-ml/temper/compute/dtype"
	"github.com/temper-ml/temper/compute/internal/asm"
	"github.com/temper-ml/temper/compute/internal/plain"
)

func init() {
	opsOf[asm.AVX2] = &rowOps{
		add: asm.AddAVX2, mul: asm.MulAVX2, mulAdd: asm.MulAddAVX2, scale: asm.ScaleAVX2,
		axpy: func(dst []float32, s float32, x []float32) { asm.AxpyAVX2(dst, x, s) },
		exp:  asm.ExpAVX2, log: asm.LogAVX2, sigmoid: asm.SigmoidAVX2, silu: asm.SiluAVX2,
		softplus: asm.SoftplusAVX2, sqrtSoftplus: asm.SqrtSoftplusAVX2,
		dot: asm.DotAVX2, sum: asm.SumAVX2, max: asm.MaxAVX2, maxAbs: asm.MaxAbsAVX2,
		expSum: asm.ExpSumAVX2, sumExp: asm.SumExpAVX2,
		softmaxDX: func(dx, dy, p []float32) { asm.SubMulAVX2(dx, dy, p, asm.DotAVX2(dy, p)) },
		scaleMax:  asm.ScaleMaxAVX2, expScaled: asm.ExpScaledAVX2, scoreDX: asm.ScoreDXAVX2,
		reluAxpy: func(dst, x []float32, s float32) { asm.ReluAxpyAVX2(x, dst, s) },
		reluDX:   asm.ReluDXAVX2, maxTo: asm.MaxToAVX2,
		scaleTo:   scaleTo(asm.ScaleToAVX2, asm.ScaleTo1AVX2),
		rmsNormDX: normDX{asm.DotAVX2, asm.Dot3AVX2, asm.NormDXAVX2, asm.NormDX1AVX2}.row,
		rmsNormDW: asm.NormDWAVX2,
		rope:      wholePairs(asm.RopeAVX2), hadamard: wholeBlock(asm.HadamardAVX2),
		swiGLU: asm.SwiGLUAVX2, swiGLUBack: asm.SwiGLUBackwardAVX2,
		hcPre: asm.HCPreAVX2, hcPreBack: asm.HCPreBackwardAVX2, hcPost: asm.HCPostAVX2,
		hcPostBack:   hcPostBackByStream,
		hcMap:        sinkhorn{asm.HCGatesAVX2, asm.HCSoftmaxAVX2, asm.HCSinkhornAVX2}.forward,
		hcMapBack:    hcMapBackAVX2,
		adamW:        adamW(asm.AdamWAVX2),
		fakeQuantFP8: fakeQuant(asm.MaxAbsAVX2, asm.QuantE4M3AVX2, dtype.ScaleE4M3),
		fakeQuantFP4: fakeQuant(asm.MaxAbsAVX2, asm.QuantE2M1AVX2, dtype.ScaleE2M1),
		roundBF16:    asm.RoundBF16AVX2,
	}
	opsOf[asm.AVX512] = &rowOps{
		add: asm.AddAVX512, mul: asm.MulAVX512, mulAdd: asm.MulAddAVX512, scale: asm.ScaleAVX512,
		axpy: func(dst []float32, s float32, x []float32) { asm.AxpyAVX512(dst, x, s) },
		exp:  asm.ExpAVX512, log: asm.LogAVX512, sigmoid: asm.SigmoidAVX512, silu: asm.SiluAVX512,
		softplus: asm.SoftplusAVX512, sqrtSoftplus: asm.SqrtSoftplusAVX512,
		dot: asm.DotAVX512, sum: asm.SumAVX512, max: asm.MaxAVX512, maxAbs: asm.MaxAbsAVX512,
		expSum: asm.ExpSumAVX512, sumExp: asm.SumExpAVX512,
		softmaxDX: func(dx, dy, p []float32) { asm.SubMulAVX512(dx, dy, p, asm.DotAVX512(dy, p)) },
		scaleMax:  asm.ScaleMaxAVX512, expScaled: asm.ExpScaledAVX512, scoreDX: asm.ScoreDXAVX512,
		reluAxpy: func(dst, x []float32, s float32) { asm.ReluAxpyAVX512(x, dst, s) },
		reluDX:   asm.ReluDXAVX512, maxTo: asm.MaxToAVX512,
		scaleTo:   scaleTo(asm.ScaleToAVX512, asm.ScaleTo1AVX512),
		rmsNormDX: normDX{asm.DotAVX512, asm.Dot3AVX512, asm.NormDXAVX512, asm.NormDX1AVX512}.row,
		rmsNormDW: asm.NormDWAVX512,
		rope:      wholePairs(asm.RopeAVX512), hadamard: wholeBlock(asm.HadamardAVX512),
		swiGLU: asm.SwiGLUAVX512, swiGLUBack: asm.SwiGLUBackwardAVX512,
		hcPre: asm.HCPreAVX512, hcPreBack: asm.HCPreBackwardAVX512, hcPost: asm.HCPostAVX512,
		hcPostBack:   asm.HCPostBackwardAVX512,
		hcMap:        sinkhorn{asm.HCGatesAVX512, asm.HCSoftmaxAVX512, asm.HCSinkhornAVX512}.forward,
		hcMapBack:    hcMapBackAVX512,
		adamW:        adamW(asm.AdamWAVX512),
		fakeQuantFP8: fakeQuant(asm.MaxAbsAVX512, asm.QuantE4M3AVX512, dtype.ScaleE4M3),
		fakeQuantFP4: fakeQuant(asm.MaxAbsAVX512, asm.QuantE2M1AVX512, dtype.ScaleE2M1),
		roundBF16:    asm.RoundBF16AVX512,
	}
}

// scaleTo chooses between the loops with and without weights.
func scaleTo(weighted func(y, x, w []float32, r float32), bare func(y, x []float32, r float32)) func(y, x, w []float32, r float32) {
	return func(y, x, w []float32, r float32) {
		if w == nil {
			bare(y, x, r)
			return
		}
		weighted(y, x, w, r)
	}
}

// normDX is plain.RMSNormDX put together from its loops.
type normDX struct {
	dot   func(a, b []float32) float32
	dot3  func(dy, w, x []float32) float32
	apply func(dx, dy, x, w []float32, r, k float32)
	bare  func(dx, dy, x []float32, r, k float32)
}

func (n normDX) row(dx, dy, x, w []float32, r float32) {
	if w == nil {
		n.bare(dx, dy, x, r, plain.RMSNormK(n.dot(dy, x), r, len(x)))
		return
	}
	n.apply(dx, dy, x, w, r, plain.RMSNormK(n.dot3(dy, w, x), r, len(x)))
}

// wholePairs sends what the assembly does not take to the plain loop.
func wholePairs(f func(x, cos, sin []float32, sign float32)) func(x, cos, sin []float32, sign float32) {
	return func(x, cos, sin []float32, sign float32) {
		if len(cos)%8 != 0 {
			plain.Rope(x, cos, sin, sign)
			return
		}
		f(x, cos, sin, sign)
	}
}

// wholeBlock sends what the assembly does not take to the plain loop.
func wholeBlock(f func(x []float32, scale float32)) func(x []float32, scale float32) {
	return func(x []float32, scale float32) {
		if len(x) < 16 {
			plain.Hadamard(x, scale)
			return
		}
		f(x, scale)
	}
}

// hcPostBackByStream is plain.HCPostBackward in five passes over dy.
func hcPostBackByStream(dx, df []float32, dpost *[4]float32, dcomb *[16]float32, dy, x, f []float32, post *[4]float32, comb *[16]float32) {
	n := len(f)
	asm.HCMixBackwardAVX2(df, dpost, dy, f, post)
	for j := 0; j < plain.Streams; j++ {
		asm.HCMixBackwardAVX2(dx[j*n:j*n+n], (*[4]float32)(dcomb[4*j:]), dy, x[j*n:j*n+n], (*[4]float32)(comb[4*j:]))
	}
}

// sinkhorn is plain.HCMap put together from its loops.
type sinkhorn struct {
	gates     func(out, m *[24][16]float32, scale *[3]float32, base *[24]float32, eps float32)
	softmax   func(c *[16][16]float32, m *[24][16]float32, scale *[3]float32, base *[24]float32)
	normalise func(c *[16][16]float32, iters int, eps float32)
}

func (s sinkhorn) forward(out, m *plain.Group, scale *[3]float32, base *[24]float32, iters int, eps float32) {
	o, in := (*[24][16]float32)(out), (*[24][16]float32)(m)
	s.gates(o, in, scale, base, eps)
	c := (*[16][16]float32)(o[8:])
	s.softmax(c, in, scale, base)
	s.normalise(c, iters, eps)
}

func hcMapBackAVX2(dz, dout, m *plain.Group, scale *[3]float32, base *[24]float32, iters int, eps float32, steps []plain.HCStep) {
	var p [16][16]float32
	z, in := (*[24][16]float32)(dz), (*[24][16]float32)(m)
	asm.HCGatesBackwardAVX2(z, (*[24][16]float32)(dout), in, scale, base)
	asm.HCSoftmaxAVX2(&p, in, scale, base)
	to := (*float32)(unsafe.Pointer(&steps[0]))
	asm.HCSinkhornStepsAVX2(to, &p, iters, eps)
	d := (*[16][16]float32)(z[8:])
	*d = [16][16]float32(dout[8:])
	asm.HCSinkhornBackwardAVX2(d, to, iters)
	asm.HCSoftmaxBackwardAVX2(d, &p)
}

func hcMapBackAVX512(dz, dout, m *plain.Group, scale *[3]float32, base *[24]float32, iters int, eps float32, steps []plain.HCStep) {
	var p [16][16]float32
	z, in := (*[24][16]float32)(dz), (*[24][16]float32)(m)
	asm.HCGatesBackwardAVX512(z, (*[24][16]float32)(dout), in, scale, base)
	asm.HCSoftmaxAVX512(&p, in, scale, base)
	to := (*float32)(unsafe.Pointer(&steps[0]))
	asm.HCSinkhornStepsAVX512(to, &p, iters, eps)
	d := (*[16][16]float32)(z[8:])
	*d = [16][16]float32(dout[8:])
	asm.HCSinkhornBackwardAVX512(d, to, iters)
	asm.HCSoftmaxBackwardAVX512(d, &p)
}

// adamW spreads the numbers of a step over sixteen lanes.
func adamW(f func(p, g, m, v []float32, a *[10][16]float32)) func(p, g, m, v []float32, a *plain.Adam) {
	return func(p, g, m, v []float32, a *plain.Adam) {
		var lanes [10][16]float32
		for i, x := range [10]float32{
			a.Beta1, a.Beta2, a.Rest1, a.Rest2, a.Eps, -a.LR, a.Keep, a.Corr1, a.Corr2, a.GradScale,
		} {
			for l := range lanes[i] {
				lanes[i][l] = x
			}
		}
		f(p, g, m, v, &lanes)
	}
}

// fakeQuant is a fake quantisation put together from its loops.
func fakeQuant(maxAbs func([]float32) float32, quant func(x []float32, up, down float32), scale func(float32) float32) func([]float32) {
	return func(x []float32) {
		up := scale(maxAbs(x))
		quant(x, up, dtype.ScaleInverse(up))
	}
}
