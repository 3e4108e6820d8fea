//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package durable

import (
	"os"
	"syscall"
)

// flock claims the open file without waiting.
func flock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != syscall.EINTR {
			return err
		}
	}
}
