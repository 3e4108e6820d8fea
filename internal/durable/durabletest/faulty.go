// Package durabletest breaks the file-system seam of package durable on purpose.
package durabletest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/temper-ml/temper/internal/durable"
)

// ErrInjected is the default error of the call that was chosen to fail.
var ErrInjected = errors.New("injected failure")

// Faulty passes calls on to an inner FS until the call numbered FailAt (from 1;
// 0 = never), which fails. It also remembers what has reached the disk, so that
// [Faulty.PowerCut] can take back what has not.
type Faulty struct {
	FS     durable.FS
	FailAt int   // the call that fails
	Lost   bool  // it happens nevertheless: the call succeeded, but its reply was lost
	Dead   bool  // every later call fails too, as if the process had died
	Err    error // what the failing call returns; nil = ErrInjected

	mu      sync.Mutex
	calls   int
	log     []string
	undo    []change         // directory changes since the last SyncDir of their parent
	synced  map[string]int64 // bytes of each file written that are on the disk
	written map[string]int64
}

// change is an entry of a directory that is not yet on the disk.
type change struct {
	parent   string
	old, new string // rename; old == "" for a creation
}

// Calls returns how many calls were made, Log what they were.
func (f *Faulty) Calls() int { f.mu.Lock(); defer f.mu.Unlock(); return f.calls }

// Log returns the calls so far, one line each.
func (f *Faulty) Log() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.log...)
}

// do counts one call and runs it, or fails, or both.
func (f *Faulty) do(what, name string, call func() error, done func()) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	f.log = append(f.log, what+" "+filepath.Base(name))
	hit := f.calls == f.FailAt
	dead := f.Dead && f.FailAt > 0 && f.calls > f.FailAt
	if dead || hit && !f.Lost {
		return f.failure(what)
	}
	if err := call(); err != nil {
		return err
	}
	if done != nil {
		done()
	}
	if hit {
		return f.failure(what)
	}
	return nil
}

func (f *Faulty) failure(what string) error {
	err := f.Err
	if err == nil {
		err = ErrInjected
	}
	return fmt.Errorf("%s: call %d: %w", what, f.calls, err)
}

func (f *Faulty) track(parent, old, name string) {
	f.undo = append(f.undo, change{parent, old, name})
}

// Create implements durable.FS.
func (f *Faulty) Create(name string) (durable.File, error) {
	var file durable.File
	err := f.do("create", name, func() (err error) { file, err = f.FS.Create(name); return err }, func() {
		if f.synced == nil {
			f.synced, f.written = make(map[string]int64), make(map[string]int64)
		}
		f.synced[name], f.written[name] = 0, 0
		f.track(filepath.Dir(name), "", name)
	})
	if err != nil {
		if file != nil {
			file.Close()
		}
		return nil, err
	}
	return &faultyFile{f, file, name}, nil
}

// Append implements durable.FS. What the file held is taken as being on the disk,
// and so is its cut.
func (f *Faulty) Append(name string, size int64) (durable.File, error) {
	var file durable.File
	err := f.do("append", name, func() (err error) { file, err = f.FS.Append(name, size); return err }, func() {
		if f.synced == nil {
			f.synced, f.written = make(map[string]int64), make(map[string]int64)
		}
		f.synced[name], f.written[name] = size, size
	})
	if err != nil {
		if file != nil {
			file.Close()
		}
		return nil, err
	}
	return &faultyFile{f, file, name}, nil
}

// Mkdir implements durable.FS.
func (f *Faulty) Mkdir(name string) error {
	return f.do("mkdir", name, func() error { return f.FS.Mkdir(name) }, func() { f.track(filepath.Dir(name), "", name) })
}

// Rename implements durable.FS.
func (f *Faulty) Rename(old, name string) error {
	return f.do("rename", name, func() error { return f.FS.Rename(old, name) }, func() { f.track(filepath.Dir(name), old, name) })
}

// RemoveAll implements durable.FS.
func (f *Faulty) RemoveAll(name string) error {
	return f.do("remove", name, func() error { return f.FS.RemoveAll(name) }, nil)
}

// SyncDir implements durable.FS.
func (f *Faulty) SyncDir(name string) error {
	return f.do("syncdir", name, func() error { return f.FS.SyncDir(name) }, func() {
		kept := f.undo[:0]
		for _, c := range f.undo {
			if c.parent != name {
				kept = append(kept, c)
			}
		}
		f.undo = kept
	})
}

// PowerCut makes the disk look as it may after a power failure: entries of
// directories that were not synced are gone, and files hold only what was.
// Removals are taken as having reached the disk at once. Use it with Dead.
func (f *Faulty) PowerCut() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, size := range f.synced {
		if size < f.written[name] {
			if err := os.Truncate(name, size); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	for i := len(f.undo) - 1; i >= 0; i-- {
		c := f.undo[i]
		var err error
		if c.old == "" {
			err = os.RemoveAll(c.new)
		} else if err = os.Rename(c.new, c.old); errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// faultyFile counts the calls on one file.
type faultyFile struct {
	fs   *Faulty
	file durable.File
	name string
}

// Write implements durable.File; a write that fails leaves half of its bytes.
func (w *faultyFile) Write(p []byte) (n int, err error) {
	err = w.fs.do("write", w.name, func() error { n, err = w.file.Write(p); return err }, func() { w.fs.written[w.name] += int64(n) })
	if err != nil && n == 0 && len(p) > 1 {
		n, _ = w.file.Write(p[:len(p)/2])
	}
	return n, err
}

// Sync implements durable.File.
func (w *faultyFile) Sync() error {
	return w.fs.do("sync", w.name, w.file.Sync, func() { w.fs.synced[w.name] = w.fs.written[w.name] })
}

// Close implements durable.File; the descriptor is closed in any case.
func (w *faultyFile) Close() error {
	err := w.fs.do("close", w.name, w.file.Close, nil)
	if err != nil {
		_ = w.file.Close()
	}
	return err
}
