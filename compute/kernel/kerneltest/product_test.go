package kerneltest

import (
	"fmt"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
)

// threadCounts are those that every product is computed with.
var threadCounts = []int{1, 2, 3, 7}

// checkCase computes c in every setting and compares with the definition.
func checkCase(t *testing.T, c ProductCase) {
	t.Helper()
	r := c.Prepare()
	want := r.Want()
	for _, path := range kernel.Paths() {
		for _, n := range threadCounts {
			r.Reset()
			restore := Set(path, n)
			kernel.Run(r.Product)
			restore()
			SameBits(t, fmt.Sprintf("%v on %s with %d threads", c, path, n), r.Out(), want)
			r.CheckGuards(t)
		}
	}
	if c.Kind == Tame || c.Kind == Integer || c.Kind == Wide {
		r.CheckBound(t, want)
	}
}

func TestProductsRandom(t *testing.T) {
	n := uint64(400)
	if testing.Short() {
		n = 60
	}
	for i := range n {
		checkCase(t, RandomCase(i))
	}
}

// TestProductsEveryTail visits every number of rows and columns up to a few
// tiles, so that every microkernel and every edge of one is met.
func TestProductsEveryTail(t *testing.T) {
	for form := kernel.NT; form <= kernel.TN; form++ {
		for m := 1; m <= 13; m++ {
			for _, k := range []int{1, 3, 4, 9, 21} {
				checkCase(t, ProductCase{Form: form, M: m, N: 32 + (5*m+k)%33, K: k, Accumulate: k%2 == 1, Seed: uint64(k)})
			}
		}
		for n := 1; n <= 66; n++ {
			checkCase(t, ProductCase{Form: form, M: 2 + n%5, N: n, K: 7 + n%4, GapOut: 3, Accumulate: n%2 == 1, Seed: uint64(n)})
		}
	}
}

// TestProductsLarge has products that are cut into tasks both ways and whose
// k takes several blocks.
func TestProductsLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("the plain loop takes a while")
	}
	for form := kernel.NT; form <= kernel.TN; form++ {
		checkCase(t, ProductCase{Form: form, M: 131, N: 1093, K: 40, Accumulate: true, Kind: Edge})
		checkCase(t, ProductCase{Form: form, M: 521, N: 67, K: 300, Kind: Wide, GapOut: 5})
	}
}

// TestRunTogether computes many products, of which some share operands, in
// one call.
func TestRunTogether(t *testing.T) {
	var trials []*Trial
	for i := range uint64(120) {
		trials = append(trials, RandomCase(1000+i).Prepare())
	}
	for i := range uint64(6) { // one left operand, as for the parts of a fused layer
		r := ProductCase{M: 37, N: 30 + int(i), K: 19, Seed: i}.Prepare()
		if i > 0 {
			r.Product.A = trials[120].Product.A
		}
		trials = append(trials, r)
	}
	var want [][]float32
	for _, r := range trials {
		want = append(want, r.Want())
	}
	EachSetting(t, threadCounts, func(t *testing.T) {
		var ps []kernel.Product
		for _, r := range trials {
			r.Reset()
			ps = append(ps, r.Product)
		}
		kernel.Run(ps...)
		for i, r := range trials {
			SameBits(t, r.Case.String(), r.Out(), want[i])
			r.CheckGuards(t)
		}
	})
}

// TestSharedRight runs products that share B, as heads that share their keys
// do, and again after B has changed: nothing may be kept from one call to the
// next.
func TestSharedRight(t *testing.T) {
	for form := kernel.NT; form <= kernel.TN; form++ {
		var trials []*Trial
		for i := range 6 {
			r := ProductCase{Form: form, M: 55 + i, N: 70 + 10*(i/3), K: 40, Seed: uint64(i)}.Prepare()
			if i%3 > 0 {
				r.Product.B = trials[i-1].Product.B
			}
			trials = append(trials, r)
		}
		EachSetting(t, []int{1, 3}, func(t *testing.T) {
			for range 3 {
				var ps []kernel.Product
				for _, r := range trials {
					ps = append(ps, r.Product)
				}
				kernel.Run(ps...)
				for _, r := range trials {
					SameBits(t, r.Case.String(), r.Out(), r.Want())
				}
				b := trials[0].Product.B
				b.Row(0)[0]++
				b.Row(b.Rows - 1)[b.Cols-1]--
			}
		})
	}
}

// TestChainsContinue cuts the contraction in two calls, and the rows in two
// others: neither may change a bit.
func TestChainsContinue(t *testing.T) {
	EachSetting(t, []int{2}, func(t *testing.T) {
		for i := range uint64(40) {
			c := RandomCase(5000 + i)
			c.Form, c.Accumulate = kernel.TN, true
			if c.K < 2 || c.M < 2 {
				continue
			}
			r := c.Prepare()
			dw, dy, x := r.Product.Out, r.Product.A, r.Product.B
			kernel.MatMulDW(dw, dy, x)
			whole := r.Out()
			r.Reset()
			cut := 1 + int(i)%(c.K-1)
			kernel.MatMulDW(dw, dy.Slice(0, cut, 0, c.M), x.Slice(0, cut, 0, c.N))
			kernel.MatMulDW(dw, dy.Slice(cut, c.K, 0, c.M), x.Slice(cut, c.K, 0, c.N))
			SameBits(t, fmt.Sprintf("%v, k cut at %d", c, cut), r.Out(), whole)
			r.Reset()
			row := 1 + int(i)%(c.M-1)
			kernel.MatMulDW(dw.Slice(0, row, 0, c.N), dy.Slice(0, c.K, 0, row), x)
			kernel.MatMulDW(dw.Slice(row, c.M, 0, c.N), dy.Slice(0, c.K, row, c.M), x)
			SameBits(t, fmt.Sprintf("%v, rows cut at %d", c, row), r.Out(), whole)
		}
	})
}

// productsGolden is the digest of what the definition gives. It is the same
// on every machine; a change of it is a change of the arithmetic, and breaks
// every recorded run.
const productsGolden = "3a7882408f19f98e966c7f8b85c01d06"

func TestProductsGolden(t *testing.T) {
	EachSetting(t, []int{2}, func(t *testing.T) {
		var d Digest
		for i := range uint64(60) {
			r := RandomCase(9000 + i).Prepare()
			kernel.Run(r.Product)
			d.Add(r.Out()...)
		}
		if got := d.String(); got != productsGolden {
			t.Fatalf("digest of all products is %s, want %s", got, productsGolden)
		}
	})
}

func FuzzProducts(f *testing.F) {
	f.Add(uint8(0), uint16(13), uint16(33), uint16(257), uint8(1), uint64(1))
	f.Add(uint8(4), uint16(49), uint16(65), uint16(12), uint8(7), uint64(2))
	f.Add(uint8(5), uint16(5), uint16(130), uint16(64), uint8(0), uint64(3))
	f.Fuzz(func(t *testing.T, form uint8, m, n, k uint16, gaps uint8, seed uint64) {
		checkCase(t, ProductCase{
			Form: kernel.Form(form % 3), Accumulate: form&64 != 0,
			M: int(m % 160), N: int(n % 160), K: int(k % 600),
			GapOut: int(gaps & 7), GapA: int(gaps >> 3 & 3), GapB: int(gaps >> 5 & 7),
			Kind: Kind(seed % uint64(Kinds)), Seed: seed,
		})
	})
}
