package kernel

import (
	"fmt"
	"testing"

	"github.com/temper-ml/temper/compute/internal/asm"
)

// TestFewRows: products of few rows, which some instruction sets compute in a way
// of their own, have the bits of the definition at every size around whole panels
// and cache lines, within wider matrices, and accumulating.
func TestFewRows(t *testing.T) {
	defer asm.SetActive(asm.Active())
	ks, ns := []int{1, 15, 16, 17, 32, 47, 160, 8209}, []int{1, 7, 8, 9, 16, 33, 70}
	if testing.Short() {
		ks, ns = []int{15, 16, 47}, []int{7, 9, 33}
	}
	for _, k := range ks {
		for _, n := range ns {
			for m := 1; m <= 18; m++ {
				if k > 1000 && (m < 8 || m%8 != 0 && m != 13 || n != 33) {
					continue // only what does not fit together into the engine's memory
				}
				a, b, out := randoms(1, "a", m*(k+5)), randoms(2, "b", n*(k+3)), randoms(3, "out", m*(n+2))
				run := func(acc bool) []float32 {
					o := append([]float32(nil), out...)
					Run(Product{
						Form: NT, Out: Mat{o, m, n, n + 2}, A: Mat{a, m, k, k + 5}, B: Mat{b, n, k, k + 3}, Accumulate: acc,
					})
					return o
				}
				for _, acc := range []bool{false, true} {
					asm.SetActive(asm.Go)
					want := run(acc)
					for _, l := range asm.Available() {
						asm.SetActive(l)
						if got := run(acc); fmt.Sprint(got) != fmt.Sprint(want) {
							t.Fatalf("%v, %dx%d over %d, accumulate %v: differs from the definition", l, m, n, k, acc)
						}
					}
				}
			}
		}
	}
}
