package kerneltest

import (
	"math"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
)

// naiveMap is HCMap of one token in float64.
func naiveMap(m, scale, base []float64, iters int, eps float64) (out []float64) {
	z := make([]float64, 24)
	for i := range z {
		g := 2
		if i < 8 {
			g = i / 4
		}
		z[i] = m[i]*scale[g] + base[i]
	}
	for i, v := range z[:8] {
		s := 1 / (1 + math.Exp(-v))
		if i < 4 {
			out = append(out, s+eps)
		} else {
			out = append(out, 2*s)
		}
	}
	c := z[8:]
	each := func(line, step int, f func(a []*float64)) {
		for i := range 4 {
			var a []*float64
			for k := range 4 {
				a = append(a, &c[i*line+k*step])
			}
			f(a)
		}
	}
	normalise := func(a []*float64) {
		s := *a[0] + *a[1] + *a[2] + *a[3] + eps
		for _, p := range a {
			*p /= s
		}
	}
	each(4, 1, func(a []*float64) {
		var s float64
		for _, p := range a {
			*p = math.Exp(*p)
			s += *p
		}
		for _, p := range a {
			*p = *p/s + eps
		}
	})
	each(1, 4, normalise)
	for range iters - 1 {
		each(4, 1, normalise)
		each(1, 4, normalise)
	}
	return append(out, c...)
}

func TestHCMapGradient(t *testing.T) {
	const T, eps = 17, 1e-6
	for _, iters := range []int{1, 2, 20} {
		l := layer{
			name: "HCMap",
			// Each normalisation rounds five times, but a relative error common to a
			// line is undone by the next; dscale is a sum over 16 numbers and T tokens.
			depth: 12*2*min(iters, 4) + 16 + T,
			in:    [][]float32{numbers(1, T*24, 1), {0.7, 1.2, 0.9}, numbers(3, 24, 1)},
			naive: func(in [][]float64) []float64 {
				var pre, post, comb []float64
				for tok := range T {
					o := naiveMap(in[0][tok*24:tok*24+24], in[1], in[2], iters, float64(float32(eps)))
					pre, post, comb = append(pre, o[:4]...), append(post, o[4:8]...), append(comb, o[8:]...)
				}
				return append(append(pre, post...), comb...)
			},
			run: func(in [][]float32, c []float32) ([]float32, [][]float32) {
				out := zeros(T * 24)
				kernel.HCMap(out[:T*4], out[T*4:T*8], out[T*8:], in[0], in[1], in[2], T, iters, eps)
				dm, dscale, dbase := zeros(T*24), zeros(3), zeros(24)
				kernel.HCMapBackward(dm, dscale, dbase, c[:T*4], c[T*4:T*8], c[T*8:], in[0], in[1], in[2], T, iters, eps)
				return out, [][]float32{dm, dscale, dbase}
			},
			slack: 1, // the gradient of a doubly stochastic matrix is a difference
		}
		l.everyPath(t)
	}
}

func TestHCMapIsDoublyStochastic(t *testing.T) {
	const T = 40
	m := numbers(5, T*24, 1)
	pre, post, comb := zeros(T*4), zeros(T*4), zeros(T*16)
	kernel.HCMap(pre, post, comb, m, []float32{1, 1, 1}, zeros(24), T, 20, 1e-6)
	for tok := range T {
		for i := range 4 {
			var row, col float64
			for k := range 4 {
				row += float64(comb[tok*16+4*i+k])
				col += float64(comb[tok*16+4*k+i])
			}
			if math.Abs(row-1) > 1e-4 || math.Abs(col-1) > 1e-5 {
				t.Errorf("token %d: row %d sums to %g, column to %g", tok, i, row, col)
			}
		}
	}
}

func TestHCPreGradient(t *testing.T) {
	const T, D = 3, 21
	l := layer{
		name: "HCPre", depth: D/16 + 10,
		in: [][]float32{numbers(1, T*4*D, 1), numbers(2, T*4, 1)},
		naive: func(in [][]float64) []float64 {
			out := make([]float64, T*D)
			for i := range out {
				for j := range 4 {
					out[i] += in[1][i/D*4+j] * in[0][(i/D*4+j)*D+i%D]
				}
			}
			return out
		},
		run: func(in [][]float32, c []float32) ([]float32, [][]float32) {
			a, dx, dpre := zeros(T*D), zeros(T*4*D), zeros(T*4)
			kernel.HCPre(a, in[0], in[1], T, D)
			kernel.HCPreBackward(dx, dpre, c, in[0], in[1], T, D)
			return a, [][]float32{dx, dpre}
		},
	}
	l.everyPath(t)
}

func TestHCPostGradient(t *testing.T) {
	const T, D = 2, 19
	l := layer{
		name: "HCPost", depth: D/16 + 10,
		in: [][]float32{numbers(1, T*4*D, 1), numbers(2, T*D, 1), numbers(3, T*4, 1), numbers(4, T*16, 1)},
		naive: func(in [][]float64) []float64 {
			x, f, post, comb := in[0], in[1], in[2], in[3]
			out := make([]float64, T*4*D)
			for i := range out {
				tok, k, d := i/(4*D), i/D%4, i%D
				out[i] = post[tok*4+k] * f[tok*D+d]
				for j := range 4 {
					out[i] += comb[tok*16+4*j+k] * x[(tok*4+j)*D+d]
				}
			}
			return out
		},
		run: func(in [][]float32, c []float32) ([]float32, [][]float32) {
			y, dx, df, dpost, dcomb := zeros(T*4*D), zeros(T*4*D), zeros(T*D), zeros(T*4), zeros(T*16)
			kernel.HCPost(y, in[0], in[1], in[2], in[3], T, D)
			kernel.HCPostBackward(dx, df, dpost, dcomb, c, in[0], in[1], in[2], in[3], T, D)
			return y, [][]float32{dx, df, dpost, dcomb}
		},
	}
	l.everyPath(t)
}
