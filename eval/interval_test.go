package eval

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/internal/detrand"
)

func near(a, b, bound float64) bool { return math.Abs(a-b) <= bound }

// Wilson's intervals as scipy.stats.binomtest(right, total).proportion_ci(method="wilson")
// has them.
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		right, total int
		low, high    float64
	}{
		{5, 10, 0.236593090512564, 0.763406909487436},
		{0, 10, 0, 0.277532799862889},
		{10, 10, 0.722467200137111, 1},
		{1, 1, 0.206549314377055, 1},
		{81, 263, 0.2552885198782742, 0.3662095769828},
	} {
		m := share(Accuracy{c.right, c.total})
		if !near(m.Interval[0], c.low, 1e-12) || !near(m.Interval[1], c.high, 1e-12) || m.Count != int64(c.total) {
			t.Errorf("%d of %d: %v, want [%v %v]", c.right, c.total, *m.Interval, c.low, c.high)
		}
	}
}

func TestIntervalsContainTheirValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5000).Draw(t, "n")
		a := Accuracy{rapid.IntRange(0, n).Draw(t, "right"), n}
		m := share(a)
		if i := m.Interval; !(0 <= i[0] && i[0] <= m.Value && m.Value <= i[1] && i[1] <= 1) {
			t.Fatalf("%+v: %v not in %v", a, m.Value, *i)
		}
		wide, narrow := m.Interval, share(Accuracy{a.Right * 4, a.Total * 4}).Interval
		if narrow[1]-narrow[0] >= wide[1]-wide[0] {
			t.Fatalf("%+v: four times the questions do not narrow the interval", a)
		}
		x := rapid.SliceOfN(rapid.Float64Range(-5, 5), 2, 40).Draw(t, "x")
		if m := mean(x); !(m.Interval[0] <= m.Value && m.Value <= m.Interval[1]) {
			t.Fatalf("%v: %v not in %v", x, m.Value, *m.Interval)
		}
	})
}

// TestCoverage: of means of documents whose lengths and losses are drawn, about
// 95 % of the intervals hold the true one.
func TestCoverage(t *testing.T) {
	key := detrand.Key(5, "coverage")
	at := uint64(0)
	uniform := func() float64 { at++; return float64(key.Uint64nAt(at, 1<<40)) / (1 << 40) }
	const runs = 2000
	ratios, shares := 0, 0
	for range runs {
		var x, w []float64
		right := 0
		for range 100 {
			tokens := math.Floor(10 + 90*uniform())
			x, w = append(x, tokens*(2+2*uniform())), append(w, tokens) // each token 3 nats on the mean
			if uniform() < 0.3 {
				right++
			}
		}
		if i := ratio(x, w).Interval; i[0] <= 3 && 3 <= i[1] {
			ratios++
		}
		if i := share(Accuracy{right, 100}).Interval; i[0] <= 0.3 && 0.3 <= i[1] {
			shares++
		}
	}
	// three standard deviations of 2000 throws of 0.95 are 1.5 %; what the normal
	// approximation at 100 is off by, another
	for _, n := range []int{ratios, shares} {
		if p := float64(n) / runs; p < 0.92 || p > 0.98 {
			t.Errorf("intervals of 95 %% hold the true value in %.1f %% of runs", 100*p)
		}
	}
}

// TestPassAtK: the estimate is the share of the k-subsets that hold a right sample.
func TestPassAtK(t *testing.T) {
	for n := 1; n <= 9; n++ {
		for c := 0; c <= n; c++ {
			for k := 1; k <= n; k++ {
				some, all := 0, 0
				for set := range 1 << n {
					size, right := 0, false
					for i := range n {
						if set>>i&1 == 1 {
							size++
							right = right || i < c
						}
					}
					if size == k {
						all++
						if right {
							some++
						}
					}
				}
				if got, want := passAtK(n, c, k), float64(some)/float64(all); !near(got, want, 1e-14) {
					t.Errorf("%d right of %d, k %d: %v, want %v", c, n, k, got, want)
				}
			}
		}
	}
}
