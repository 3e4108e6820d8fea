package kerneltest

import (
	"math"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/detrand"
)

// TestReductionOrder spells the lanes and the tree of a row reduction out.
func TestReductionOrder(t *testing.T) {
	for _, n := range []int{0, 1, 7, 16, 17, 40, 129} {
		a, b := numbers(1, n, 1), numbers(2, n, 1)
		var lanes [16]float32
		for i := range (n + 15) / 16 * 16 {
			var x, y float32
			if i < n {
				x, y = a[i], b[i]
			}
			lanes[i%16] = kernel.FMA32(x, y, lanes[i%16])
		}
		for _, h := range []int{8, 4, 2, 1} {
			for l := range h {
				lanes[l] += lanes[l+h]
			}
		}
		EachSetting(t, []int{1}, func(t *testing.T) {
			SameBits(t, "Dot", []float32{kernel.Dot(a, b)}, lanes[:1])
		})
	}
}

// TestTokensInOrder holds parameter gradients to one chain over tokens: two
// calls over halves give the bits of one call over all.
func TestTokensInOrder(t *testing.T) {
	const T, D = 300, 96
	x, dy, ids := numbers(1, T*D, 1), numbers(2, T*D, 1), make([]int32, T)
	s := detrand.Key(3, "ids")
	for i := range ids {
		ids[i] = int32(s.Uint64nAt(uint64(i), 11))
	}
	m, dmap := numbers(4, T*24, 1), numbers(5, T*24, 1)
	scale, base := []float32{1, 2, 3}, numbers(6, 24, 1)
	grads := func(cuts ...int) []float32 {
		dw, dtable, dscale, dbase := zeros(D), zeros(11*D), zeros(3), zeros(24)
		for i := 1; i < len(cuts); i++ {
			lo, n := cuts[i-1], cuts[i]-cuts[i-1]
			at, to := lo*D, (lo+n)*D
			rstd, y := zeros(n), zeros(n*D)
			kernel.RMSNorm(y, rstd, x[at:to], dw, n, D, 1e-6)
			kernel.RMSNormBackward(zeros(n*D), dw, dy[at:to], x[at:to], nil, rstd, n, D)
			kernel.EmbeddingBackward(dtable, dy[at:to], ids[lo:lo+n], D)
			kernel.HCMapBackward(zeros(n*24), dscale, dbase, dmap[lo*4:(lo+n)*4], dmap[T*4+lo*4:T*4+(lo+n)*4], dmap[T*8+lo*16:T*8+(lo+n)*16],
				m[lo*24:(lo+n)*24], scale, base, n, 20, 1e-6)
		}
		return append(append(append(dw, dtable...), dscale...), dbase...)
	}
	want := grads(0, T)
	EachSetting(t, []int{1, 3}, func(t *testing.T) {
		SameBits(t, "one call", grads(0, T), want)
		SameBits(t, "uneven calls", grads(0, 1, 100, 117, T), want)
	})
}

