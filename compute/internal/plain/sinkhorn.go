package plain

// The mixing map of a hyper-connection turns 24 numbers of a token into the
// weights of its streams. Sixteen tokens are done at once, one a lane: a
// column of a Group holds one of the 24 numbers of sixteen tokens.

// Group is 24 numbers of sixteen tokens: 4 pre, 4 post, 16 comb.
type Group [24][Lanes]float32

// mix is a 4x4 matrix for each of sixteen tokens, row-major.
type mix [16][Lanes]float32

// HCMap computes, for each lane of the group,
//
//	pre[j] = SigmoidF(z[j]) + eps
//	post[k] = 2 * SigmoidF(z[4+k])
//	c = softmax of each row of z[8:24] as a 4x4 matrix, + eps
//	c = columns(c)
//	iters-1 times: c = columns(rows(c))
//
// where z = FMA32(m[i], scale[group], base[i]), and rows(c) multiplies each
// element by 1 / (((c0+c1)+(c2+c3)) + eps) of its row, columns of its column.
// A softmax row is e[k] * (1 / ((e0+e1)+(e2+e3))), e[k] = ExpF(z[k] - max).
func HCMap(out, m *Group, scale *[3]float32, base *[24]float32, iters int, eps float32) {
	for l := 0; l < Lanes; l++ {
		for i := 0; i < 4; i++ {
			out[i][l] = SigmoidF(FMA32(m[i][l], scale[0], base[i])) + eps
			out[4+i][l] = 2 * SigmoidF(FMA32(m[4+i][l], scale[1], base[4+i]))
		}
	}
	c := (*mix)(out[8:])
	combSoftmax(c, m, scale[2], base)
	for i := range c {
		for l := range c[i] {
			c[i][l] += eps
		}
	}
	for it := 0; it < iters; it++ {
		if it > 0 {
			normalise(c, nil, 4, 1, eps)
		}
		normalise(c, nil, 1, 4, eps)
	}
}

// combSoftmax sets c to the row softmax of the 16 comb numbers.
func combSoftmax(c *mix, m *Group, scale float32, base *[24]float32) {
	for l := 0; l < Lanes; l++ {
		for j := 0; j < 16; j += 4 {
			var z [4]float32
			for k := range z {
				z[k] = FMA32(m[8+j+k][l], scale, base[8+j+k])
			}
			mx := maxPS(maxPS(z[0], z[1]), maxPS(z[2], z[3]))
			for k := range z {
				z[k] = ExpF(z[k] - mx)
			}
			inv := 1 / ((z[0] + z[1]) + (z[2] + z[3]))
			for k := range z {
				c[j+k][l] = z[k] * inv
			}
		}
	}
}

// normalise divides the four lines of c, line i starting at i*line with its
// elements step apart, by their sums plus eps, and stores the factors in inv.
func normalise(c *mix, inv *[4][Lanes]float32, line, step int, eps float32) {
	for i := 0; i < 4; i++ {
		a, b, d, e := &c[i*line], &c[i*line+step], &c[i*line+2*step], &c[i*line+3*step]
		for l := 0; l < Lanes; l++ {
			r := 1 / (((a[l] + b[l]) + (d[l] + e[l])) + eps)
			a[l] *= r
			b[l] *= r
			d[l] *= r
			e[l] *= r
			if inv != nil {
				inv[i][l] = r
			}
		}
	}
}

// HCStep is what HCMapBackward remembers of one normalisation: its result and
// the four factors.
type HCStep struct {
	c   mix
	inv [4][Lanes]float32
}

// HCMapBackward sets dz to the gradient of z in HCMap, given in dout that of
// its results. It computes the map again, keeping each normalisation in steps,
// which holds 2*iters-1 of them, and then goes back through them: the
// gradient of y = x*inv, inv = 1/(sum(x)+eps), is
//
//	t = FMA32(dy1, y1, float32(dy0*y0)) + FMA32(dy3, y3, float32(dy2*y2))
//	dx = (dy - t) * inv
//
// that of a softmax p*(dp - t) with the same t, that of pre
// dout * (s*(1-s)), s = SigmoidF(z), and that of post the double of this.
func HCMapBackward(dz, dout, m *Group, scale *[3]float32, base *[24]float32, iters int, eps float32, steps []HCStep) {
	for l := 0; l < Lanes; l++ {
		for i := 0; i < 4; i++ {
			s := SigmoidF(FMA32(m[i][l], scale[0], base[i]))
			dz[i][l] = dout[i][l] * float32(s*(1-s))
			s = SigmoidF(FMA32(m[4+i][l], scale[1], base[4+i]))
			dz[4+i][l] = float32(2*dout[4+i][l]) * float32(s*(1-s))
		}
	}
	var p, c mix
	combSoftmax(&p, m, scale[2], base)
	for i := range c {
		for l := range c[i] {
			c[i][l] = p[i][l] + eps
		}
	}
	for it := 0; it < 2*iters-1; it++ {
		line, step := 1, 4
		if it%2 == 1 {
			line, step = 4, 1
		}
		normalise(&c, &steps[it].inv, line, step, eps)
		steps[it].c = c
	}
	d := (*mix)(dz[8:])
	*d = *(*mix)(dout[8:])
	for it := 2*iters - 2; it >= 0; it-- {
		line, step := 1, 4
		if it%2 == 1 {
			line, step = 4, 1
		}
		normaliseBackward(d, &steps[it].c, &steps[it].inv, line, step)
	}
	for j := 0; j < 16; j += 4 {
		for l := 0; l < Lanes; l++ {
			t := FMA32(d[j+1][l], p[j+1][l], float32(d[j][l]*p[j][l])) + FMA32(d[j+3][l], p[j+3][l], float32(d[j+2][l]*p[j+2][l]))
			for k := j; k < j+4; k++ {
				d[k][l] = p[k][l] * float32(d[k][l]-t)
			}
		}
	}
}

// normaliseBackward turns the gradient d of a normalisation's result y into
// that of what it normalised.
func normaliseBackward(d, y *mix, inv *[4][Lanes]float32, line, step int) {
	for i := 0; i < 4; i++ {
		o := i * line
		for l := 0; l < Lanes; l++ {
			d0, d1, d2, d3 := d[o][l], d[o+step][l], d[o+2*step][l], d[o+3*step][l]
			t := FMA32(d1, y[o+step][l], float32(d0*y[o][l])) + FMA32(d3, y[o+3*step][l], float32(d2*y[o+2*step][l]))
			r := inv[i][l]
			d[o][l] = float32(d0-t) * r
			d[o+step][l] = float32(d1-t) * r
			d[o+2*step][l] = float32(d2-t) * r
			d[o+3*step][l] = float32(d3-t) * r
		}
	}
}
