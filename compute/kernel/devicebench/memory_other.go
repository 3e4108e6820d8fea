//go:build !linux && !darwin

package devicebench

// memory returns 0: it is not known how to ask this system.
func memory() int64 { return 0 }
