//go:build linux || darwin

package durable

import (
	"os"
	"path/filepath"
	"syscall"
)

// Free returns the bytes that this user may still write where the path is, or
// would be.
func Free(path string) (int64, error) {
	for {
		if _, err := os.Stat(path); err == nil || filepath.Dir(path) == path {
			break
		}
		path = filepath.Dir(path)
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, explain(err)
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
