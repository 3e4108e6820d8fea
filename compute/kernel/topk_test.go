package kernel

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"github.com/temper-ml/temper/internal/detrand"
)

// topKBySorting is the definition: sort by score, then by position, take k.
func topKBySorting(scores []float32, k int) []int32 {
	order := make([]int32, len(scores))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		x, y := scores[a], scores[b]
		switch {
		case x != x && y != y:
			return 0
		case x != x:
			return -1
		case y != y:
			return 1
		}
		return cmp.Compare(float64(y), float64(x))
	})
	order = order[:min(k, len(order))]
	slices.Sort(order)
	return order
}

func checkTopK(t *testing.T, scores []float32, k int) {
	t.Helper()
	index := make([]int32, min(k, len(scores)))
	n := TopK(index, scores, k)
	if want := topKBySorting(scores, k); n != len(want) || !slices.Equal(index[:n], want) {
		t.Fatalf("top %d of %v is %v, want %v", k, scores, index[:n], want)
	}
}

func TestTopK(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	negZero := float32(math.Copysign(0, -1))
	for _, scores := range [][]float32{
		nil,
		{1},
		{1, 1, 1, 1},
		{0, negZero, 0, negZero},
		{negZero, 0},
		{-1, -2, -3},
		{3, 1, 3, 2, 3},
		{-inf, -inf, 1},
		{inf, 1, inf, -inf},
		{nan, 1, 2},
		{1, nan, 2, nan},
		{1e-45, 0, -1e-45},
		{1, -1, 1, -1, 1},
	} {
		for k := 0; k <= len(scores)+1; k++ {
			checkTopK(t, scores, k)
		}
	}
	s := detrand.Key(3, "topk")
	for n := 1; n < 300; n += 13 {
		scores := make([]float32, n)
		for i := range scores {
			scores[i] = float32(int(s.Uint64At(uint64(n*1000+i))%9)-4) / 3 // many ties
		}
		for _, k := range []int{1, 2, n / 2, n - 1} {
			checkTopK(t, scores, k)
		}
	}
}

func FuzzTopK(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8}, uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, k uint8) {
		scores := make([]float32, len(data)/2)
		for i := range scores { // bfloat16 patterns: many ties and special values
			scores[i] = math.Float32frombits(uint32(data[2*i])<<16 | uint32(data[2*i+1])<<24)
		}
		checkTopK(t, scores, int(k))
	})
}
