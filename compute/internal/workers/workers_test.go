package workers

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// cover runs a loop of n on p and fails unless every index was visited once
// and every range begins on a multiple of grain.
func cover(t *testing.T, p *pool, n, grain int) {
	t.Helper()
	seen := make([]atomic.Int32, n)
	p.parallel(n, grain, func(lo, hi int) {
		if lo%max(grain, 1) != 0 || lo >= hi || hi > n {
			t.Errorf("n=%d grain=%d: range [%d,%d)", n, grain, lo, hi)
		}
		for i := lo; i < hi; i++ {
			seen[i].Add(1)
		}
	})
	for i := range seen {
		if c := seen[i].Load(); c != 1 {
			t.Fatalf("n=%d grain=%d: index %d visited %d times", n, grain, i, c)
		}
	}
}

func TestCover(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 7, 40} {
		p := newPool(threads)
		for _, n := range []int{0, 1, 2, 3, 7, 8, 63, 64, 65, 1000, 4097} {
			for _, grain := range []int{0, 1, 2, 5, 64, 100, 5000} {
				cover(t, p, n, grain)
			}
		}
	}
}

func TestManyShortJobs(t *testing.T) {
	p := newPool(3)
	var sum atomic.Int64
	const jobs, n = 20000, 64
	for range jobs {
		p.parallel(n, 1, func(lo, hi int) { sum.Add(int64(hi - lo)) })
	}
	if sum.Load() != jobs*n {
		t.Fatalf("visited %d indices, want %d", sum.Load(), jobs*n)
	}
}

// TestPark lets the workers park between jobs.
func TestPark(t *testing.T) {
	p := newPool(4)
	for range 20 {
		cover(t, p, 100, 1)
		time.Sleep(2 * time.Millisecond)
	}
}

// TestWorkersJoinIn fails if workers never take part.
func TestWorkersJoinIn(t *testing.T) {
	p := newPool(2)
	var inside, most atomic.Int32
	for range 50 {
		p.parallel(2, 1, func(lo, hi int) {
			if c := inside.Add(1); c > most.Load() {
				most.Store(c)
			}
			time.Sleep(time.Millisecond)
			inside.Add(-1)
		})
	}
	if most.Load() != 2 {
		t.Fatalf("at most %d threads were inside the body, want 2", most.Load())
	}
}

func TestNestedRunsInline(t *testing.T) {
	p := newPool(4)
	var total atomic.Int64
	p.parallel(50, 1, func(lo, hi int) {
		for range hi - lo {
			calls := 0
			p.parallel(100, 1, func(lo, hi int) { calls++; total.Add(int64(hi - lo)) })
			if calls != 1 {
				t.Errorf("nested loop ran as %d ranges, want 1", calls)
			}
		}
	})
	if total.Load() != 5000 {
		t.Fatalf("nested loops visited %d indices, want 5000", total.Load())
	}
}

func TestConcurrentCallers(t *testing.T) {
	p := newPool(3)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				cover(t, p, 1+i, 3)
			}
		})
	}
	wg.Wait()
}

func TestThreadsChangeWhileRunning(t *testing.T) {
	p := newPool(1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				p.threads.Store(int32(i%5 + 1))
				runtime.Gosched()
			}
		}
	})
	for range 300 {
		cover(t, p, 333, 2)
	}
	close(stop)
	wg.Wait()
}

// TestPanic breaks the body at each index in turn, on whichever thread.
func TestPanic(t *testing.T) {
	p := newPool(3)
	boom := errors.New("boom")
	for bad := range 40 {
		got := func() (v any) {
			defer func() { v = recover() }()
			p.parallel(40, 1, func(lo, hi int) {
				time.Sleep(50 * time.Microsecond)
				if lo <= bad && bad < hi {
					panic(boom)
				}
			})
			return nil
		}()
		err, ok := got.(error)
		if !ok || !errors.Is(err, boom) {
			t.Fatalf("body panicked at index %d: Parallel panicked with %v, want boom", bad, got)
		}
		if pe := new(Panic); errors.As(err, &pe) && !strings.Contains(string(pe.Stack), "TestPanic") {
			t.Fatalf("stack of the worker is missing: %s", pe.Stack)
		}
	}
	cover(t, p, 1000, 1)
}

func TestGoexitOnWorker(t *testing.T) {
	p := newPool(2)
	for range 20 {
		ended := make(chan any)
		go func() {
			finished := false
			defer func() {
				v := recover()
				if v == nil && !finished {
					v = "the caller's own goroutine ended"
				}
				ended <- v
			}()
			p.parallel(2, 1, func(lo, hi int) {
				time.Sleep(time.Millisecond)
				if lo == 1 {
					runtime.Goexit()
				}
			})
			finished = true
		}()
		if v := <-ended; v == nil {
			t.Fatal("Parallel returned though its body ended the goroutine")
		} else if pe, ok := v.(*Panic); ok && !strings.Contains(fmt.Sprint(pe.Value), "Goexit") {
			t.Fatalf("panic value %v", pe.Value)
		}
	}
	cover(t, p, 1000, 1)
}

func TestSetThreads(t *testing.T) {
	old := SetThreads(5)
	defer SetThreads(old)
	if got := Threads(); got != 5 {
		t.Fatalf("Threads() = %d after SetThreads(5)", got)
	}
	for _, bad := range []int{0, -1, MaxThreads + 1} {
		func() {
			defer func() {
				if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), fmt.Sprint(bad)) {
					t.Errorf("SetThreads(%d) panicked with %v", bad, v)
				}
			}()
			SetThreads(bad)
		}()
	}
}

func BenchmarkForkJoin(b *testing.B) {
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			p := newPool(threads)
			for b.Loop() {
				p.parallel(2, 1, func(lo, hi int) {})
			}
		})
	}
}

// TestBeside: goroutines that compute beside each other never run on more threads
// than there are, and each on its own; one that is left alone has all of them.
func TestBeside(t *testing.T) {
	p := newPool(4)
	var inside, most atomic.Int32
	work := func(n int) (widest int32) {
		var mine, wide atomic.Int32
		for range n {
			p.parallel(4, 1, func(lo, hi int) {
				for c := inside.Add(1); c > most.Load(); c = inside.Load() {
					most.Store(c)
				}
				if c := mine.Add(1); c > wide.Load() {
					wide.Store(c)
				}
				time.Sleep(time.Millisecond)
				inside.Add(-1)
				mine.Add(-1)
			})
		}
		return wide.Load()
	}
	began, done := make(chan bool), make(chan int32)
	go p.beside(1, func() { began <- true; done <- work(30) })
	<-began
	a, b := work(30), <-done
	if a > 2 || b > 2 || most.Load() > 4 {
		t.Errorf("%d and %d threads for two goroutines, %d together, want at most 2 each of 4", a, b, most.Load())
	}
	p.beside(1, func() {
		if a := int32(0); true {
			p.beside(-1, func() { a = work(30) })
			if a < 3 {
				t.Errorf("%d threads for one while the other waits, want up to 4", a)
			}
		}
	})
	p.threads.Store(2)
	p.beside(1, func() {
		if c, _ := p.hire(); c != nil {
			t.Error("one of two goroutines on two threads has a helper")
		}
	})
}

// TestBesideCovers: loops are whole whatever is shared out meanwhile.
func TestBesideCovers(t *testing.T) {
	p := newPool(5)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for i := range 100 {
				p.beside(1, func() { cover(t, p, 1+i, 3) })
				cover(t, p, 200, 7)
			}
		})
	}
	wg.Wait()
}
