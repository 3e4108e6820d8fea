package attention_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/nn"
	"github.com/temper-ml/temper/nn/attention"
)

// layer is what both sublayers do.
type layer interface {
	Forward(out, x []float32, p *nn.Pass)
	Backward(dx, dout, x []float32, p *nn.Pass)
	KL() float64
	Floats(p *nn.Pass) (saved, scratch int)
}

// prefix of the parameters of the layer under test
const prefix = "layers.0.attn"

// config returns an architecture whose layer 0 attends with that ratio.
func config(ratio int) *arch.Config {
	c := deepseektest.SmallV4()
	c.CompressRatios = []int{ratio, ratio, ratio, ratio, 0}
	return c
}

// weights are the parameters of a layer by the end of their names.
type weights map[string]nn.Weight

// of returns the weight of that name; gradients accumulate in it.
func (w weights) of(params map[string][]float64, name string) nn.Weight {
	data, ok := params[name]
	if !ok {
		panic("no parameter " + name)
	}
	if _, ok := w[name]; !ok {
		v := nn.Weight{Data: make([]float32, len(data)), Grad: make([]float32, len(data))}
		for i, x := range data {
			v.Data[i] = float32(x)
		}
		w[name] = v
	}
	return w[name]
}

// sparse builds the layer of a configuration with the parameters given.
func sparse(t testing.TB, c *arch.Config, params map[string][]float64, w weights) *attention.Sparse {
	t.Helper()
	s, err := attention.New(attention.ConfigOf(c, 0, attention.RotaryOf(c, 0)))
	if err != nil {
		t.Fatal(err)
	}
	of := func(name string) nn.Weight { return w.of(params, prefix+"."+name) }
	compressor := func(at string) attention.Compressor {
		return attention.Compressor{
			APE: of(at + "compressor.ape"), WKV: of(at + "compressor.wkv.weight"),
			WGate: of(at + "compressor.wgate.weight"), Norm: of(at + "compressor.norm.weight"),
		}
	}
	s.WQA, s.QNorm, s.WQB = of("wq_a.weight"), of("q_norm.weight"), of("wq_b.weight")
	s.WKV, s.KVNorm, s.Sink = of("wkv.weight"), of("kv_norm.weight"), of("attn_sink")
	s.WOA, s.WOB = of("wo_a.weight"), of("wo_b.weight")
	if c.Ratio(0) != 0 {
		s.Compressor = compressor("")
	}
	if c.Kind(0) == arch.CSA {
		s.Indexer = attention.Indexer{
			WQB: of("indexer.wq_b.weight"), Proj: of("indexer.weights_proj.weight"), Compressor: compressor("indexer."),
		}
	}
	return s
}

func randoms(seed uint64, what string, n int) []float32 {
	s := detrand.Key(seed, what)
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(s.NormalAt(uint64(i)))
	}
	return x
}

