//go:build !unix

package policybench

import "time"

// cpuTime is not known here.
func cpuTime() time.Duration { return 0 }
