package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/temper-ml/temper/internal/detrand"
)

// randoms returns n numbers of roughly normal distribution.
func randoms(seed uint64, what string, n int) []float32 {
	s := detrand.Key(seed, what)
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(s.NormalAt(uint64(i)))
	}
	return x
}

func segmentsOf(lengths ...int) []Segment {
	var segs []Segment
	at := 0
	for _, n := range lengths {
		segs = append(segs, Segment{at, at + n})
		at += n
	}
	return segs
}

// newAttentionCase draws operands. topK > 0 chooses that many entries of each
// query by random scores.
func newAttentionCase(seed uint64, heads, dim, window, ratio, topK int, lengths ...int) *attentionCase {
	c := &attentionCase{dim: dim}
	c.a = &Attention{Heads: heads, Window: window, Ratio: ratio, Scale: float32(math.Pow(float64(dim), -0.5)), Segments: segmentsOf(lengths...)}
	T := c.a.Segments[len(lengths)-1].End
	c.q = randoms(seed, "q", T*heads*dim)
	c.kv = randoms(seed, "kv", T*dim)
	c.do_ = randoms(seed, "do", T*heads*dim)
	c.sink = randoms(seed, "sink", heads)
	entries := 0
	for i := range lengths {
		entries += c.a.entriesOf(i)
	}
	c.ckv = randoms(seed, "ckv", entries*dim)
	if topK > 0 {
		c.a.Chosen = &Chosen{K: topK, Count: make([]int32, T), Index: make([]int32, T*topK)}
		scores := randoms(seed, "scores", T*(T/ratio+1))
		for _, s := range c.a.Segments {
			for t := s.Start; t < s.End; t++ {
				n := (t - s.Start + 1) / ratio
				c.a.Chosen.Count[t] = int32(TopK(c.a.Chosen.Index[t*topK:], scores[t*(T/ratio+1):][:n], topK))
			}
		}
	}
	return c
}

// like returns a new Attention with the same settings.
func (a *Attention) like() *Attention {
	return &Attention{Heads: a.Heads, Window: a.Window, Ratio: a.Ratio, Scale: a.Scale, Segments: a.Segments, Chosen: a.Chosen}
}

// attentionResult is everything that Forward and Backward compute.
type attentionResult struct {
	names []string
	data  map[string][]float32
}

func (r *attentionResult) add(name string, x []float32) []float32 {
	if r.data == nil {
		r.data = map[string][]float32{}
	}
	r.names = append(r.names, name)
	r.data[name] = x
	return x
}

// dirty returns n NaNs: outputs must be overwritten wherever they are read.
func dirty(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(math.NaN())
	}
	return x
}

// heads returns the operands, with outputs that are entered in r.
func (c *attentionCase) heads(r *attentionResult) []AttentionHeads {
	T, H, D := len(c.kv)/c.dim, c.a.Heads, c.dim
	entries := len(c.ckv) / D
	rows := func(x []float32) Mat { return MatOf(x, len(x)/D, D) }
	h := AttentionHeads{
		Q: rows(c.q), O: rows(r.add("o", dirty(T*H*D))), K: rows(c.kv), V: rows(c.kv), CK: rows(c.ckv), CV: rows(c.ckv),
		Sink: c.sink, LSE: r.add("lse", dirty(T*H)),
		DO: rows(c.do_), Delta: dirty(T * H), DQ: rows(r.add("dq", dirty(T*H*D))),
		DK: rows(r.add("dk", dirty(T*D))), DV: rows(r.add("dv", dirty(T*D))),
		DCK: rows(r.add("dck", dirty(entries*D))), DCV: rows(r.add("dcv", dirty(entries*D))),
	}
	if c.sink != nil {
		h.DSink = r.add("dsink", make([]float32, H))
	}
	if c.a.Chosen != nil {
		h.Target = r.add("target", make([]float32, T*c.a.Chosen.K))
	}
	return []AttentionHeads{h}
}

func (c *attentionCase) run() *attentionResult {
	r := &attentionResult{}
	h := c.heads(r)
	c.a.Forward(h, dirty(c.a.Scratch(h, false)))
	DotRows(h[0].Delta, h[0].O.Data, h[0].DO.Data, len(h[0].Delta), c.dim)
	c.a.Backward(h, dirty(c.a.Scratch(h, true)))
	return r
}

