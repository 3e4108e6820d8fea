// Package workers runs loops on a small set of persistent goroutines.
//
// A fork-join costs a few microseconds: workers spin for a moment after a job
// before they park, a worker that wakes too late is not waited for, and the
// caller always works itself. One job has the workers at a time; a job started
// within another, or beside it from a second goroutine, runs inline on its
// caller. So there is nothing to deadlock on, and no more threads compute than
// were asked for by jobs that do have the workers.
package workers

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
)

// MaxThreads is the largest number of threads that SetThreads accepts.
const MaxThreads = 1024

var shared = newPool(initialThreads())

// Parallel calls f for consecutive ranges [lo, hi) that cover [0, n) exactly
// once, on several threads. Every lo is a multiple of grain, which is the
// least work worth moving to another thread; a range may span many grains, or
// all of n.
//
// If f panics on any thread, Parallel panics after all threads have left f.
func Parallel(n, grain int, f func(lo, hi int)) { shared.parallel(n, grain, f) }

// Each is Parallel with ranges of one index each, [i, i+1), that threads take
// in ascending order as they become free: for a few pieces of unequal work.
func Each(n int, f func(lo, hi int)) { shared.run(n, 1, f) }

// Threads returns the number of threads that Parallel uses.
func Threads() int { return int(shared.threads.Load()) }

// SetThreads sets the number of threads that later calls of Parallel use,
// including the caller's own, and returns the number before. It panics unless
// 1 <= n <= MaxThreads.
func SetThreads(n int) (old int) {
	if n < 1 || n > MaxThreads {
		panic(fmt.Sprintf("kernel: threads must be 1 to %d, got %d", MaxThreads, n))
	}
	return int(shared.threads.Swap(int32(n)))
}

// initialThreads returns the value of TEMPER_THREADS, or GOMAXPROCS if it is
// not set.
func initialThreads() int {
	s := os.Getenv("TEMPER_THREADS")
	if s == "" {
		return min(runtime.GOMAXPROCS(0), MaxThreads)
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > MaxThreads {
		fmt.Fprintf(os.Stderr, "temper: TEMPER_THREADS must be 1 to %d, got %q\n", MaxThreads, s)
		os.Exit(2)
	}
	return n
}

// pool is a set of workers that serve one job at a time.
type pool struct {
	threads atomic.Int32
	drivers atomic.Int32 // goroutines that share the threads out
	crews   [maxDrivers]crew
}

// crew is the workers that serve one job at a time.
type crew struct {
	busy    atomic.Bool // held from open to join by the call that has the workers
	job     job
	workers []*worker // all ever started; guarded by busy
}

func newPool(threads int) *pool {
	p := &pool{}
	p.threads.Store(int32(threads))
	p.drivers.Store(1)
	for i := range p.crews {
		p.crews[i].job.left = make(chan struct{}, 1)
	}
	return p
}

func (p *pool) parallel(n, grain int, f func(lo, hi int)) {
	if n > 0 {
		p.run(n, chunkSize(n, grain, int(p.threads.Load())), f)
	}
}

// run calls f for ranges of chunk indices that cover [0, n).
func (p *pool) run(n, chunk int, f func(lo, hi int)) {
	if n <= 0 {
		return
	}
	if chunk < n {
		if c, t := p.hire(); c != nil {
			c.run(f, n, chunk, min(t, (n+chunk-1)/chunk)-1)
			return
		}
	}
	f(0, n)
}

// run has helpers workers and the caller run f. The crew is the caller's, until run
// returns.
func (c *crew) run(f func(lo, hi int), n, chunk, helpers int) {
	c.job.open(f, n, chunk, helpers)
	c.wake(helpers)
	returned := false
	defer func() {
		if !returned {
			c.job.abandon()
		}
		failure := c.job.join()
		c.busy.Store(false)
		if failure != nil && returned {
			panic(failure)
		}
	}()
	c.job.run()
	returned = true
}

// chunkSize returns the length of the ranges that threads take at a time: a
// multiple of grain that leaves each thread several, so that a slow one does
// not hold up the rest.
func chunkSize(n, grain, threads int) int {
	grain = max(grain, 1)
	grains := (n-1)/grain + 1
	const perThread = 8
	per := (grains-1)/(threads*perThread) + 1
	if per >= grains {
		return n
	}
	return per * grain
}

// wake makes sure that the first n workers exist and are not parked.
func (c *crew) wake(n int) {
	for len(c.workers) < n {
		w := &worker{job: &c.job, token: make(chan struct{}, 1)}
		c.workers = append(c.workers, w)
		go w.loop(0)
	}
	for _, w := range c.workers[:n] {
		w.unpark()
	}
}
