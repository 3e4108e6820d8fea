package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// columns is the width of a terminal, 80 if it does not tell.
func columns(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 {
		return 80
	}
	return int(size.Col)
}