func wide(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func segments(lengths ...int) (segs []nn.Segment, tokens int) {
	for _, n := range lengths {
		segs = append(segs, nn.Segment{Start: tokens, End: tokens + n})
		tokens += n
	}
	return segs, tokens
}

// result is what a layer computed.
type result struct {
	out, dx []float32
	kl      float64
}

// run goes forward twice, as with recomputation, and backward.
func run(l layer, x, dout []float32, segs []nn.Segment, indexerScale float32) result {
	p := &nn.Pass{Arena: nn.NewArena(), Tokens: make([]int32, segs[len(segs)-1].End), Segments: segs, IndexerScale: indexerScale}
	r := result{out: make([]float32, len(x)), dx: make([]float32, len(x))}
	m := p.Arena.Mark()
	l.Forward(r.out, x, p)
	p.Arena.Release(m)
	l.Forward(r.out, x, p)
	l.Backward(r.dx, dout, x, p)
	r.kl = l.KL()
	return r
}

// tolerance bounds the relative error, in the sense of deepseektest.Compare, of
// float32 results: roundings are 2^-24 of what they round and add up like a
// random walk; no value here is the outcome of more than some 4000 of them
// (paths of about ten operations, each a sum of up to 400 terms), and 64 is the
// square root of that.
const tolerance = 64.0 / (1 << 24)

// compare holds a layer against the float64 reference run segment by segment.
func compare(t *testing.T, c *arch.Config, lengths []int, indexerScale float32) {
	t.Helper()
	params := deepseektest.RandomParams(c, 11)
	segs, T := segments(lengths...)
	x, dout := randoms(1, "x", T*c.HiddenSize), randoms(2, "dout", T*c.HiddenSize)
	w := weights{}
	var l layer
	if c.Family == arch.V4 {
		l = sparse(t, c, params, w)
	} else {
		l = latent(t, c, params, w)
	}
	got := run(l, x, dout, segs, indexerScale)

	r := deepseektest.New(c, params)
	tape := r.Tape
	total := tape.Const([]float64{0}, 1)
	var outs []float64
	var leaves []*deepseektest.Tensor
	kl := 0.0
	for _, s := range segs {
		lo, hi := s.Start*c.HiddenSize, s.End*c.HiddenSize
		leaf := tape.Input(wide(x[lo:hi]), s.Len(), c.HiddenSize)
		leaves = append(leaves, leaf)
		var out deepseektest.Attended
		if c.Family == arch.V4 {
			out = r.Attention(prefix, c.Ratio(0), leaf)
		} else {
			out.Out = r.LatentAttention(prefix3, leaf)
		}
		outs = append(outs, out.Out.Data...)
		total = tape.Add(total, tape.Sum(tape.Mul(out.Out, tape.Const(wide(dout[lo:hi]), s.Len(), c.HiddenSize))))
		if out.IndexerLoss != nil {
			kl += out.IndexerLoss.Data[0]
			total = tape.Add(total, tape.Scale(out.IndexerLoss, float64(indexerScale)))
		}
	}
	if r.Margin < 1e-5 {
		t.Fatalf("the reference's choice hangs on a gap of %g: choose another seed", r.Margin)
	}
	tape.Backward(total)

	check := func(what string, got []float32, want []float64) {
		t.Helper()
		if worst, relative := deepseektest.Compare(got, want); !(relative <= tolerance) {
			t.Errorf("%s is off by %.3g of its norm (%.3g at most), want %.3g", what, relative, worst, tolerance)
		}
	}
	check("out", got.out, outs)
	var dx []float64
	for _, leaf := range leaves {
		dx = append(dx, leaf.Grad...)
	}
	check("dx", got.dx, dx)
	if indexerScale != 0 && math.Abs(got.kl-kl) > float64(T)*8/(1<<24) {
		t.Errorf("indexer's loss is %v, want %v", got.kl, kl)
	}
	for name, grad := range r.Gradients() {
		if indexerScale == 0 && strings.Contains(name, "indexer") {
			if slices.ContainsFunc(w[name].Grad, func(g float32) bool { return g != 0 }) {
				t.Errorf("%s has a gradient without an indexer loss", name)
			}
			continue
		}
		check(name, w[name].Grad, grad)
	}
}

func TestSparseAgainstReference(t *testing.T) {
	for _, ratio := range []int{0, 4, 8, 3} {
		for _, lengths := range [][]int{{1}, {3}, {4}, {5}, {18, 6}, {7, 1, 40, 3}} {
			for _, scale := range []float32{0, 0.7} {
				t.Run(fmt.Sprintf("ratio=%d/%v/indexer=%v", ratio, lengths, scale), func(t *testing.T) {
					compare(t, config(ratio), lengths, scale)
				})
			}
		}
	}
}

// TestSparseBlockEdges uses the published window and ratios at lengths around
// their multiples.
func TestSparseBlockEdges(t *testing.T) {
	for _, ratio := range []int{4, 128} {
		c := config(ratio)
		c.SlidingWindow, c.IndexTopK = 128, 16
		for _, n := range []int{127, 128, 129, 255, 256, 257} {
			if testing.Short() && n > 129 {
				continue
			}
			t.Run(fmt.Sprintf("ratio=%d/T=%d", ratio, n), func(t *testing.T) { compare(t, c, []int{n}, 1) })
		}
	}
}

// TestSparsePacked: packed segments have the bits of single ones, and weight
// gradients are one chain over them.
func TestSparsePacked(t *testing.T) {
	for _, ratio := range []int{0, 4, 8} {
		c := config(ratio)
		params := deepseektest.RandomParams(c, 3)
		packed(t, c, func(w weights) layer { return sparse(t, c, params, w) })
	}
}

func packed(t *testing.T, c *arch.Config, build func(w weights) layer) {
	t.Helper()
	segs, T := segments(33, 1, 4, 5, 20)
	x, dout := randoms(1, "x", T*c.HiddenSize), randoms(2, "dout", T*c.HiddenSize)
	together, apart := weights{}, weights{}
	want := run(build(together), x, dout, segs, 0.3)
	one := build(apart)
	kl := 0.0
	for _, s := range segs {
		lo, hi := s.Start*c.HiddenSize, s.End*c.HiddenSize
		alone, _ := segments(s.Len())
		got := run(one, x[lo:hi], dout[lo:hi], alone, 0.3)
		if !slices.Equal(got.out, want.out[lo:hi]) || !slices.Equal(got.dx, want.dx[lo:hi]) {
			t.Errorf("segment %v differs from the packed run", s)
		}
		kl += got.kl
	}
	if kl != want.kl {
		t.Errorf("indexer's loss is %v by segment, %v packed", kl, want.kl)
	}
	for name := range together {
		if !slices.Equal(apart[name].Grad, together[name].Grad) {
			t.Errorf("gradient of %s differs from the packed run", name)
		}
	}
}

// TestSparseSameBits on every instruction set and number of threads.
func TestSparseSameBits(t *testing.T) {
	for _, ratio := range []int{0, 4, 8} {
		c := config(ratio)
		params := deepseektest.RandomParams(c, 5)
		sameBits(t, c, func(w weights) layer { return sparse(t, c, params, w) })
	}
}

func sameBits(t *testing.T, c *arch.Config, build func(w weights) layer) {
	t.Helper()
	segs, T := segments(70, 9)
	x, dout := randoms(1, "x", T*c.HiddenSize), randoms(2, "dout", T*c.HiddenSize)
	path, threads := kernel.Path(), kernel.Threads()
	defer func() {
		kernel.SetThreads(threads)
		if _, err := kernel.SetPath(path); err != nil {
			t.Fatal(err)
		}
	}()
	first := weights{}
	want := run(build(first), x, dout, segs, 0.3)
	for _, p := range kernel.Paths() {
		if _, err := kernel.SetPath(p); err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 2, 5} {
			kernel.SetThreads(n)
			w := weights{}
			got := run(build(w), x, dout, segs, 0.3)
			if !slices.Equal(got.out, want.out) || !slices.Equal(got.dx, want.dx) || got.kl != want.kl {
				t.Errorf("%s, %d threads: other results", p, n)
			}
			for name := range first {
				if !slices.Equal(w[name].Grad, first[name].Grad) {
					t.Errorf("%s, %d threads: other gradient of %s", p, n, name)
				}
			}
		}
	}
}

