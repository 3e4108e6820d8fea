package decodebench

import (
	"time"

	"github.com/temper-ml/temper/compute/kernel"
)

// usage tells how much of its cores' time a process has used.
type usage struct {
	start       time.Time
	cpu, waited time.Duration
}

func using() usage { return usage{time.Now(), cpuTime(), kernel.Waited()} }

// share returns the part of the time since, of all threads, in which they were at
// work: on a core, and not waiting for each other.
func (u usage) share() float64 {
	worked := cpuTime() - u.cpu - (kernel.Waited() - u.waited)
	return worked.Seconds() / (time.Since(u.start).Seconds() * float64(kernel.Threads()))
}
