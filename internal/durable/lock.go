package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// LockName is the file that [Acquire] leaves in a directory.
const LockName = "LOCK"

// ErrLocked is wrapped by the error of [Acquire] when another process, or
// another part of this one, holds the directory.
var ErrLocked = errors.New("in use")

// Lock is a claim on a directory. It lasts until Release, or until the process
// ends, however it ends: a crash leaves nothing to clean up.
type Lock struct{ f *os.File }

// claims keeps the files of all locks reachable: a file that is garbage is
// closed, and its lock would go with it.
var claims sync.Map

// hold makes a lock of an open file that has been claimed.
func hold(f *os.File) *Lock {
	claims.Store(f, true)
	return &Lock{f}
}

// Acquire claims the directory for this process, making it if necessary. If it
// is already claimed the error wraps [ErrLocked] and names the process.
func Acquire(dir string) (*Lock, error) {
	if err := MkdirAll(OS, dir); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, LockName)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, fmt.Errorf("durable: %w", err)
	}
	if err := flock(f); err != nil {
		owner := readOwner(f)
		f.Close()
		return nil, fmt.Errorf("durable: %s is %w by %s: stop it, or choose another directory", dir, ErrLocked, owner)
	}
	if err := writeOwner(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("durable: %w", err)
	}
	return hold(f), nil
}

// Release gives the directory up. Releasing twice, or a nil Lock, does nothing.
func (l *Lock) Release() {
	if l.held() {
		claims.Delete(l.f)
		l.f.Close() // closing the only descriptor drops the lock
		l.f = nil
	}
}

func (l *Lock) held() bool { return l != nil && l.f != nil }

// lockDir claims a directory itself, leaving no file in it.
func lockDir(name string) (*Lock, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("durable: %w", err)
	}
	if err := flock(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("durable: %s is %w by another process", name, ErrLocked)
	}
	return hold(f), nil
}

func writeOwner(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func readOwner(f *os.File) string {
	var b [32]byte
	n, _ := f.ReadAt(b[:], 0)
	pid := strings.TrimSpace(string(b[:n]))
	if _, err := strconv.Atoi(pid); err != nil {
		return "another process"
	}
	return "process " + pid
}
