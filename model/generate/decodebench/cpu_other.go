//go:build !unix

package decodebench

import "time"

// cpuTime is not known here.
func cpuTime() time.Duration { return 0 }
