package hf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/train/checkpoint/safetensors"
)

// Source is a model directory, opened and checked. Its methods may be called
// from several goroutines at once.
type Source struct {
	Config *arch.Config
	Style  Style
	Notes  []string // what was found unusual and read all the same

	dir     *safetensors.Dir
	tensors []arch.Tensor
	byName  map[string]*entry
}

// LoadConfig returns the architecture that ref names: a built-in name, a
// config.json, or a directory that holds one. A name that is built in and exists
// here as well is refused: "builtin:NAME" and "./NAME" say which is meant.
func LoadConfig(ref string) (*arch.Config, error) {
	if name, ok := strings.CutPrefix(ref, "builtin:"); ok {
		return arch.Builtin(name)
	}
	builtin := slices.Contains(arch.Builtins(), ref)
	stat, err := os.Stat(ref)
	switch {
	case builtin && err == nil:
		return nil, fmt.Errorf("hf: %q is a built-in model and also exists here: write builtin:%s or .%c%s", ref, ref, filepath.Separator, ref)
	case builtin || err != nil && !strings.ContainsRune(ref, filepath.Separator) && filepath.Ext(ref) != ".json":
		return arch.Builtin(ref) // or its error, which lists the names
	case err != nil:
		return nil, fmt.Errorf("hf: %w", err)
	}
	path := ref
	if stat.IsDir() {
		path = filepath.Join(ref, "config.json")
	}
	text, err := readSmall(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("hf: %s holds no config.json: it is not a model directory", ref)
	}
	if err != nil {
		return nil, fmt.Errorf("hf: %w", err)
	}
	c, err := arch.ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("hf: %s: %w", path, err)
	}
	return c, nil
}

// Open opens a model directory and holds its tensors to its config.json.
func Open(path string) (*Source, error) {
	stat, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("hf: %w", err)
	}
	if !stat.IsDir() {
		return nil, fmt.Errorf("hf: %s is a file, want a model directory with config.json and safetensors files", path)
	}
	c, err := LoadConfig(path)
	if err != nil {
		return nil, err
	}
	dir, err := safetensors.OpenDir(path)
	if err != nil {
		return nil, fmt.Errorf("hf: %w", err)
	}
	s := &Source{Config: c, dir: dir}
	if err := s.match(); err != nil {
		dir.Close()
		return nil, fmt.Errorf("hf: %s: %w", path, err)
	}
	return s, nil
}

// Path returns the directory.
func (s *Source) Path() string { return s.dir.Path() }

// Files returns the open shards.
func (s *Source) Files() []*safetensors.File { return s.dir.Files() }

// Tensors returns the parameters, in canonical order.
func (s *Source) Tensors() []arch.Tensor { return s.tensors }

// Stored returns how the files hold a parameter.
func (s *Source) Stored(name string) (*safetensors.Info, bool) {
	e, ok := s.byName[name]
	if !ok {
		return nil, false
	}
	return e.info, true
}

// Close closes the files.
func (s *Source) Close() error { return s.dir.Close() }

// Read fills dst with a whole parameter.
func (s *Source) Read(name string, dst []float32) error {
	e, ok := s.byName[name]
	if !ok {
		return fmt.Errorf("hf: %s has no parameter %q%s", s.Path(), name, didYouMean(name, s.parameterNames()))
	}
	if len(dst) != e.tensor.Len() {
		return fmt.Errorf("hf: parameter %q has %d values, but there is room for %d", name, e.tensor.Len(), len(dst))
	}
	return each(chunksOf(e.tensor), func(k chunk) error {
		cols := e.tensor.Cols()
		return s.ReadRows(e.tensor, k.row, k.rows, dst[k.row*cols:(k.row+k.rows)*cols])
	})
}

// ReadRows fills dst with rows [row, row+rows) of a parameter, converted to
// float32. For quantised tensors row must be a multiple of the block height.
func (s *Source) ReadRows(t *arch.Tensor, row, rows int, dst []float32) error {
	e, ok := s.byName[t.Name]
	if !ok {
		return fmt.Errorf("hf: %s has no parameter %q", s.Path(), t.Name)
	}
	return e.read(row, rows, dst)
}

// Load reads every parameter into the slice that target returns for it; a nil
// slice skips the parameter. Tensors are read in parallel and in no order.
func (s *Source) Load(target func(t *arch.Tensor) ([]float32, error)) error {
	type job struct {
		chunk
		dst []float32
	}
	var jobs []job
	for i := range s.tensors {
		t := &s.tensors[i]
		dst, err := target(t)
		if err != nil {
			return err
		}
		if dst == nil {
			continue
		}
		if len(dst) != t.Len() {
			return fmt.Errorf("hf: parameter %q has %d values, but there is room for %d", t.Name, t.Len(), len(dst))
		}
		for _, k := range chunksOf(t) {
			jobs = append(jobs, job{k, dst[k.row*t.Cols() : (k.row+k.rows)*t.Cols()]})
		}
	}
	return each(jobs, func(j job) error { return s.ReadRows(j.tensor, j.row, j.rows, j.dst) })
}

func (s *Source) parameterNames() []string {
	names := make([]string, len(s.tensors))
	for i := range s.tensors {
		names[i] = s.tensors[i].Name
	}
	return names
}

// chunk is a run of rows of a parameter: the unit of reading and converting.
type chunk struct {
	tensor    *arch.Tensor
	row, rows int
}

const (
	chunkValues = 1 << 19 // values in a chunk, about
	chunkAlign  = 128     // rows under one quantisation scale
)

// chunksOf cuts a parameter into chunks whose first rows are multiples of chunkAlign.
func chunksOf(t *arch.Tensor) []chunk {
	step := (chunkValues/max(1, t.Cols()) + chunkAlign - 1) / chunkAlign * chunkAlign
	step = max(step, chunkAlign)
	var out []chunk
	for row := 0; row < t.Rows(); row += step {
		out = append(out, chunk{t, row, min(step, t.Rows()-row)})
	}
	return out
}

// each calls f for every item on several threads and returns the error of the
// first item, in order, that had one.
func each[T any](items []T, f func(T) error) error {
	errs := make([]error, len(items))
	kernel.Parallel(len(items), 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			errs[i] = f(items[i])
		}
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
