package kernel

import (
	"sync/atomic"
	"time"

	"github.com/temper-ml/temper/compute/internal/workers"
)

// Parallel calls f for consecutive ranges [lo, hi) that cover [0, n) exactly
// once, on several threads at a time. Every lo is a multiple of grain, which
// is the least work worth moving to another thread (aim for some microseconds);
// a range may span many grains, or all of n.
//
// Calls within f, and calls while another goroutine's has the threads, run
// inline on their caller. If f panics on any thread, Parallel panics once all
// threads have left f; from another thread than the caller's, the value is an
// error that holds the original value and stack.
//
// What f computes must not depend on the ranges: then bits never depend on the
// number of threads.
func Parallel(n, grain int, f func(lo, hi int)) { workers.Parallel(n, grain, f) }

// Waited returns how long threads have waited for work or for each other without
// leaving their cores, together, since the program began. What the system counts as
// their processor time holds it.
func Waited() time.Duration { return workers.Waited() }

// Threads returns the number of threads that kernels use: GOMAXPROCS at start,
// or the value of the environment variable TEMPER_THREADS.
func Threads() int { return workers.Threads() }

// SetThreads sets the number of threads that kernels use from now on and
// returns the number before. It panics unless n is 1 to 1024.
func SetThreads(n int) (old int) { return workers.SetThreads(n) }

// loop is a loop over rows with all that its body needs, so that bodies need no
// variables of their own and a loop takes nothing from the heap: generation runs
// some hundreds for each token. What the fields mean is the operation's business.
type loop struct {
	args
	first         atomic.Int64
	ranges, byRow func(lo, hi int) // bound once
}

type args struct {
	ops          *rowOps
	out, a, b, c []float32
	d, e         []float32
	index        []int32
	s            float32
	n, k         int
	apply        func(dst, src []float32)
	dim          int
	span         func(l *loop, lo, hi int)
	row          func(l *loop, r, at, to int)
}

var loops workers.Freelist[loop]

// newLoop returns a loop to be filled in and run once.
func newLoop(o *rowOps) *loop {
	l := loops.Get()
	if l.ranges == nil {
		l.ranges = func(lo, hi int) { l.span(l, lo, hi) }
		l.byRow = func(lo, hi int) {
			for r := lo; r < hi; r++ {
				l.row(l, r, r*l.dim, (r+1)*l.dim)
			}
		}
	}
	l.ops = o
	return l
}

// over runs body for ranges of [0, n), as Parallel does. A loop whose body
// panicked is not used again: it may be in any state.
func (l *loop) over(n, grain int, body func(l *loop, lo, hi int)) {
	l.run(n, grain, body)
	l.done()
}

// run is over for loops with a result: done must follow.
func (l *loop) run(n, grain int, body func(l *loop, lo, hi int)) {
	l.span = body
	Parallel(n, grain, l.ranges)
}

// rows is eachRow.
func (l *loop) rows(rows, dim int, body func(l *loop, r, at, to int)) {
	l.row, l.dim = body, dim
	Parallel(rows, rowGrain(dim), l.byRow)
	l.done()
}

// done gives the loop back and forgets all that it referred to.
func (l *loop) done() {
	l.args = args{}

	loops.Put(l)
}

// Beside calls f, which computes while other goroutines do: until it returns, the
// threads are shared out to as many. Without it they disturb each other: whoever has
// the threads, the other waits for the same cores. No bit depends on it.
func Beside(f func()) { workers.Beside(f) }

// Aside calls f, in which the caller waits for a goroutine that computes [Beside] it.
func Aside(f func()) { workers.Aside(f) }
