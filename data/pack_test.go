package data_test

import (
	"slices"
	"sort"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/data"
)

// bestFit is best-fit decreasing as the books have it: look at every row.
// It returns the free space of the rows.
func bestFit(lengths []int, capacity int) []int {
	sorted := slices.Clone(lengths)
	sort.Sort(sort.Reverse(sort.IntSlice(sorted)))
	var free []int
	for _, n := range sorted {
		best := -1
		for r, space := range free {
			if space >= n && (best < 0 || space < free[best]) {
				best = r
			}
		}
		if best < 0 {
			free = append(free, capacity)
			best = len(free) - 1
		}
		free[best] -= n
	}
	slices.Sort(free)
	return free
}

func TestPack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(1, 9000).Draw(t, "capacity")
		lengths := rapid.SliceOfN(rapid.IntRange(1, capacity), 0, 200).Draw(t, "lengths")
		rows, err := data.Pack(lengths, capacity)
		if err != nil {
			t.Fatal(err)
		}
		seen := make([]bool, len(lengths))
		free := []int(nil)
		for _, row := range rows {
			space := capacity
			for _, i := range row {
				if seen[i] {
					t.Fatalf("sequence %d is in two rows", i)
				}
				seen[i] = true
				space -= lengths[i]
			}
			if space < 0 {
				t.Fatalf("row %v holds %d tokens too many", row, -space)
			}
			free = append(free, space)
		}
		if i := slices.Index(seen, false); i >= 0 {
			t.Fatalf("sequence %d is in no row", i)
		}
		slices.Sort(free)
		if want := bestFit(lengths, capacity); !slices.Equal(free, want) {
			t.Fatalf("free space %v, best-fit decreasing leaves %v", free, want)
		}
		again, err := data.Pack(lengths, capacity)
		if err != nil || !slices.EqualFunc(rows, again, slices.Equal[[]int]) {
			t.Fatalf("packing the same lengths again gives other rows")
		}
	})
}

func TestPackRefuses(t *testing.T) {
	for _, n := range []int{0, -1, 11} {
		if _, err := data.Pack([]int{5, n}, 10); err == nil {
			t.Errorf("a sequence of %d tokens was packed into rows of 10", n)
		}
	}
}

func BenchmarkPack(b *testing.B) {
	lengths := make([]int, 1_000_000)
	for i := range lengths {
		lengths[i] = 1 + (i*7919)%4096
	}
	for b.Loop() {
		if _, err := data.Pack(lengths, 8192); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(lengths))*float64(b.N)/b.Elapsed().Seconds(), "sequences/s")
}
