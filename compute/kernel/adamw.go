package kernel

import "github.com/temper-ml/temper/compute/internal/plain"

// AdamW makes one step of AdamW on parameters p with gradient g and moments m
// and v, in one pass. c1 = 1-beta1^t and c2 = 1-beta2^t correct the moments'
// bias; gscale multiplies the gradient (gradient clipping); lr and decay act
// decoupled:
//
//	g' = g*gscale
//	m = fma(1-beta1, g', beta1*m)
//	v = fma((1-beta2)*g', g', beta2*v)
//	p = fma(-lr, (m/c1) / (sqrt(v/c2)+eps), p*(1-lr*decay))
func AdamW(p, g, m, v []float32, lr, beta1, beta2, eps, decay, c1, c2, gscale float32) {
	wantLen("AdamW", "g", len(g), len(p))
	wantLen("AdamW", "m", len(m), len(p))
	wantLen("AdamW", "v", len(v), len(p))
	a := &plain.Adam{
		Beta1: beta1, Beta2: beta2, Rest1: 1 - beta1, Rest2: 1 - beta2, Eps: eps,
		LR: lr, Keep: 1 - float32(lr*decay), Corr1: c1, Corr2: c2, GradScale: gscale,
	}
	o := ops()
	Parallel(len(p), flatGrain/4, func(lo, hi int) { o.adamW(p[lo:hi], g[lo:hi], m[lo:hi], v[lo:hi], a) })
}
