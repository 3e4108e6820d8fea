package plain

// Adam holds the numbers of one AdamW step; see AdamW for their use.
type Adam struct {
	Beta1, Beta2 float32 // decay of the moments
	Rest1, Rest2 float32 // 1-Beta1, 1-Beta2
	Eps          float32
	LR           float32 // the learning rate
	Keep         float32 // 1 - LR*decay
	Corr1, Corr2 float32 // 1-Beta1^t, 1-Beta2^t
	GradScale    float32 // the clip factor
}

// AdamW is
//
//	for i := range p {
//		g := g[i] * GradScale
//		m[i] = FMA32(Rest1, g, float32(Beta1*m[i]))
//		v[i] = FMA32(float32(Rest2*g), g, float32(Beta2*v[i]))
//		u := float32(m[i]/Corr1) / (sqrt(v[i]/Corr2) + Eps)
//		p[i] = FMA32(-LR, u, float32(p[i]*Keep))
//	}
func AdamW(p, g, m, v []float32, a *Adam) {
	for i := range p {
		d := g[i] * a.GradScale
		m1 := FMA32(a.Rest1, d, float32(a.Beta1*m[i]))
		v1 := FMA32(float32(a.Rest2*d), d, float32(a.Beta2*v[i]))
		u := float32(m1/a.Corr1) / (sqrt(v1/a.Corr2) + a.Eps)
		m[i], v[i] = m1, v1
		p[i] = FMA32(-a.LR, u, float32(p[i]*a.Keep))
	}
}
