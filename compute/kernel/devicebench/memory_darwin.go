package devicebench

import "golang.org/x/sys/unix"

// memory returns the bytes that this machine has, 0 if unknown.
func memory() int64 {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return int64(n)
}
