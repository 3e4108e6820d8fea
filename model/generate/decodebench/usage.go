package decodebench

import (
	"time"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/compute/kernel/kernelbench"
)

// usage tells how much of its cores' time a process has used.
type usage struct {
	start  time.Time
	worked time.Duration
}

func using() usage { return usage{time.Now(), kernelbench.Worked()} }

// share returns the part of the time since, of all threads, in which they were at
// work; on a machine that others use, less.
func (u usage) share() float64 {
	return max(0, (kernelbench.Worked()-u.worked).Seconds()) / (time.Since(u.start).Seconds() * float64(kernel.Threads()))
}
