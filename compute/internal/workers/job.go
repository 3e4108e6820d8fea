package workers

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// job is the loop that the workers serve. It is reused: state tells one use
// from the next.
//
// state holds, from the top: a 32-bit epoch that numbers the uses; the open
// bit, set while workers may enter; the waiting bit, set when the caller has
// parked until the last worker leaves; 15 bits for the number of workers that
// may still enter; 15 bits for the number inside. The other fields are written
// only by the caller, before it opens the job or after all have left, and read
// only by those inside.
type job struct {
	state   atomic.Uint64
	next    atomic.Int64 // start of the next range to take
	failure atomic.Pointer[Panic]
	left    chan struct{} // signalled when a waiting caller may go on

	f        func(lo, hi int)
	n, chunk int
}

const (
	insideOne  = 1
	insideMask = 1<<15 - 1
	roomOne    = 1 << 15
	roomMask   = (1<<15 - 1) << 15
	waitingBit = 1 << 30
	openBit    = 1 << 31
	epochShift = 32
)

// open starts a new use of the job that up to helpers workers may enter.
func (j *job) open(f func(lo, hi int), n, chunk, helpers int) {
	j.f, j.n, j.chunk = f, n, chunk
	j.next.Store(0)
	epoch := j.state.Load()>>epochShift + 1
	j.state.Store(epoch<<epochShift | openBit | uint64(helpers)*roomOne)
}

// news reports whether a use that is not the one numbered seen can be entered.
func (j *job) news(seen uint64) bool {
	s := j.state.Load()
	return s&openBit != 0 && s&roomMask != 0 && s>>epochShift != seen
}

// enter joins the present use, unless it is the one numbered seen, and
// returns its number.
func (j *job) enter(seen uint64) (epoch uint64, ok bool) {
	for j.news(seen) {
		s := j.state.Load()
		if s&openBit == 0 || s&roomMask == 0 {
			continue
		}
		if j.state.CompareAndSwap(s, s-roomOne+insideOne) {
			return s >> epochShift, true
		}
	}
	return seen, false
}

// leave ends the stay of a worker that entered.
func (j *job) leave() {
	s := j.state.Add(^uint64(insideOne - 1))
	if s&waitingBit != 0 && s&insideMask == 0 {
		j.left <- struct{}{}
	}
}

// run takes ranges until none is left.
func (j *job) run() {
	for {
		hi := int(j.next.Add(int64(j.chunk)))
		lo := hi - j.chunk
		if lo >= j.n {
			return
		}
		j.f(lo, min(hi, j.n))
	}
}

// abandon takes all ranges that no thread has begun.
func (j *job) abandon() { j.next.Store(int64(j.n)) }

// join closes the job to newcomers, waits for those inside and returns the
// panic of one of them, or nil.
func (j *job) join() *Panic {
	s := j.state.And(^uint64(openBit)) &^ openBit
	var v vigil
	for s&insideMask != 0 {
		if v.pause() {
			s = j.state.Load()
			continue
		}
		if j.state.CompareAndSwap(s, s|waitingBit) {
			v.end()
			v = vigil{}
			<-j.left
			break
		}
		s = j.state.Load()
	}
	v.end()
	j.f = nil
	return j.failure.Swap(nil)
}

// Panic is the value that Parallel panics with when f panicked on a worker:
// the original value and the stack of the worker.
type Panic struct {
	Value any
	Stack []byte
}

// Error returns the original value's text and the worker's stack.
func (p *Panic) Error() string {
	return fmt.Sprintf("kernel: panic on a worker thread: %v\n\n%s", p.Value, p.Stack)
}

// Unwrap returns the original value if it is an error.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// worker is one persistent goroutine.
type worker struct {
	job    *job
	parked atomic.Bool
	token  chan struct{}
}

// loop serves uses of the job forever, beginning after the one numbered seen.
func (w *worker) loop(seen uint64) {
	for {
		w.await(seen)
		if epoch, ok := w.job.enter(seen); ok {
			seen = epoch
			w.serve(seen)
		}
	}
}

// serve runs the job and makes a panic in it the caller's. A body that ends
// its goroutine (runtime.Goexit, as testing.T.FailNow does) counts as one, and
// a new goroutine takes the worker's place.
func (w *worker) serve(seen uint64) {
	returned := false
	defer func() {
		if returned {
			w.job.leave()
			return
		}
		v := recover()
		if v == nil {
			v = "runtime.Goexit called in the body of Parallel"
			defer func() { go w.loop(seen) }()
		}
		w.job.failure.CompareAndSwap(nil, &Panic{Value: v, Stack: debug.Stack()})
		w.job.abandon()
		w.job.leave()
	}()
	w.job.run()
	returned = true
}

// spinFor is how long a thread waits awake before it parks. Waking a parked one
// takes tens of microseconds, on virtual machines more, in which a core stands
// still: so the wait bridges all that lies between one kernel and the next, down
// to kernels of a single token. A thread with nothing to do parks a moment later.
const spinFor = 200 * time.Microsecond

// vigil is a wait that has not parked yet.
type vigil struct {
	pauses int
	since  time.Time
}

// pause waits for a few loads, every so often lets other goroutines run, and
// reports whether it is too early to park.
func (v *vigil) pause() bool {
	if v.pauses == 0 {
		v.since = time.Now()
	}
	if v.pauses++; v.pauses%16 != 0 {
		for range 100 {
			pauseSink.Load()
		}
		return true
	}
	runtime.Gosched()
	return time.Since(v.since) < spinFor
}

// end books the time that was waited awake.
func (v *vigil) end() {
	if v.pauses > 0 {
		waited.Add(int64(time.Since(v.since)))
	}
}

var (
	pauseSink atomic.Int32
	waited    atomic.Int64
)

// Waited returns how long threads have waited awake, together, since the program
// began: time in which they were busy to the system, but not of use.
func Waited() time.Duration { return time.Duration(waited.Load()) }

// await returns when a use other than the one numbered seen may be open. It
// spins for a while and then parks.
func (w *worker) await(seen uint64) {
	var v vigil
	for early := true; early; early = v.pause() {
		if w.job.news(seen) {
			v.end()
			return
		}
	}
	v.end()
	w.parked.Store(true)
	if w.job.news(seen) && w.parked.CompareAndSwap(true, false) {
		return
	}
	<-w.token
}

// unpark wakes w if it is parked.
func (w *worker) unpark() {
	if w.parked.Load() && w.parked.CompareAndSwap(true, false) {
		w.token <- struct{}{}
	}
}
