package kernelbench

import (
	"time"

	"github.com/temper-ml/temper/compute/kernel"
)

// Worked is how long the threads of this process have been at work so far: on a core,
// and not awake waiting for each other. It is 0 where the system does not tell. Where
// other programs take the cores, waits are counted while nothing runs: differences are
// then too small, and may be negative.
func Worked() time.Duration {
	cpu := cpuTime()
	if cpu == 0 {
		return 0
	}
	return cpu - kernel.Waited()
}
