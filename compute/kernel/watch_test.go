package kernel

import "testing"

// A product tells its multiplications to whoever watches, and nobody afterwards.
func TestWatchTellsProductsAndLoops(t *testing.T) {
	got := map[Kind]int64{}
	stop := Watch(func(w Work) { got[w.Kind] += w.Multiplications })
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a second watcher was let in")
			}
		}()
		Watch(func(Work) {})
	}()
	a, b, out := make([]float32, 3*5), make([]float32, 7*5), make([]float32, 3*7)
	MatMul(MatOf(out, 3, 7), MatOf(a, 3, 5), MatOf(b, 7, 5))
	MatMulDX(MatOf(a, 3, 5), MatOf(out, 3, 7), MatOf(b, 7, 5), false)
	MatMulDW(MatOf(b, 7, 5), MatOf(out, 3, 7), MatOf(a, 3, 5))
	Scale(a, 2)
	stop()
	stop()
	Scale(a, 2)
	if got[InRun] != 3*3*5*7 || got[InRow] != 15 {
		t.Errorf("told %v, want %d in products and 15 in loops", got, 3*3*5*7)
	}
	Watch(func(Work) {})() // the place is free again
}

// Unwatched, a product allocates nothing for the watch.
func TestNobodyWatchingCostsNothing(t *testing.T) {
	a, b, out := MatOf(make([]float32, 64), 8, 8), MatOf(make([]float32, 64), 8, 8), MatOf(make([]float32, 64), 8, 8)
	if n := testing.AllocsPerRun(100, func() { MatMul(out, a, b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