// TestSparseMemory: Floats predicts what the arena hands out.
func TestSparseMemory(t *testing.T) {
	for _, ratio := range []int{0, 4, 8} {
		for _, scale := range []float32{0, 1} {
			c := config(ratio)
			l := sparse(t, c, deepseektest.RandomParams(c, 5), weights{})
			memoryOf(t, l, c, scale)
		}
	}
}

func memoryOf(t *testing.T, l layer, c *arch.Config, scale float32) {
	t.Helper()
	segs, T := segments(60, 9)
	p := &nn.Pass{Arena: nn.NewArena(), Tokens: make([]int32, T), Segments: segs, IndexerScale: scale}
	saved, scratch := l.Floats(p)
	n := T * c.HiddenSize
	x, y, dx := make([]float32, n), make([]float32, n), make([]float32, n)
	x[0] = 1
	l.Forward(y, x, p)
	if got := p.Arena.Used(); got != 4*int64(saved) {
		t.Errorf("forward keeps %d bytes, predicted %d", got, 4*saved)
	}
	l.Backward(dx, y, x, p)
	if got := p.Arena.Peak(); got != 4*int64(saved+scratch) {
		t.Errorf("peak is %d bytes, predicted %d", got, 4*(saved+scratch))
	}
	if p.Arena.Used() != 4*int64(saved) {
		t.Error("backward does not return its scratch")
	}
	steps := func() {
		m := p.Arena.Mark()
		l.Forward(y, x, p)
		l.Backward(dx, y, x, p)
		p.Arena.Release(m)
	}
	steps()
	if n := testing.AllocsPerRun(3, steps); n > 1000 { // a few for each kernel call; one for each row would be more
		t.Errorf("a settled layer allocates %v times a step", n)
	}
}