// near fails where got is further from want than the bound.
func near(t *testing.T, what string, got []float32, want, bound []float64) {
	t.Helper()
	for i := range want {
		if d := math.Abs(float64(got[i]) - want[i]); !(d <= bound[i]+1e-30) {
			t.Fatalf("%s[%d] = %v, want %v within %.3g, off by %.3g", what, i, got[i], want[i], bound[i], d)
		}
	}
}

func sum2(a, b []float32) []float32 {
	s := make([]float32, len(a))
	Add(s, a, b)
	return s
}

func (c *attentionCase) check(t *testing.T) {
	t.Helper()
	c.solve()
	r := c.run()
	near(t, "o", r.data["o"], c.o, c.eo)
	near(t, "dq", r.data["dq"], c.dq, c.edq)
	near(t, "dkv", sum2(r.data["dk"], r.data["dv"]), c.dkv, c.edkv)
	near(t, "dckv", sum2(r.data["dck"], r.data["dcv"]), c.dckv, c.edckv)
	near(t, "dsink", r.data["dsink"], c.dsink, c.edsink)
	near(t, "target", r.data["target"], c.target, c.etarget)
}

func TestAttentionAgainstNaive(t *testing.T) {
	for _, T := range []int{1, 3, 4, 5, 127, 128, 129} {
		for _, k := range []struct{ window, ratio, topK int }{{0, 0, 0}, {8, 0, 0}, {128, 4, 0}, {16, 4, 6}, {5, 128, 0}, {7, 3, 2}} {
			t.Run(fmt.Sprintf("T=%d/window=%d/ratio=%d/k=%d", T, k.window, k.ratio, k.topK), func(t *testing.T) {
				newAttentionCase(uint64(T), 3, 20, k.window, k.ratio, k.topK, T).check(t)
				newAttentionCase(uint64(T)+1000, 2, 16, k.window, k.ratio, k.topK, T, 1, 30).check(t)
			})
		}
	}
}

// TestAttentionNaiveGradient holds the naive gradients against central
// differences of the naive forward pass.
func TestAttentionNaiveGradient(t *testing.T) {
	c := newAttentionCase(5, 2, 6, 4, 3, 2, 11, 7)
	c.solve()
	loss := func() float64 {
		d := *c
		d.solve()
		l := 0.0
		for i, o := range d.o {
			l += o * float64(c.do_[i])
		}
		return l
	}
	for name, x := range map[string][]float32{"dq": c.q, "dkv": c.kv, "dckv": c.ckv, "dsink": c.sink} {
		grad := map[string][]float64{"dq": c.dq, "dkv": c.dkv, "dckv": c.dckv, "dsink": c.dsink}[name]
		for i := range x {
			const h = 1.0 / 1024
			old := x[i]
			x[i] = old + h
			hi, up := float64(x[i]), loss()
			x[i] = old - h
			lo, down := float64(x[i]), loss()
			x[i] = old
			if got := (up - down) / (hi - lo); math.Abs(got-grad[i]) > 2e-5*(1+math.Abs(grad[i])) {
				t.Errorf("%s[%d] = %v, by differences %v", name, i, grad[i], got)
			}
		}
	}
}

// sameBits fails unless two results are identical; NaN is never accepted.
func sameBits(t *testing.T, what string, got, want *attentionResult) {
	t.Helper()
	for _, name := range want.names {
		g, w := got.data[name], want.data[name]
		for i := range w {
			if math.Float32bits(g[i]) != math.Float32bits(w[i]) || g[i] != g[i] {
				t.Fatalf("%s: %s[%d] = %v, want %v", what, name, i, g[i], w[i])
			}
		}
	}
}

// forEachMachine calls f with every instruction set and several numbers of
// threads.
func forEachMachine(t *testing.T, f func(name string)) {
	t.Helper()
	path := Path()
	threads := Threads()
	defer func() {
		SetThreads(threads)
		if _, err := SetPath(path); err != nil {
			t.Fatal(err)
		}
	}()
	for _, p := range Paths() {
		if _, err := SetPath(p); err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 2, 5} {
			SetThreads(n)
			f(fmt.Sprintf("%s, %d threads", p, n))
		}
	}
}

