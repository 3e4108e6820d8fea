package kernel

import (
	"fmt"
	"strings"
	"testing"
)

func TestMatMulSmall(t *testing.T) {
	x := MatOf([]float32{1, 2, 3, 4, 5, 6}, 2, 3)
	w := MatOf([]float32{1, 0, 1, 0, 2, 0}, 2, 3)
	y := MatOf(make([]float32, 4), 2, 2)
	MatMul(y, x, w)
	if got, want := fmt.Sprint(y.Data), "[4 4 10 10]"; got != want {
		t.Fatalf("y = %s, want %s", got, want)
	}
	dx := MatOf(make([]float32, 6), 2, 3)
	MatMulDX(dx, y, w, false)
	MatMulDX(dx, y, w, true)
	if got, want := fmt.Sprint(dx.Data), "[8 16 8 20 40 20]"; got != want {
		t.Fatalf("dx = %s, want %s", got, want)
	}
	dw := MatOf([]float32{1, 1, 1, 1, 1, 1}, 2, 3)
	MatMulDW(dw, y, x)
	if got, want := fmt.Sprint(dw.Data), "[45 59 73 45 59 73]"; got != want {
		t.Fatalf("dw = %s, want %s", got, want)
	}
}

func TestRunPanicsOnMisfit(t *testing.T) {
	m := func(r, c int) Mat { return MatOf(make([]float32, r*c), r, c) }
	for _, c := range []struct {
		p    Product
		want string
	}{
		{Product{Form: NT, Out: m(2, 4), A: m(2, 3), B: m(4, 5)}, "does not fit"},
		{Product{Form: NN, Out: m(2, 4), A: m(2, 3), B: m(4, 3)}, "does not fit"},
		{Product{Form: TN, Out: m(2, 4), A: m(2, 3), B: m(2, 4)}, "does not fit"},
		{Product{Form: NT, Out: m(4, 2), A: m(2, 3), B: m(4, 3)}, "does not fit"},
		{Product{Form: 7, Out: m(2, 4), A: m(2, 3), B: m(4, 3)}, "Form(7)"},
		{Product{Out: Mat{make([]float32, 7), 2, 4, 4}, A: m(2, 3), B: m(4, 3)}, "needs 8 elements, got 7"},
		{Product{Out: Mat{make([]float32, 8), 2, 4, 3}, A: m(2, 3), B: m(4, 3)}, "stride"},
	} {
		func() {
			defer func() {
				if v := fmt.Sprint(recover()); !strings.Contains(v, c.want) {
					t.Errorf("panic %q, want one with %q", v, c.want)
				}
			}()
			Run(c.p)
		}()
	}
}

// TestRunDoesNotAllocate holds for the first few products of a call.
func TestRunDoesNotAllocate(t *testing.T) {
	m := func(r, c int) Mat { return MatOf(make([]float32, r*c), r, c) }
	x, w, y := m(2, 3), m(3, 3), m(2, 3)
	large := Product{Form: NN, Out: m(200, 200), A: m(200, 200), B: m(200, 200)}
	f := func() {
		MatMul(y, x, w)
		Run(Product{Form: NT, Out: y, A: x, B: w}, large)
	}
	f()
	if n := testing.AllocsPerRun(20, f); n >= 1 {
		t.Errorf("three products allocate %v times, want none", n)
	}
}