// TestSumSquares64IsChunked holds the gradient norm to its definition.
func TestSumSquares64IsChunked(t *testing.T) {
	x := numbers(1, 3*4096+77, 1)
	var want float64
	for at := 0; at < len(x); at += 4096 {
		want += float64(kernel.SumSquares(x[at:min(at+4096, len(x))]))
	}
	EachSetting(t, []int{1, 2, 7}, func(t *testing.T) {
		if got := kernel.SumSquares64(x); got != want {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestFirstNonFinite(t *testing.T) {
	x := zeros(100000)
	EachSetting(t, []int{1, 3}, func(t *testing.T) {
		if got := kernel.FirstNonFinite(x); got != -1 {
			t.Fatalf("found %d in finite numbers", got)
		}
		for _, at := range []int{0, 15, 16, 4095, 4096, 77777, 99999} {
			for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
				x[at] = float32(v)
				if at < 99999 {
					x[99999] = float32(math.NaN())
				}
				if got := kernel.FirstNonFinite(x); got != at {
					t.Errorf("found %g at %d, want %d", v, got, at)
				}
				x[at], x[99999] = 0, 0
			}
		}
	})
}

// TestAdamWAgainstFloat64 runs a few steps beside the formula in float64.
func TestAdamWAgainstFloat64(t *testing.T) {
	const n, lr, b1, b2, eps, decay, clip = 100, 1e-2, 0.9, 0.95, 1e-8, 0.1, 0.5
	EachSetting(t, []int{1}, func(t *testing.T) {
		p, m, v := numbers(1, n, 1), zeros(n), zeros(n)
		p64, m64, v64 := make([]float64, n), make([]float64, n), make([]float64, n)
		for i, x := range p {
			p64[i] = float64(x)
		}
		for step := 1; step <= 20; step++ {
			g := numbers(uint64(10+step), n, 1)
			c1, c2 := 1-math.Pow(b1, float64(step)), 1-math.Pow(b2, float64(step))
			kernel.AdamW(p, g, m, v, lr, b1, b2, eps, decay, float32(c1), float32(c2), clip)
			for i := range p64 {
				d := float64(g[i]) * clip
				m64[i] = b1*m64[i] + (1-b1)*d
				v64[i] = b2*v64[i] + (1-b2)*d*d
				p64[i] = p64[i]*(1-lr*decay) - lr*(m64[i]/c1)/(math.Sqrt(v64[i]/c2)+eps)
			}
		}
		for i := range p {
			// Twenty steps of ten roundings, beta and 1-beta being rounded too.
			if d := math.Abs(float64(p[i]) - p64[i]); d > 20*(10*0x1p-24*math.Abs(p64[i])+lr*40*0x1p-24) {
				t.Fatalf("parameter %d is %g, want %g", i, p[i], p64[i])
			}
		}
	})
}

// TestGatherAndCombineAreAdjoint: <Gather(x), y> = <x, ScatterAdd(y)> and
// likewise for CombineRows, with integers so that nothing rounds.
func TestGatherAndCombineAreAdjoint(t *testing.T) {
	const rows, n, dim, k = 9, 24, 17, 3
	s := detrand.Key(1, "adjoint")
	ints := func(seed uint64, n int) []float32 {
		x := make([]float32, n)
		Values(x, Integer, seed, "adjoint")
		return x
	}
	idx := make([]int32, n)
	for i := range idx {
		idx[i] = int32(s.Uint64nAt(uint64(i), rows+1)) - 1
	}
	x, y, z := ints(1, rows*dim), ints(2, n*dim), ints(3, n/k*dim)
	gathered, scattered := zeros(n*dim), zeros(rows*dim)
	kernel.GatherRows(gathered, x, idx, dim)
	kernel.ScatterAddRows(scattered, y, idx, dim)
	if a, b := kernel.Dot(gathered, y), kernel.Dot(x, scattered); a != b {
		t.Errorf("gather: %g and %g", a, b)
	}
	combined, back, each := zeros(n/k*dim), zeros(rows*dim), zeros(n*dim)
	kernel.CombineRows(combined, x, idx, k, dim)
	for i := range n {
		copy(each[i*dim:i*dim+dim], z[i/k*dim:])
	}
	kernel.ScatterAddRows(back, each, idx, dim)
	if a, b := kernel.Dot(combined, z), kernel.Dot(x, back); a != b {
		t.Errorf("combine: %g and %g", a, b)
	}
}

func TestSoftmaxSinkEdges(t *testing.T) {
	inf := float32(math.Inf(1))
	EachSetting(t, []int{1}, func(t *testing.T) {
		p := []float32{-inf, -inf, 7}
		if lse := kernel.SoftmaxSink(p, 2, -inf, 1); lse != -inf || p[0] != 0 || p[1] != 0 || p[2] != 7 {
			t.Errorf("nothing to attend: %v, lse %g", p, lse)
		}
		if lse := kernel.SoftmaxSink(nil, 0, 3, 1); lse != 3 {
			t.Errorf("a sink alone: lse %g, want 3", lse)
		}
		p = []float32{1, -inf, 1}
		if lse := kernel.SoftmaxSink(p, 3, 1, 1); p[0] != p[2] || p[1] != 0 || math.Abs(float64(p[0])-1./3) > 1e-7 || math.Abs(float64(lse)-1-math.Log(3)) > 1e-6 {
			t.Errorf("three equal parts: %v, lse %g", p, lse)
		}
		p = []float32{float32(math.NaN()), float32(math.NaN())}
		if lse := kernel.SoftmaxSink(p, 2, -inf, 1); lse == lse || p[0] == p[0] {
			t.Errorf("NaN was lost: %v, lse %g", p, lse)
		}
	})
}

func TestPanicsNameTheRule(t *testing.T) {
	for name, f := range map[string]func(){
		"kernel: Add: b holds 2 elements, want 3":                             func() { kernel.Add(zeros(3), zeros(3), zeros(2)) },
		"kernel: Hadamard: dim must be a power of two, got 12":                func() { kernel.Hadamard(zeros(12), 1, 12) },
		"kernel: CrossEntropy: label 4 of row 0 must be below vocab 4":        func() { kernel.CrossEntropy(zeros(1), zeros(1), zeros(4), []int32{4}, nil, 1, 4) },
		"kernel: GatherRows: index 5 at 1 must be below 5 rows":               func() { kernel.GatherRows(zeros(4), zeros(10), []int32{0, 5}, 2) },
		"kernel: CombineRows: idx must hold k indices a row, got 5 for k = 2": func() { kernel.CombineRows(zeros(4), zeros(10), make([]int32, 5), 2, 2) },
		"kernel: HCMap: iters must be at least 1, got 0":                      func() { kernel.HCMap(nil, nil, nil, nil, zeros(3), zeros(24), 0, 0, 0) },
		"kernel: FakeQuantFP8: group must be at least 1, got 0":               func() { kernel.FakeQuantFP8(zeros(1), 0) },
		"kernel: Rope: cos must be [rows, nf] with 2*nf <= dim, got 4 elements for 2 rows, dim 3": func() {
			kernel.Rope(zeros(6), 2, 1, 3, zeros(4), zeros(4), false)
		},
	} {
		func() {
			defer func() {
				if got := recover(); got != name {
					t.Errorf("panic is %v, want %q", got, name)
				}
			}()
			f()
		}()
	}
}
