package gemm

import (
	"math"

	"github.com/temper-ml/temper/compute/internal/asm"
)

// plain computes a task in Go.
func plain(p *Product, t *task) {
	if p.TransB {
		plainRows(p, t)
	} else {
		plainCols(p, t)
	}
}

// plainRows computes a task of a product both of whose operands hold k along
// their rows: four chains at a time.
func plainRows(p *Product, t *task) {
	a := make([]float32, p.K)
	for m := t.m0; m < t.m1; m++ {
		out := p.Out[m*p.LdOut:][:t.n1]
		for k := range a {
			a[k] = p.a(m, k)
		}
		n := t.n0
		for ; n+4 <= t.n1; n += 4 {
			var acc [4]float32
			if p.Accumulate {
				acc = [4]float32(out[n:])
			}
			var b [4][]float32
			for j := range b {
				b[j] = p.B[(n+j)*p.LdB:][:p.K]
			}
			chains4(&acc, a, b[0], b[1], b[2], b[3])
			copy(out[n:], acc[:])
		}
		for ; n < t.n1; n++ {
			var acc float32
			if p.Accumulate {
				acc = out[n]
			}
			for k, b := range p.B[n*p.LdB:][:p.K] {
				acc = asm.FMA32(a[k], b, acc)
			}
			out[n] = acc
		}
	}
}

// chains4 runs four chains over k at once.
func chains4(acc *[4]float32, a, b0, b1, b2, b3 []float32) {
	b0, b1, b2, b3 = b0[:len(a)], b1[:len(a)], b2[:len(a)], b3[:len(a)]
	c0, c1, c2, c3 := acc[0], acc[1], acc[2], acc[3]
	for k, x := range a {
		c0, c1, c2, c3 = fma4(x, b0[k], b1[k], b2[k], b3[k], c0, c1, c2, c3)
	}
	*acc = [4]float32{c0, c1, c2, c3}
}

// fma4 is asm.FMA32(x, b, c) for four pairs b, c.
func fma4(x, b0, b1, b2, b3, c0, c1, c2, c3 float32) (d0, d1, d2, d3 float32) {
	y := float64(x)
	s0 := float64(y*float64(b0)) + float64(c0)
	s1 := float64(y*float64(b1)) + float64(c1)
	s2 := float64(y*float64(b2)) + float64(c2)
	s3 := float64(y*float64(b3)) + float64(c3)
	if rare(s0) || rare(s1) || rare(s2) || rare(s3) {
		return asm.FMA32(x, b0, c0), asm.FMA32(x, b1, c1), asm.FMA32(x, b2, c2), asm.FMA32(x, b3, c3)
	}
	return float32(s0), float32(s1), float32(s2), float32(s3)
}

// rare reports whether rounding the float64 sum s to float32 may differ from
// rounding the exact sum: see asm.FMA32.
func rare(s float64) bool {
	b := math.Float64bits(s)
	return uint32(b)<<3 == 1<<31 || b<<1 < (1023-126)<<53
}

// plainCols computes a task of a product whose B holds n along its rows: it
// adds one row of B at a time to a row of the output.
func plainCols(p *Product, t *task) {
	for m := t.m0; m < t.m1; m++ {
		out := p.Out[m*p.LdOut+t.n0 : m*p.LdOut+t.n1]
		if !p.Accumulate {
			clear(out)
		}
		for k := range p.K {
			b := p.B[k*p.LdB+t.n0:][:len(out)]
			x := p.a(m, k)
			n := 0
			for ; n+4 <= len(out); n += 4 {
				o, c := out[n:n+4:n+4], b[n:n+4:n+4]
				o[0], o[1], o[2], o[3] = fma4(x, c[0], c[1], c[2], c[3], o[0], o[1], o[2], o[3])
			}
			for ; n < len(out); n++ {
				out[n] = asm.FMA32(x, b[n], out[n])
			}
		}
	}
}

// a returns a(m,k).
func (p *Product) a(m, k int) float32 {
	if p.TransA {
		return p.A[k*p.LdA+m]
	}
	return p.A[m*p.LdA+k]
}
