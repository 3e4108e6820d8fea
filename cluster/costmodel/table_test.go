package costmodel

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/cluster/costmodel/operator"
)

// The tables of a search hold what the cache of single evaluations holds.
func TestTablesEqualCells(t *testing.T) {
	m := newModel(t, "deepseek-v3", "h800", 2048, Workload{Seq: 4096, GlobalBatch: 4096})
	key := Key{TP: 2, CP: 1, EP: 64, ETP: 1, MicroBatch: 2}
	choices := []operator.Recompute{0, m.Engine.Selective, operator.Recompute(operator.Whole)}
	for i, got := range m.Tables(key, choices) {
		key.Recompute = choices[i]
		want := m.Cell(key)
		if !slices.Equal(got.Class, want.Class) || got.Head != want.Head || got.Embedding != want.Embedding || got.Key != want.Key {
			t.Fatalf("%v: table and cell are laid out differently", choices[i])
		}
		for j := range want.Parts {
			if got.Parts[j].PassCost != want.Parts[j].PassCost || got.Parts[j].Kept != want.Parts[j].Kept {
				t.Errorf("%v: part %d costs %+v, want %+v", choices[i], j, got.Parts[j].PassCost, want.Parts[j].PassCost)
			}
		}
	}
}

// No cut into consecutive parts has a faster slowest part.
func TestCutIsBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, parts := rapid.IntRange(1, 8).Draw(t, "blocks"), rapid.IntRange(1, 5).Draw(t, "parts")
		before := make([]float64, n+1)
		for b := range n {
			before[b+1] = before[b] + float64(rapid.IntRange(1, 9).Draw(t, "seconds"))
		}
		first, last := float64(rapid.IntRange(0, 9).Draw(t, "first")), float64(rapid.IntRange(0, 9).Draw(t, "last"))
		counts := make([]int, parts)
		Cut(before, first, last, counts)
		if n%parts == 0 {
			return // equal numbers, whatever they take
		}
		got := slowest(before, first, last, counts)
		best := math.Inf(1)
		var try func(i, left int, c []int)
		try = func(i, left int, c []int) {
			if i == parts-1 {
				best = min(best, slowest(before, first, last, append(slices.Clone(c), left)))
				return
			}
			for k := range left + 1 {
				try(i+1, left-k, append(slices.Clone(c), k))
			}
		}
		try(0, n, nil)
		if got != best {
			t.Fatalf("slowest part takes %v with %v, the best cut %v", got, counts, best)
		}
	})
}

// Positions stay empty only where there are too few blocks, or at the end.
func TestCutsLeaveNoPositionEmpty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, parts := rapid.IntRange(1, 130).Draw(t, "blocks"), rapid.IntRange(1, 128).Draw(t, "parts")
		before := make([]float64, n+1)
		for b := range n {
			before[b+1] = before[b] + float64(rapid.IntRange(1, 4).Draw(t, "seconds"))
		}
		counts := make([]int, parts)
		Cut(before, 0, float64(rapid.IntRange(0, 9).Draw(t, "last")), counts)
		sum := 0
		for i, c := range counts {
			sum += c
			if c == 0 && i < parts-1 && n >= parts-1 {
				t.Fatalf("%d blocks over %d positions: %v", n, parts, counts)
			}
		}
		if sum != n {
			t.Fatalf("%d blocks, placed %d", n, sum)
		}
	})
}

func slowest(before []float64, first, last float64, counts []int) float64 {
	worst, at := 0.0, 0
	for i, c := range counts {
		s := before[at+c] - before[at]
		if i == 0 {
			s += first
		}
		if i == len(counts)-1 {
			s += last
		}
		worst, at = max(worst, s), at+c
	}
	return worst
}
