// Package durable writes files so that a crash at any moment leaves either the
// old state or the new one, never a mixture.
//
// The recipe is the usual one: write everything under a temporary name, fsync
// each file, fsync the directory, rename, fsync the parent. [Dir] does it for a
// directory of large files that are streamed, [WriteFile] and [WriteStream] for one file.
// What fsync cannot promise: a disk that acknowledges writes it has not made, or
// that returns other bytes later; readers of important data keep digests.
//
// All writing goes through the [FS] seam, so that a test can make each call fail
// in both ways: it did not happen, or it happened and the reply was lost. Package
// durabletest has such an FS. Reading needs no seam and uses package os.
//
// [Acquire] keeps a second process out of a directory.
package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// FS is what durable writing needs of a file system. Calls may come from several
// goroutines at once.
type FS interface {
	// Create makes a new file for writing; it is an error if the name exists.
	Create(name string) (File, error)
	// Append opens an existing file, cut to size bytes if it is longer, to write
	// after them; it is an error if it is shorter.
	Append(name string, size int64) (File, error)
	// Mkdir makes one directory; it is an error if the name exists.
	Mkdir(name string) error
	// Rename gives a file or directory a new name. A file replaces a file of
	// that name; a directory replaces nothing but an empty directory.
	Rename(old, name string) error
	// RemoveAll removes the name and all below it; absent names are no error.
	RemoveAll(name string) error
	// SyncDir returns when the entries of the directory are on the disk.
	SyncDir(name string) error
}

// File is a file being written at its end.
type File interface {
	io.Writer
	// Sync returns when everything written is on the disk.
	Sync() error
	Close() error
}

// OS is the file system of the machine.
var OS FS = osFS{}

type osFS struct{}

func (osFS) Create(name string) (File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
}

func (osFS) Append(name string, size int64) (File, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err == nil && info.Size() < size:
		err = fmt.Errorf("%s has %d bytes, want at least %d", name, info.Size(), size)
	case err == nil && info.Size() > size:
		err = f.Truncate(size)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (osFS) Mkdir(name string) error       { return os.Mkdir(name, 0o777) }
func (osFS) Rename(old, name string) error { return os.Rename(old, name) }
func (osFS) RemoveAll(name string) error   { return os.RemoveAll(name) }

func (osFS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// MkdirAll makes the directory and its missing parents, each of them durable.
func MkdirAll(fs FS, name string) error {
	info, err := os.Stat(name)
	if err == nil {
		if !info.IsDir() {
			return fmt.Errorf("durable: %s is a file, want a directory", name)
		}
		return nil
	}
	parent := filepath.Dir(name)
	if parent != name {
		if err := MkdirAll(fs, parent); err != nil {
			return err
		}
	}
	if err := fs.Mkdir(name); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("durable: %w", err)
	}
	return explain(fs.SyncDir(parent))
}

// WriteFile replaces the file with the data: afterwards the name holds all of
// the old content or all of the new, whatever happened.
func WriteFile(fs FS, name string, data []byte) error {
	return WriteStream(fs, name, all(data))
}

// all writes the data in one call.
func all(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

// WriteStream is WriteFile for content that write produces piece by piece. When
// write fails, nothing is replaced and its error is returned.
func WriteStream(fs FS, name string, write func(io.Writer) error) error {
	tmp := fmt.Sprintf("%s.tmp-%d", name, os.Getpid())
	if err := fs.RemoveAll(tmp); err != nil {
		return explain(err)
	}
	err := writeSynced(fs, tmp, write)
	if err == nil {
		err = fs.Rename(tmp, name)
	}
	if err != nil {
		_ = fs.RemoveAll(tmp)
		return explain(err)
	}
	return explain(fs.SyncDir(filepath.Dir(name)))
}

func writeSynced(fs FS, name string, write func(io.Writer) error) error {
	f, err := fs.Create(name)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// explain adds the package's name to an error, and to a full disk what to do.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("durable: %w: nothing was replaced; free some space or choose another directory", err)
	}
	return fmt.Errorf("durable: %w", err)
}
