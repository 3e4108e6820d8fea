package dashboard

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// However little memory there is, and whatever is taken back, what a table
// shows keeps the extremes of every stretch of steps, their number, and sums.
func TestTableKeepsExtremes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Room for the first rows and little more.
		b := newBudget(rapid.Int64Range(0, 300_000).Draw(t, "budget"))
		before := b.left.Load()
		tab := newTable(b)
		var want []float64
		seed := rapid.Uint64().Draw(t, "seed")
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			for range rapid.IntRange(0, 3000).Draw(t, "steps") {
				seed = seed*6364136223846793005 + 1442695040888963407
				v := float64(float32(seed >> 40))
				tab.add(10, int64(len(want)), seed|1, []value{{"x", spread, v}, {"sum", total, 1}})
				want = append(want, v)
			}
			// Taken back at the beginning of a row, so that rows hold whole stretches.
			if n := rapid.Int64Range(0, int64(len(want))).Draw(t, "left") / tab.width * tab.width; rapid.Bool().Draw(t, "cut") {
				tab.cut(n)
				want = want[:n]
			}
		}
		if tab.steps != int64(len(want)) {
			t.Fatalf("%d steps, want %d", tab.steps, len(want))
		}
		from := rapid.Int64Range(0, int64(len(want))).Draw(t, "from")
		to := rapid.Int64Range(from, int64(len(want))+5).Draw(t, "to")
		s := tab.view(from, to, rapid.IntRange(1, 500).Draw(t, "points"))
		checkView(t, s, want)
		if len(want) > 0 {
			e, ok := tab.extremes("x")
			lo, hi := minMax(want)
			if !ok || e.Least != lo || e.Most != hi {
				t.Fatalf("extremes %+v, want %v to %v", e, lo, hi)
			}
		}
		tab.free()
		if b.left.Load() != before {
			t.Fatalf("%d bytes of the budget were kept", before-b.left.Load())
		}
	})
}

func minMax(v []float64) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, x := range v {
		lo, hi = min(lo, x), max(hi, x)
	}
	return lo, hi
}

func checkView(t *rapid.T, s *series, want []float64) {
	if len(s.Step) == 0 {
		if s.To > s.From {
			t.Fatalf("no points for %d to %d", s.From, s.To)
		}
		return
	}
	x, sum := s.Columns["x"], s.Columns["sum"]
	begin := s.From
	for i, end := range s.Step {
		lo, hi := minMax(want[begin:end])
		gotLo, gotHi := x.Mean[i], x.Mean[i]
		if len(x.Lo) > 0 {
			gotLo, gotHi = x.Lo[i], x.Hi[i]
		}
		if float64(gotLo) != lo || float64(gotHi) != hi {
			t.Fatalf("steps %d to %d: %v to %v, want %v to %v", begin, end, gotLo, gotHi, lo, hi)
		}
		if m := float64(x.Mean[i]); m < lo || m > hi {
			t.Fatalf("mean %v is not between %v and %v", m, lo, hi)
		}
		if math.Abs(float64(sum.Mean[i])-1) > 1e-5 { // one a step
			t.Fatalf("sum of 1 a step is %v a step", sum.Mean[i])
		}
		if s.Tokens[i] != 10*end || s.Time[i] != end-1 {
			t.Fatalf("point %d: %d tokens at %d", i, s.Tokens[i], s.Time[i])
		}
		begin = end
	}
	if begin != s.To {
		t.Fatalf("points end at %d, want %d", begin, s.To)
	}
}

func TestTableStaysInItsBudget(t *testing.T) {
	const memory = 4 << 20
	b := newBudget(memory)
	tab := newTable(b)
	for i := range int64(200_000) {
		tab.add(1, i, 0, []value{{"a", spread, 1}, {"b", spread, 2}, {"c", total, 3}})
	}
	if used := int64(memory) - b.left.Load(); used > memory+memory/4 || tab.width < 2 {
		t.Errorf("%d bytes are in use, rows of %d steps", used, tab.width)
	}
	for i := range 2 * maxColumns {
		tab.add(1, 0, 0, []value{{fmt.Sprint(i), spread, 1}})
	}
	if len(tab.columns) != maxColumns || tab.dropped == 0 {
		t.Errorf("%d columns, %d dropped", len(tab.columns), tab.dropped)
	}
}

func TestNumbersThatJSONHasNot(t *testing.T) {
	tab := newTable(newBudget(1 << 30))
	for _, v := range []float64{1, math.NaN(), math.Inf(1), 0.1} {
		tab.add(1, 0, 0, []value{{"x", spread, v}})
	}
	b, err := json.Marshal(tab.view(0, 4, 10).Columns["x"])
	if want := `{"mean":[1,null,null,0.1]}`; err != nil || string(b) != want {
		t.Errorf("%s, %v, want %s", b, err, want)
	}
}

// Two runs part where the first step differs, whatever rows they are kept in.
func TestParting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 3000).Draw(t, "common")
		rest := rapid.IntRange(0, 2000).Draw(t, "rest")
		a, b := newTable(newBudget(rapid.Int64Range(0, 200_000).Draw(t, "a"))), newTable(newBudget(rapid.Int64Range(0, 200_000).Draw(t, "b")))
		for i := range n + rest {
			other := uint64(0)
			if i >= n {
				other = 1
			}
			a.add(1, 0, uint64(i)*2+3, nil)
			b.add(1, 0, uint64(i)*2+3+other, nil)
		}
		agree, width, found := parting(a, b)
		whole := int64(n+rest) / width * width
		switch {
		case rest == 0 && (found || agree != whole):
			t.Fatalf("the same %d steps part after %d of %d", n, agree, width)
		case rest > 0 && int64(n) < whole && (!found || agree > int64(n) || agree+width <= int64(n)):
			t.Fatalf("%d steps are common; they part after %d, found %v, in rows of %d", n, agree, found, width)
		}
	})
}
