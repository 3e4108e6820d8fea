//go:build !unix

package kernelbench

import "time"

// cpuTime is not known here.
func cpuTime() time.Duration { return 0 }
