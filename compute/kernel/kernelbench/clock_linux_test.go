package kernelbench

import (
	"time"

	"golang.org/x/sys/unix"
)

// processorTime returns a clock of this process's processor time per thread.
func processorTime(threads int) func() time.Duration {
	return func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
			panic(err)
		}
		return time.Duration(ts.Nano()) / time.Duration(threads)
	}
}
