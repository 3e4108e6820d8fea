package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// Dir is a directory in the making: files are created in a temporary sibling,
// and [Dir.Commit] gives it its name when all of them are on the disk. Until
// then nothing exists under the final name.
type Dir struct {
	fs    FS
	final string
	tmp   string
	below []string // directories within, by name
	lock  *Lock
}

// staged numbers the temporary directories of this process.
var staged atomic.Int64

// NewDir starts a directory that will be called final, which must not exist, or
// be empty. What an earlier process that died left behind for the same name is
// removed; if a living process is writing it, that is an error.
func NewDir(fs FS, final string) (*Dir, error) {
	final = filepath.Clean(final)
	if err := vacant(final); err != nil {
		return nil, err
	}
	parent := filepath.Dir(final)
	if err := MkdirAll(fs, parent); err != nil {
		return nil, err
	}
	prefix := "." + filepath.Base(final) + ".tmp-"
	if err := RemoveStale(fs, parent, prefix); err != nil {
		return nil, err
	}
	tmp := filepath.Join(parent, fmt.Sprintf("%s%d-%d", prefix, os.Getpid(), staged.Add(1)))
	if err := fs.Mkdir(tmp); err != nil {
		return nil, explain(err)
	}
	lock, err := lockDir(tmp)
	if err != nil {
		_ = fs.RemoveAll(tmp)
		return nil, err
	}
	return &Dir{fs: fs, final: final, tmp: tmp, lock: lock}, nil
}

// vacant reports an error if something is in the way of a new directory.
func vacant(name string) error {
	entries, err := os.ReadDir(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("durable: %s exists and is not a directory: %w", name, err)
	case len(entries) > 0:
		return fmt.Errorf("durable: %s exists and holds %d entries, want an absent or empty directory: remove it or choose another name", name, len(entries))
	}
	return nil
}

// RemoveStale removes temporary directories of the parent whose names start with
// the prefix and whose writer is dead. A living writer is an error.
func RemoveStale(fs FS, parent, prefix string) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return fmt.Errorf("durable: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		name := filepath.Join(parent, e.Name())
		lock, err := lockDir(name)
		if err != nil {
			return fmt.Errorf("durable: another process is writing %s now: wait for it, or choose another name", name)
		}
		lock.Release()
		if err := fs.RemoveAll(name); err != nil {
			return explain(err)
		}
	}
	return nil
}

// Mkdir makes a directory within, whose parent exists.
func (d *Dir) Mkdir(name string) error {
	if err := d.fs.Mkdir(filepath.Join(d.tmp, name)); err != nil {
		return explain(err)
	}
	d.below = append(d.below, name)
	return nil
}

// Create starts a file of the directory. Its Close returns when the content is
// on the disk.
func (d *Dir) Create(name string) (*DirFile, error) {
	f, err := d.fs.Create(filepath.Join(d.tmp, name))
	if err != nil {
		return nil, explain(err)
	}
	return &DirFile{f: f}, nil
}

// WriteFile creates a small file of the directory with the given content.
func (d *Dir) WriteFile(name string, data []byte) error {
	return explain(writeSynced(d.fs, filepath.Join(d.tmp, name), all(data)))
}

// Commit makes the directory appear under its final name. If it returns nil, a
// crash cannot undo that. If it returns an error the directory may or may not
// have appeared: complete in the first case, and never half.
func (d *Dir) Commit() error {
	defer d.lock.Release()
	var err error
	for i := len(d.below) - 1; i >= 0 && err == nil; i-- {
		err = d.fs.SyncDir(filepath.Join(d.tmp, d.below[i]))
	}
	if err == nil {
		err = d.fs.SyncDir(d.tmp)
	}
	if err == nil {
		err = d.fs.Rename(d.tmp, d.final)
	}
	if err != nil {
		_ = d.fs.RemoveAll(d.tmp)
		return explain(err)
	}
	return explain(d.fs.SyncDir(filepath.Dir(d.final)))
}

// Abort gives up and removes what was written. After Commit it does nothing.
func (d *Dir) Abort() {
	if d.lock.held() {
		_ = d.fs.RemoveAll(d.tmp)
		d.lock.Release()
	}
}

// DirFile is a file of a [Dir].
type DirFile struct{ f File }

// Write appends p.
func (f *DirFile) Write(p []byte) (int, error) {
	n, err := f.f.Write(p)
	return n, explain(err)
}

// Close flushes the content to the disk and closes the file.
func (f *DirFile) Close() error {
	err := f.f.Sync()
	if closeErr := f.f.Close(); err == nil {
		err = closeErr
	}
	return explain(err)
}

// Discard closes the file without waiting for the disk; use it before Abort.
func (f *DirFile) Discard() { _ = f.f.Close() }
