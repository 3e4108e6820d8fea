package safetensors

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

// File is an open safetensors file. Its methods may be called from several
// goroutines at once.
type File struct {
	path     string
	f        *os.File
	tensors  []Info
	byName   map[string]int
	metadata map[string]string
}

// Open reads and checks the header of a file. Data is read on demand.
func Open(path string) (*File, error) {
	stat, err := os.Stat(path) // before opening, which would wait on a pipe
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	if !stat.Mode().IsRegular() {
		return nil, fmt.Errorf("safetensors: %s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	file, err := read(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("safetensors: %s: %w", path, err)
	}
	file.path = path
	return file, nil
}

// read checks length and header of an open file.
func read(f *os.File) (*File, error) {
	stat, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var length [8]byte
	if _, err := io.ReadFull(f, length[:]); err != nil {
		return nil, fmt.Errorf("file has %d bytes, want at least 8 for the header's length", stat.Size())
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > MaxHeader {
		return nil, fmt.Errorf("header claims %d bytes, want at most %d", n, MaxHeader)
	}
	if int64(n) > stat.Size()-8 {
		return nil, fmt.Errorf("header claims %d bytes, but only %d follow: the file is truncated or not safetensors", n, stat.Size()-8)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(f, text); err != nil {
		return nil, fmt.Errorf("reading the header: %w", err)
	}
	h, err := parseHeader(text, stat.Size()-8-int64(n))
	if err != nil {
		return nil, err
	}
	file := &File{f: f, tensors: h.tensors, metadata: h.metadata, byName: make(map[string]int, len(h.tensors))}
	for i := range file.tensors {
		file.tensors[i].Offset += 8 + int64(n)
		file.byName[file.tensors[i].Name] = i
	}
	return file, nil
}

// Path returns the name under which the file was opened.
func (f *File) Path() string { return f.path }

// Tensors returns all tensors in the order of their data.
func (f *File) Tensors() []Info { return f.tensors }

// Metadata returns the strings of __metadata__, nil when there are none.
func (f *File) Metadata() map[string]string { return f.metadata }

// Lookup returns the tensor of that name.
func (f *File) Lookup(name string) (*Info, bool) {
	i, ok := f.byName[name]
	if !ok {
		return nil, false
	}
	return &f.tensors[i], true
}

// ReadAt fills p with the bytes of the tensor from byte off on, all of it or an
// error.
func (f *File) ReadAt(t *Info, p []byte, off int64) error {
	if off < 0 || off+int64(len(p)) > t.Size {
		return fmt.Errorf("safetensors: %s: tensor %q: bytes %d to %d are outside its %d", f.path, t.Name, off, off+int64(len(p)), t.Size)
	}
	if _, err := f.f.ReadAt(p, t.Offset+off); err != nil {
		return fmt.Errorf("safetensors: %s: tensor %q: %w", f.path, t.Name, err)
	}
	return nil
}

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }
