package kernel

import "github.com/temper-ml/temper/compute/internal/workers"

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

// Threads returns the number of threads that kernels use: GOMAXPROCS at start,
// or the value of the environment variable TEMPER_THREADS.
func Threads() int { return workers.Threads() }

// SetThreads sets the number of threads that kernels use from now on and
// returns the number before. It panics unless n is 1 to 1024.
func SetThreads(n int) (old int) { return workers.SetThreads(n) }
