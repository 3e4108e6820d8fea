package data_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/data"
)

func TestBalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(1, 8).Draw(t, "k")
		size := rapid.IntRange(0, 12).Draw(t, "size")
		costs := rapid.SliceOfN(rapid.Int64Range(0, 1000), k*size, k*size).Draw(t, "costs")
		groups, err := data.Balance(costs, k)
		if err != nil {
			t.Fatal(err)
		}
		seen := make([]bool, len(costs))
		var sums []int64
		for _, g := range groups {
			if len(g) != size || !slices.IsSorted(g) {
				t.Fatalf("group %v, want %d items in order", g, size)
			}
			sum := int64(0)
			for _, i := range g {
				if seen[i] {
					t.Fatalf("item %d is in two groups", i)
				}
				seen[i] = true
				sum += costs[i]
			}
			sums = append(sums, sum)
		}
		if len(groups) != k || slices.Contains(seen, false) {
			t.Fatalf("%d groups hold not all of the items", len(groups))
		}
		// Merging opposite ends never widens the spread beyond one item's cost.
		if size > 0 && slices.Max(sums)-slices.Min(sums) > slices.Max(costs) {
			t.Fatalf("sums %v differ by more than the largest cost", sums)
		}
		again, err := data.Balance(costs, k)
		if err != nil || !slices.EqualFunc(groups, again, slices.Equal[[]int]) {
			t.Fatal("the same costs give other groups")
		}
	})
}

func TestBalanceFindsTheEvenDivision(t *testing.T) {
	groups, err := data.Balance([]int64{8, 7, 6, 5, 4, 3, 2, 1}, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		sum := int64(0)
		for _, i := range g {
			sum += int64(8 - i)
		}
		if sum != 18 {
			t.Errorf("groups %v, want sums of 18", groups)
		}
	}
	for _, bad := range []int{0, -1, 3} {
		if _, err := data.Balance(make([]int64, 8), bad); err == nil {
			t.Errorf("8 rows were divided into %d equal groups", bad)
		}
	}
}
