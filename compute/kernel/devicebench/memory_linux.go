package devicebench

import (
	"os"
	"strconv"
	"strings"
)

// memory returns the bytes that this machine has, or the less that the control
// group of this process may use; 0 if neither is known.
func memory() int64 {
	total := int64(0)
	text, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemTotal:" {
			if kib, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				total = kib << 10
			}
		}
	}
	limit, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if err != nil {
		return total
	}
	if n, err := strconv.ParseInt(strings.TrimSpace(string(limit)), 10, 64); err == nil && n > 0 && (total == 0 || n < total) {
		return n
	}
	return total
}
