package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// pooled computes the entries of one segment in float64, straight from the
// definition: v and z are [n, width], ape is [ratio, width].
func pooled(v, z, ape []float64, n, ratio, dim int, overlap bool) []float64 {
	width := dim
	if overlap {
		width = 2 * dim
	}
	out := make([]float64, n/ratio*dim)
	for i := range n / ratio {
		for d := range dim {
			num, den := 0.0, 0.0
			member := func(t, r, channel int) {
				e := math.Exp(z[t*width+channel] + ape[r*width+channel])
				num += e * v[t*width+channel]
				den += e
			}
			for r := range ratio {
				if overlap && i > 0 {
					member((i-1)*ratio+r, r, d)
				}
				member(i*ratio+r, r, width-dim+d)
			}
			out[i*dim+d] = num / den
		}
	}
	return out
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

type poolingCase struct {
	p          Pooling
	v, z, ape  []float32
	dout       []float32
	out        []float32
	dv, dz, da []float32
}

func newPoolingCase(seed uint64, ratio, dim int, overlap bool, lengths ...int) *poolingCase {
	c := &poolingCase{p: Pooling{Ratio: ratio, Overlap: overlap, Dim: dim, Segments: segmentsOf(lengths...)}}
	T, w := c.p.Segments[len(lengths)-1].End, c.p.Width()
	c.v, c.z, c.ape = randoms(seed, "v", T*w), randoms(seed, "z", T*w), randoms(seed, "ape", ratio*w)
	c.dout = randoms(seed, "dout", c.p.Entries()*dim)
	return c
}

func (c *poolingCase) run() *attentionResult {
	r := &attentionResult{}
	c.out = r.add("out", make([]float32, len(c.dout)))
	c.dv, c.dz = r.add("dv", slices.Repeat([]float32{9}, len(c.v))), r.add("dz", slices.Repeat([]float32{9}, len(c.z)))
	c.da = r.add("dape", make([]float32, len(c.ape)))
	scratch := make([]float32, c.p.Scratch())
	c.p.Forward(c.out, c.v, c.z, c.ape, scratch)
	c.p.Backward(c.dv, c.dz, c.da, c.dout, c.out, c.v, c.z, c.ape, scratch)
	return r
}

// loss is the inner product of the entries with dout, in float64.
func (c *poolingCase) loss(v, z, ape []float64) float64 {
	l, e, w := 0.0, 0, c.p.Width()
	for _, s := range c.p.Segments {
		for _, o := range pooled(v[s.Start*w:s.End*w], z[s.Start*w:s.End*w], ape, s.Len(), c.p.Ratio, c.p.Dim, c.p.Overlap) {
			l += o * float64(c.dout[e])
			e++
		}
	}
	return l
}

func (c *poolingCase) check(t *testing.T) {
	t.Helper()
	c.run()
	e, w := 0, c.p.Width()
	for _, s := range c.p.Segments {
		for _, o := range pooled(widen(c.v[s.Start*w:s.End*w]), widen(c.z[s.Start*w:s.End*w]), widen(c.ape), s.Len(), c.p.Ratio, c.p.Dim, c.p.Overlap) {
			// a weighted mean of values below 6: exponents are off by 3 units of a
			// magnitude below 12, sums by one unit for each of 2*ratio members
			if bound := 6 * unit32 * float64(40+4*c.p.Ratio); math.Abs(float64(c.out[e])-o) > bound {
				t.Fatalf("entry element %d is %v, want %v within %.3g", e, c.out[e], o, bound)
			}
			e++
		}
	}
	v, z, ape := widen(c.v), widen(c.z), widen(c.ape)
	for name, x := range map[string]struct {
		x    []float64
		grad []float32
	}{"dv": {v, c.dv}, "dz": {z, c.dz}, "dape": {ape, c.da}} {
		for i := range x.x {
			const h = 1e-5
			old := x.x[i]
			x.x[i] = old + h
			up := c.loss(v, z, ape)
			x.x[i] = old - h
			down := c.loss(v, z, ape)
			x.x[i] = old
			if want := (up - down) / (2 * h); math.Abs(float64(x.grad[i])-want) > 1e-4*(1+math.Abs(want)) {
				t.Fatalf("%s[%d] = %v, by differences %v", name, i, x.grad[i], want)
			}
		}
	}
}

func TestPooling(t *testing.T) {
	for _, ratio := range []int{1, 2, 4, 7} {
		for _, overlap := range []bool{false, true} {
			for _, n := range []int{1, 3, 4, 5, 8, 15} {
				t.Run(fmt.Sprintf("ratio=%d/overlap=%v/T=%d", ratio, overlap, n), func(t *testing.T) {
					newPoolingCase(1, ratio, 3, overlap, n).check(t)
					newPoolingCase(2, ratio, 5, overlap, 2, n, 9).check(t)
				})
			}
		}
	}
}

// TestPoolingExtremes: gates of any size do not overflow, and a gate far below
// the others gives exactly no weight.
func TestPoolingExtremes(t *testing.T) {
	c := newPoolingCase(1, 4, 2, false, 4)
	copy(c.z, []float32{3e38, -3e38, 0, 0, 3e38, 0, 1, 100})
	clear(c.ape)
	c.run()
	if want := float32(float32(c.v[0]*0.5) + float32(c.v[4]*0.5)); c.out[0] != want {
		t.Errorf("two equal gates far above the others give %v, want the mean %v", c.out[0], want)
	}
	if c.out[1] != c.v[7] {
		t.Errorf("one gate far above the others gives %v, want its value %v", c.out[1], c.v[7])
	}
}

func TestPoolingSameBits(t *testing.T) {
	for _, overlap := range []bool{false, true} {
		c := newPoolingCase(5, 4, 37, overlap, 21, 3, 64)
		want := c.run()
		forEachMachine(t, func(name string) { sameBits(t, name, c.run(), want) })
	}
}

func TestPoolingSegments(t *testing.T) {
	for _, overlap := range []bool{false, true} {
		packed := newPoolingCase(6, 4, 8, overlap, 13, 2, 20)
		packed.run()
		w, entry := packed.p.Width(), 0
		dape := make([]float32, len(packed.ape))
		for _, s := range packed.p.Segments {
			n := s.Len() / 4
			c := newPoolingCase(0, 4, 8, overlap, s.Len())
			c.v, c.z, c.ape = packed.v[s.Start*w:s.End*w], packed.z[s.Start*w:s.End*w], packed.ape
			c.dout = packed.dout[entry*8 : (entry+n)*8]
			c.run()
			if !slices.Equal(c.out, packed.out[entry*8:(entry+n)*8]) || !slices.Equal(c.dv, packed.dv[s.Start*w:s.End*w]) || !slices.Equal(c.dz, packed.dz[s.Start*w:s.End*w]) {
				t.Errorf("overlap %v: segment %v differs from the packed run", overlap, s)
			}
			c.p.Backward(c.dv, c.dz, dape, c.dout, c.out, c.v, c.z, c.ape, make([]float32, c.p.Scratch()))
			entry += n
		}
		if !slices.Equal(dape, packed.da) {
			t.Errorf("overlap %v: dape accumulated by segment differs from the packed run", overlap)
		}
	}
}

func FuzzPooling(f *testing.F) {
	f.Add(uint64(1), uint8(4), uint8(3), true, uint8(9), uint8(6))
	f.Fuzz(func(t *testing.T, seed uint64, ratio, dim uint8, overlap bool, n1, n2 uint8) {
		newPoolingCase(seed, int(ratio%6)+1, int(dim%20)+1, overlap, int(n1%20)+1, int(n2%20)+1).check(t)
	})
}
