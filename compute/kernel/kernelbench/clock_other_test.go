//go:build !linux

package kernelbench

import "time"

// processorTime is not to be had here.
func processorTime(int) func() time.Duration { return nil }
