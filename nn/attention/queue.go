package attention

import (
	"sync/atomic"

	"github.com/temper-ml/temper/compute/kernel"
)

// queue gives items to the threads one at a time.
type queue struct {
	lanes, next atomic.Int64
	n           int
	f           func(lane, i int)
	loop        func(_, _ int) // bound once
}

// run calls f for items 0 to n-1, on several threads at a time, each with a lane
// of its own, below the number of threads.
func (q *queue) run(n int, f func(lane, i int)) {
	q.lanes.Store(0)
	q.next.Store(0)
	q.n, q.f = n, f
	if q.loop == nil {
		q.loop = func(_, _ int) { q.serve() }
	}
	kernel.Parallel(kernel.Threads(), 1, q.loop)
}

// serve takes items until none is left.
func (q *queue) serve() {
	lane := int(q.lanes.Add(1) - 1)
	for {
		i := int(q.next.Add(1) - 1)
		if i >= q.n {
			return
		}
		q.f(lane, i)
	}
}