// TestAttentionSameBits: blocks of any size, single queries, gathered or
// masked entries, any number of threads and any instruction set give the same
// bits.
func TestAttentionSameBits(t *testing.T) {
	for _, c := range []*attentionCase{
		newAttentionCase(1, 3, 20, 9, 4, 5, 129),
		newAttentionCase(2, 2, 72, 16, 4, 3, 70, 1, 33),
		newAttentionCase(3, 1, 16, 0, 0, 0, 50, 60),
		newAttentionCase(4, 4, 16, 5, 16, 0, 3, 40, 64),
	} {
		want := c.run()
		for _, rows := range []int{1, 7, 16, 64, 1000} {
			for _, g := range []gathering{gatherLong, gatherNone, gatherAll} {
				c.a.blockRows, c.a.gathering = rows, g
				sameBits(t, fmt.Sprintf("blocks of %d rows, gathering %d", rows, g), c.run(), want)
			}
		}
		c.a.blockRows, c.a.gathering = 40, gatherLong
		forEachMachine(t, func(name string) { sameBits(t, name, c.run(), want) })
	}
}

// TestAttentionSegments: segments packed together give what they give alone,
// bit for bit, and gradients of shared parameters continue as one chain.
func TestAttentionSegments(t *testing.T) {
	lengths := []int{37, 1, 4, 66}
	packed := newAttentionCase(9, 2, 16, 8, 4, 3, lengths...)
	want := packed.run()
	dsink := make([]float32, 2)
	entry := 0
	for i, s := range packed.a.Segments {
		n := s.Len() / 4
		c := &attentionCase{dim: 16, a: packed.a.like(), sink: packed.sink}
		c.a.Segments = segmentsOf(s.Len())
		c.q, c.kv, c.do_ = packed.q[s.Start*32:s.End*32], packed.kv[s.Start*16:s.End*16], packed.do_[s.Start*32:s.End*32]
		c.ckv = packed.ckv[entry*16 : (entry+n)*16]
		c.a.Chosen = &Chosen{K: 3, Count: packed.a.Chosen.Count[s.Start:s.End], Index: packed.a.Chosen.Index[s.Start*3 : s.End*3]}
		got := c.run()
		for name, per := range map[string]int{"o": 32, "lse": 2, "dq": 32, "dk": 16, "dv": 16, "target": 3} {
			if !slices.Equal(got.data[name], want.data[name][s.Start*per:s.End*per]) {
				t.Errorf("segment %d: %s differs from the packed run", i, name)
			}
		}
		for _, name := range []string{"dck", "dcv"} {
			if !slices.Equal(got.data[name], want.data[name][entry*16:(entry+n)*16]) {
				t.Errorf("segment %d: %s differs from the packed run", i, name)
			}
		}
		entry += n
		h := AttentionHeads{Sink: c.sink, LSE: got.data["lse"], Delta: make([]float32, s.Len()*2), DSink: dsink}
		DotRows(h.Delta, got.data["o"], c.do_, s.Len()*2, 16)
		h.finishGradients(c.a)
	}
	if !slices.Equal(dsink, want.data["dsink"]) {
		t.Errorf("dsink accumulated by segment is %v, packed %v", dsink, want.data["dsink"])
	}
}

// TestAttentionPast: queries computed with the keys of earlier tokens at hand
// equal those of a run over the whole segment, one at a time as in decoding.
func TestAttentionPast(t *testing.T) {
	c := newAttentionCase(11, 3, 16, 8, 4, 3, 50)
	want := c.run()
	for _, span := range [][2]int{{49, 50}, {0, 50}, {13, 14}, {20, 33}} {
		past, end := span[0], span[1]
		a := c.a.like()
		a.Segments, a.Past = segmentsOf(end), past
		a.Chosen = &Chosen{K: 3, Count: c.a.Chosen.Count[past:], Index: c.a.Chosen.Index[past*3:]}
		rows := func(x []float32) Mat { return MatOf(x, len(x)/16, 16) }
		n := (end - past) * 3
		h := []AttentionHeads{{
			Q: rows(c.q[past*48 : end*48]), O: rows(make([]float32, n*16)), K: rows(c.kv[:end*16]), V: rows(c.kv[:end*16]),
			CK: rows(c.ckv), CV: rows(c.ckv), Sink: c.sink, LSE: make([]float32, n),
		}}
		a.Forward(h, make([]float32, a.Scratch(h, false)))
		if !slices.Equal(h[0].O.Data, want.data["o"][past*48:end*48]) {
			t.Errorf("queries %d to %d differ from the whole run", past, end)
		}
	}
}

