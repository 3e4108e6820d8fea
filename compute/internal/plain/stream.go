package plain

// Streams is the number of residual streams of a manifold-constrained
// hyper-connection.
const Streams = 4

// HCPre mixes the streams of one token, x [4, D], into one row:
//
//	for i := range a {
//		v := pre[0] * x[i]
//		for j := 1; j < 4; j++ {
//			v = FMA32(pre[j], x[j*D+i], v)
//		}
//		a[i] = v
//	}
func HCPre(a, x []float32, pre *[4]float32) {
	n := len(a)
	for i := range a {
		v := pre[0] * x[i]
		v = FMA32(pre[1], x[n+i], v)
		v = FMA32(pre[2], x[2*n+i], v)
		a[i] = FMA32(pre[3], x[3*n+i], v)
	}
}

// HCPreBackward is, for each stream j of one token,
//
//	dpre[j] = Dot(da, x[j])
//	for i := range da {
//		dx[j*D+i] = FMA32(pre[j], da[i], dx[j*D+i])
//	}
func HCPreBackward(dx []float32, dpre *[4]float32, da, x []float32, pre *[4]float32) {
	n := len(da)
	for j := range dpre {
		dpre[j] = Dot(da, x[j*n:j*n+n])
		Axpy(dx[j*n:j*n+n], pre[j], da)
	}
}

// HCPost makes the next streams of one token from its streams and a
// sublayer's output f [D]:
//
//	for k := 0; k < 4; k++ {
//		for i := range f {
//			v := post[k] * f[i]
//			for j := 0; j < 4; j++ {
//				v = FMA32(comb[4*j+k], x[j*D+i], v)
//			}
//			y[k*D+i] = v
//		}
//	}
func HCPost(y, x, f []float32, post *[4]float32, comb *[16]float32) {
	n := len(f)
	for k := range post {
		for i, fi := range f {
			v := post[k] * fi
			for j := 0; j < Streams; j++ {
				v = FMA32(comb[4*j+k], x[j*n+i], v)
			}
			y[k*n+i] = v
		}
	}
}

// HCPostBackward is, for one token,
//
//	dpost[k] = Dot(dy[k], f)
//	dcomb[4*j+k] = Dot(dy[k], x[j])
//	df[i] = post[0]*dy[0][i], then FMA32(post[k], dy[k][i], ·) for k = 1, 2, 3
//	dx[j][i] = comb[4*j]*dy[0][i], then FMA32(comb[4*j+k], dy[k][i], ·)
func HCPostBackward(dx, df []float32, dpost *[4]float32, dcomb *[16]float32, dy, x, f []float32, post *[4]float32, comb *[16]float32) {
	n := len(f)
	HCPre(df, dy, post)
	for k := range dpost {
		dpost[k] = Dot(dy[k*n:k*n+n], f)
	}
	for j := 0; j < Streams; j++ {
		HCPre(dx[j*n:j*n+n], dy, (*[4]float32)(comb[4*j:4*j+4]))
		for k := range dpost {
			dcomb[4*j+k] = Dot(dy[k*n:k*n+n], x[j*n:j*n+n])
		}
	}
}
