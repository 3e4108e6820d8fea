package hugepages

import "testing"

// TestAdvise: advice changes no value and takes slabs of every size.
func TestAdvise(t *testing.T) {
	Advise[float32](nil)
	for _, n := range []int{1, 1 << 19, 1<<19 + 5, 3<<19 + 1} {
		x := make([]float32, n)
		x[0], x[n-1] = 1, 2
		if n == 1 {
			x[0] = 2
		}
		Advise(x)
		for i, v := range x {
			want := float32(0)
			switch i {
			case n - 1:
				want = 2
			case 0:
				want = 1
			}
			if v != want {
				t.Fatalf("of %d, element %d is %v, want %v", n, i, v, want)
			}
		}
	}
}