func FuzzAttention(f *testing.F) {
	f.Add(uint64(1), uint8(3), uint8(5), uint8(4), uint8(3), uint8(2), uint8(20), uint8(9), uint8(16))
	f.Add(uint64(2), uint8(1), uint8(1), uint8(0), uint8(1), uint8(0), uint8(1), uint8(40), uint8(1))
	f.Fuzz(func(t *testing.T, seed uint64, heads, dim, window, ratio, topK, n1, n2, rows uint8) {
		if ratio %= 9; ratio == 0 {
			topK = 0
		}
		c := newAttentionCase(seed, int(heads%5)+1, int(dim%24)+1, int(window%20), int(ratio), int(topK%6), int(n1%50)+1, int(n2%50)+1)
		c.check(t)
		want := c.run()
		for _, g := range []gathering{gatherNone, gatherAll} {
			c.a.blockRows, c.a.gathering = int(rows%40)+1, g
			sameBits(t, fmt.Sprintf("blocks of %d rows, gathering %d", c.a.blockRows, g), c.run(), want)
		}
	})
}

// TestAttentionStrides: operands may be columns of wider matrices, of which
// nothing else is read or written.
func TestAttentionStrides(t *testing.T) {
	c := newAttentionCase(12, 2, 20, 8, 4, 3, 40, 21)
	plain, strided := &attentionResult{}, &attentionResult{}
	want, h := c.heads(plain), c.heads(strided)
	const gap = 7
	wider := func(m *Mat) []float32 {
		w := MatOf(dirty(m.Rows*(m.Cols+gap)), m.Rows, m.Cols+gap)
		s := w.Slice(0, m.Rows, 3, 3+m.Cols)
		for i := range m.Rows {
			copy(s.Row(i), m.Row(i))
		}
		*m = s
		return w.Data
	}
	var outer [][]float32
	for _, m := range []*Mat{&h[0].Q, &h[0].O, &h[0].K, &h[0].V, &h[0].CK, &h[0].CV, &h[0].DO, &h[0].DQ, &h[0].DK, &h[0].DV, &h[0].DCK, &h[0].DCV} {
		outer = append(outer, wider(m))
	}
	for _, x := range [][]AttentionHeads{want, h} {
		c.a.Forward(x, dirty(c.a.Scratch(x, false)))
		copy(x[0].Delta, c.deltas(x[0].O))
		c.a.Backward(x, dirty(c.a.Scratch(x, true)))
	}
	for i, m := range []struct{ got, want Mat }{{h[0].O, want[0].O}, {h[0].DQ, want[0].DQ}, {h[0].DK, want[0].DK}, {h[0].DV, want[0].DV}, {h[0].DCK, want[0].DCK}, {h[0].DCV, want[0].DCV}} {
		for r := range m.want.Rows {
			if !slices.Equal(m.got.Row(r), m.want.Row(r)) {
				t.Fatalf("output %d: row %d differs when strided", i, r)
			}
		}
	}
	for i, w := range outer {
		cols := c.dim + gap
		for j, v := range w {
			if inside := j%cols >= 3 && j%cols < 3+c.dim; !inside && v == v {
				t.Fatalf("operand %d: element %d outside of the view was written", i, j)
			}
		}
	}
}

// deltas returns the inner products of the rows of o and do.
func (c *attentionCase) deltas(o Mat) []float32 {
	delta := make([]float32, o.Rows)
	for r := range delta {
		delta[r] = Dot(o.Row(r), c.do_[r*c.dim:(r+1)*c.dim])
	}
	return delta
}

// TestAttentionUnderflow: where products round to -0, the sign of a sum would
// tell how many masked zeros were added to it, were it not made +0.
func TestAttentionUnderflow(t *testing.T) {
	c := newAttentionCase(13, 2, 16, 8, 4, 3, 40, 21)
	for _, x := range [][]float32{c.kv, c.ckv, c.do_} {
		for i := range x {
			x[i] = float32(math.Copysign(1e-45, float64(x[i])))
		}
	}
	c.a.blockRows = 1
	want := c.run()
	for _, rows := range []int{8, 1000} {
		for _, g := range []gathering{gatherNone, gatherAll} {
			c.a.blockRows, c.a.gathering = rows, g
			sameBits(t, fmt.Sprintf("blocks of %d rows, gathering %d", rows, g), c.run(), want)
		}
	}
	for _, name := range []string{"o", "dq", "dk", "dv", "dck", "dcv"} {
		for i, v := range want.data[name] {
			if v == 0 && math.Signbit(float64(v)) {
				t.Fatalf("%s[%d] is -0", name, i)
			}
		}
	}
}
