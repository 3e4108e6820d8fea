package kernel

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/temper-ml/temper/compute/internal/asm"
	"github.com/temper-ml/temper/compute/internal/workers"
)

// PeakFMA measures what the fused multiply-add units of this machine can do:
// the FLOP/s (two per element of each FMA) that the given number of threads
// reach together on chains of independent FMAs in registers, with the
// instructions of the given path. It runs for about d. The value is the
// denominator of every claim of the form "percent of peak"; measure it beside
// the thing claimed, since clocks and neighbours change.
func PeakFMA(path string, threads int, d time.Duration) (flops float64, err error) {
	l, err := asm.Parse(path)
	if err != nil {
		return 0, err
	}
	if threads < 1 || threads > workers.MaxThreads {
		return 0, fmt.Errorf("kernel: threads must be 1 to %d, got %d", workers.MaxThreads, threads)
	}
	defer workers.SetThreads(workers.SetThreads(threads))
	const rounds = 2000 // some tens of microseconds
	var done atomic.Int64
	start := time.Now()
	workers.Parallel(threads, 1, func(lo, hi int) {
		for range hi - lo {
			for n := 0; n == 0 || time.Since(start) < d; n++ {
				done.Add(int64(asm.Peak(l, rounds)))
			}
		}
	})
	return float64(done.Load()) / time.Since(start).Seconds(), nil
}
