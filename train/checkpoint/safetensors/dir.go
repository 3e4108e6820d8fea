package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Names that every reader of sharded models knows.
const (
	SingleName = "model.safetensors"
	IndexName  = "model.safetensors.index.json"
)

// maxIndex bounds the index file; the largest published one has 15 MB.
const maxIndex = 512 << 20

// Dir is a model in one or more files of a directory.
type Dir struct {
	path   string
	files  []*File
	byName map[string]int // tensor to file
}

// OpenDir opens the shards that the directory's index names, or its single
// model.safetensors. Every tensor is in exactly the file that the index says.
func OpenDir(path string) (*Dir, error) {
	weightMap, err := readIndex(filepath.Join(path, IndexName))
	if err != nil {
		return nil, err
	}
	names := []string{SingleName}
	if weightMap != nil {
		names = names[:0]
		for _, name := range weightMap {
			names = append(names, name)
		}
		slices.Sort(names)
		names = slices.Compact(names)
	}
	d := &Dir{path: path, byName: make(map[string]int)}
	for _, name := range names {
		if err := d.open(name, weightMap); err != nil {
			d.Close()
			return nil, err
		}
	}
	for tensor, name := range weightMap {
		if _, ok := d.byName[tensor]; !ok {
			d.Close()
			return nil, fmt.Errorf("safetensors: %s says that tensor %q is in %s, but it is not", IndexName, tensor, name)
		}
	}
	return d, nil
}

// open adds one file and holds it to the index, if there is one.
func (d *Dir) open(name string, weightMap map[string]string) error {
	f, err := Open(filepath.Join(d.path, name))
	if errors.Is(err, os.ErrNotExist) {
		if weightMap == nil {
			return fmt.Errorf("safetensors: %s holds neither %s nor %s: it is not a model directory", d.path, SingleName, IndexName)
		}
		return fmt.Errorf("safetensors: %s names %s, but that file is missing from %s", IndexName, name, d.path)
	}
	if err != nil {
		return err
	}
	d.files = append(d.files, f)
	for _, t := range f.Tensors() {
		if other, dup := d.byName[t.Name]; dup {
			return fmt.Errorf("safetensors: tensor %q is in %s and in %s", t.Name, d.files[other].Path(), f.Path())
		}
		if weightMap != nil && weightMap[t.Name] != name {
			where := "nowhere"
			if w := weightMap[t.Name]; w != "" {
				where = w
			}
			return fmt.Errorf("safetensors: tensor %q is in %s, but %s puts it %s", t.Name, name, IndexName, where)
		}
		d.byName[t.Name] = len(d.files) - 1
	}
	return nil
}

// readIndex returns the weight_map, or nil if there is no index.
func readIndex(path string) (map[string]string, error) {
	stat, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	if stat.Size() > maxIndex {
		return nil, fmt.Errorf("safetensors: %s has %d bytes, want at most %d", path, stat.Size(), maxIndex)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	weightMap, err := parseIndex(text)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", path, err)
	}
	return weightMap, nil
}

// parseIndex reads weight_map; files must lie in the directory itself.
func parseIndex(text []byte) (map[string]string, error) {
	var weightMap map[string]string
	err := eachKey(text, func(key string, value json.RawMessage) error {
		switch key {
		case "metadata":
			return nil // sizes, which the files themselves say better
		case "weight_map":
			weightMap = make(map[string]string)
			return eachKey(value, func(tensor string, v json.RawMessage) error {
				var name string
				if err := json.Unmarshal(v, &name); err != nil {
					return fmt.Errorf("tensor %q has %s for a file, want a string", shorten(tensor), shorten(string(v)))
				}
				if name == "" || name != filepath.Base(name) || name == ".." || name == "." {
					return fmt.Errorf("tensor %q is said to be in %q, want the name of a file in the same directory", shorten(tensor), shorten(name))
				}
				weightMap[tensor] = name
				return nil
			})
		}
		return fmt.Errorf("unknown key %q, want metadata and weight_map", shorten(key))
	})
	if err != nil {
		return nil, err
	}
	if weightMap == nil {
		return nil, errors.New("no weight_map")
	}
	return weightMap, nil
}

// Path returns the directory.
func (d *Dir) Path() string { return d.path }

// Files returns the open files, by name.
func (d *Dir) Files() []*File { return d.files }

// Names returns the names of all tensors, sorted.
func (d *Dir) Names() []string {
	names := make([]string, 0, len(d.byName))
	for name := range d.byName {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Lookup returns the tensor of that name and its file.
func (d *Dir) Lookup(name string) (*Info, *File, bool) {
	i, ok := d.byName[name]
	if !ok {
		return nil, nil, false
	}
	t, _ := d.files[i].Lookup(name)
	return t, d.files[i], true
}

// Close closes all files.
func (d *Dir) Close() error {
	var first error
	for _, f := range d.files {
		if err := f.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}
