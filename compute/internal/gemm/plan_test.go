package gemm

import (
	"testing"

	"github.com/temper-ml/temper/compute/internal/asm"
	"github.com/temper-ml/temper/internal/detrand"
)

// engines are those that plan cuts for: every level's microkernels, and none.
func engines() (us []*asm.Microkernels) {
	for _, l := range asm.Available() {
		us = append(us, asm.Gemm(l))
	}
	return us
}

// TestTasksCoverOutputs cuts products of many sizes for many threads: each
// element must lie in one task, and no task may be wider than scratch holds.
func TestTasksCoverOutputs(t *testing.T) {
	s := detrand.Key(1, "gemm plan")
	for i := range uint64(300) {
		size := func(c uint64, most uint64) int { return int(s.Uint64nAt(8*i+c, most)) }
		p := Product{M: size(0, 300), N: size(1, 1400), K: size(2, 900), TransB: size(3, 2) == 1}
		threads := 1 + size(4, 70)
		for _, u := range engines() {
			var r run
			r.plan([]Product{p}, u, threads)
			seen := make([]bool, p.M*p.N)
			for _, k := range r.tasks {
				if k.n1-k.n0 > maxCols {
					t.Fatalf("%+v, %d threads: task of %d columns, most is %d", p, threads, k.n1-k.n0, maxCols)
				}
				for m := k.m0; m < k.m1; m++ {
					for n := k.n0; n < k.n1; n++ {
						if seen[m*p.N+n] {
							t.Fatalf("%+v, %d threads: element (%d,%d) is in two tasks", p, threads, m, n)
						}
						seen[m*p.N+n] = true
					}
				}
			}
			for at, ok := range seen {
				if !ok {
					t.Fatalf("%+v, %d threads: element (%d,%d) is in no task", p, threads, at/p.N, at%p.N)
				}
			}
		}
	}
}

// TestTasksFeedAllThreads holds for large products, alone or many together.
func TestTasksFeedAllThreads(t *testing.T) {
	group := make([]Product, 16)
	for i := range group {
		group[i] = Product{M: 1 + 40*i, N: 512, K: 1024}
	}
	for _, ps := range [][]Product{{{M: 512, N: 512, K: 512}}, {{M: 1, N: 4096, K: 4096}}, group} {
		for _, threads := range []int{1, 2, 8} {
			for _, u := range engines() {
				var r run
				r.plan(ps, u, threads)
				total := 0
				for i, k := range r.tasks {
					total += k.cost
					if i > 0 && k.cost > r.tasks[i-1].cost {
						t.Errorf("task %d costs more than the one before: %d > %d", i, k.cost, r.tasks[i-1].cost)
					}
				}
				if most := r.tasks[0].cost; threads > 1 && most > total/threads {
					t.Errorf("%d products, %d threads: the largest of %d tasks is %d of %d", len(ps), threads, len(r.tasks), most, total)
				}
			}
		}
	}
}

func TestBlocks(t *testing.T) {
	for n := 1; n < 3000; n++ {
		for _, most := range []int{8, 100, streamK, blockK, 1365} {
			if s := stepK(n, most); s < 8 || s > most || s%8 != 0 || ceil(n, s) > ceil(n, most&^7) {
				t.Fatalf("stepK(%d, %d) = %d", n, most, s)
			}
		}
		if r := rowStep(n); r < n || r > n+31 || r/16%2 != 1 {
			t.Fatalf("rowStep(%d) = %d, want an odd number of lines", n, r)
		}
	}
	if need := maxRows * rowStep(blockK); need > len(scratch{}.a) {
		t.Errorf("packed rows of A need %d elements, scratch has %d", need, len(scratch{}.a))
	}
	if need := groupRows * blockK; need > len(scratch{}.a) {
		t.Errorf("packed columns of A need %d elements, scratch has %d", need, len(scratch{}.a))
	}
	for _, u := range engines() {
		if u != nil && (groupRows%u.Rows != 0 || u.Rows > maxRows || u.Cols > maxPanel || maxPanel%u.Cols != 0) {
			t.Errorf("microkernels of %dx%d do not fit the constants", u.Rows, u.Cols)
		}
	}
}
