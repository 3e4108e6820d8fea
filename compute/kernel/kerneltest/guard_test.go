package kerneltest

import (
	"math"
	"runtime"
	"testing"
)

// recorder is a testing.TB that notes a failure instead of failing.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper() {}
func (r *recorder) Fatalf(string, ...any) {
	r.failed = true
	runtime.Goexit()
}

// failsOn reports whether f fails the TB that it is given.
func failsOn(f func(t testing.TB)) bool {
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r.failed
}

// TestGuardsNotice writes to every element beside a matrix in turn.
func TestGuardsNotice(t *testing.T) {
	const rows, cols, stride = 3, 5, 8
	m, check := GuardedMat(rows, cols, stride)
	all := m.Data[:len(m.Data):len(m.Data)]
	clean := func() bool { return !failsOn(func(t testing.TB) { check(t, "m") }) }
	if !clean() {
		t.Fatal("guards fail on an untouched matrix")
	}
	for i := range all {
		old := all[i]
		all[i] = 1
		if inside := i%stride < cols; clean() != inside {
			t.Errorf("element %d, inside %v, was written: guards pass is %v", i, inside, !inside)
		}
		all[i] = old
	}
}

// TestSameBitsNotices compares values that differ in one bit, or in none that
// counts.
func TestSameBitsNotices(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		a, b float32
		same bool
	}{
		{1, 1, true},
		{1, math.Nextafter32(1, 2), false},
		{0, float32(math.Copysign(0, -1)), false},
		{nan, -nan, true},
		{nan, 1, false},
		{float32(math.Inf(1)), math.MaxFloat32, false},
	} {
		fails := failsOn(func(t testing.TB) { SameBits(t, "x", []float32{c.a}, []float32{c.b}) })
		if fails == c.same {
			t.Errorf("SameBits(%g, %g) fails: %v, want %v", c.a, c.b, fails, !c.same)
		}
	}
}
