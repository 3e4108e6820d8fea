package nn

import (
	"math"
	"slices"
	"testing"

	"github.com/temper-ml/temper/internal/detrand"
)

func gaussian(n int, name string) []float32 {
	s := detrand.Key(1, name)
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(s.NormalAt(uint64(i)))
	}
	return out
}

func takeBestOf(row []float32, k int) []int32 {
	out := make([]int32, k)
	takeBest(out, slices.Clone(row))
	return out
}

func TestTakeBest(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for _, c := range []struct {
		row  []float32
		k    int
		want []int32
	}{
		{[]float32{1, 5, 3, 4}, 2, []int32{1, 3}},
		{[]float32{2, 2, 2, 2}, 3, []int32{0, 1, 2}}, // ties: lower index
		{[]float32{1, 3, 2, 3, 3}, 2, []int32{1, 3}},
		{[]float32{-1, -2, -3}, 1, []int32{0}},
		{[]float32{0, 0, 1}, 2, []int32{0, 2}},
		{[]float32{nan, 1, 2}, 2, []int32{1, 2}},
		{[]float32{nan, nan, nan}, 2, []int32{0, 1}}, // not finite: still K different experts
		{[]float32{inf, 7, inf}, 2, []int32{0, 1}},
	} {
		if got := takeBestOf(c.row, c.k); !slices.Equal(got, c.want) {
			t.Errorf("best %d of %v: %v, want %v", c.k, c.row, got, c.want)
		}
	}
}

func TestDropGroups(t *testing.T) {
	inf := float32(math.Inf(-1))
	r := Router{Experts: 8, Groups: 4, TopGroups: 2}
	row := []float32{9, 0, 5, 5, 1, 1, 4, 6} // sums of two: 9, 10, 2, 10
	r.dropGroups(row)
	if want := []float32{inf, inf, 5, 5, inf, inf, 4, 6}; !slices.Equal(row, want) {
		t.Errorf("groups left %v, want %v", row, want)
	}
	row = []float32{1, 1, 2, 0, 0, 2, 1, 1} // all equal: the first two groups
	r.dropGroups(row)
	if want := []float32{1, 1, 2, 0, inf, inf, inf, inf}; !slices.Equal(row, want) {
		t.Errorf("tied groups left %v, want %v", row, want)
	}
}

// testRouter returns a learned router and its inputs for n tokens.
func testRouter(n int) (*Router, []float32, *Pass) {
	r := &Router{
		Gate: Weight{Data: gaussian(6*8, "gate"), Grad: make([]float32, 6*8)}, Bias: gaussian(6, "bias"),
		Dim: 8, Experts: 6, TopK: 2, Groups: 1, TopGroups: 1, Factor: 1.5,
	}
	p := &Pass{Arena: NewArena(), Tokens: make([]int32, n), Segments: []Segment{{0, n}}}
	return r, gaussian(n*8, "x"), p
}

func TestRoutingOrders(t *testing.T) {
	const n = 40
	r, x, p := testRouter(n)
	var rt Routing
	r.Route(&rt, x, p)
	at := 0
	for e := range r.Experts {
		last := int32(-1)
		for row := rt.Start[e]; row < rt.Start[e+1]; row++ {
			if int(row) != at {
				t.Fatalf("rows of expert %d start at %d, want %d", e, row, at)
			}
			tok := rt.Token[row]
			if tok <= last {
				t.Errorf("expert %d: token %d follows %d", e, tok, last)
			}
			last = tok
			pair := slices.Index(rt.Row, row)
			if pair/r.TopK != int(tok) || rt.Chosen[pair] != int32(e) {
				t.Errorf("row %d is pair %d of token %d and expert %d, want token %d, expert %d", row, pair, pair/r.TopK, rt.Chosen[pair], tok, e)
			}
			at++
		}
		if rt.Count(e) != int(rt.Start[e+1]-rt.Start[e]) {
			t.Errorf("expert %d: count %d", e, rt.Count(e))
		}
	}
	if at != n*r.TopK {
		t.Errorf("%d rows, want %d", at, n*r.TopK)
	}
	for tok := range n {
		pair := tok * r.TopK
		if rt.Chosen[pair] >= rt.Chosen[pair+1] {
			t.Errorf("token %d: experts %v are not ascending", tok, rt.Chosen[pair:pair+2])
		}
		sum := rt.Weights[rt.Row[pair]] + rt.Weights[rt.Row[pair+1]]
		if math.Abs(float64(sum)-1.5) > 1e-6 {
			t.Errorf("token %d: weights add up to %v, want the factor 1.5", tok, sum)
		}
	}
}

func TestBiasSelectsButDoesNotWeigh(t *testing.T) {
	r, x, p := testRouter(10)
	r.Bias = []float32{0, 0, 0, 100, 100, 0}
	var rt Routing
	r.Route(&rt, x, p)
	if rt.Count(3) != 10 || rt.Count(4) != 10 {
		t.Fatalf("counts %v %v, want every token", rt.Count(3), rt.Count(4))
	}
	w := slices.Clone(rt.Weights)
	r.Bias = []float32{0, 0, 0, 7, 9, 0}
	r.Route(&rt, x, p)
	if !slices.Equal(w, rt.Weights) {
		t.Error("the bias changed the weights of an unchanged choice")
	}
}

func TestHashRouting(t *testing.T) {
	r, x, p := testRouter(3)
	r.Table = []float32{5, 1, 0, 2, 4, 3}
	p.Tokens = []int32{2, 0, 1}
	var rt Routing
	r.Route(&rt, x, p)
	if want := []int32{3, 4, 1, 5, 0, 2}; !slices.Equal(rt.Chosen, want) {
		t.Errorf("chosen %v, want %v", rt.Chosen, want)
	}
	if b := r.Balance(&rt, p); b != 0 {
		t.Errorf("balance loss %v of a hash router, want 0", b)
	}
}

// A perfectly even load has balance loss 1 per segment: Σ f P with f = 1.
func TestBalanceOfEvenLoad(t *testing.T) {
	r, x, p := testRouter(12)
	clear(r.Gate.Data) // equal scores
	r.Bias = nil
	p.Segments = []Segment{{0, 6}, {6, 12}}
	var rt Routing
	r.Route(&rt, x, p)
	for i := range rt.Chosen { // rewrite the choice so that every expert is chosen equally often
		rt.Chosen[i] = int32(i % 6)
	}
	if b := r.Balance(&rt, p); math.Abs(b-2) > 1e-6 {
		t.Errorf("balance loss %v, want 1 for each of 2 segments", b)
	}
}
