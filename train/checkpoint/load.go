package checkpoint

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/temper-ml/temper/compute/dtype"
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/train/checkpoint/safetensors"
)

// Loaded tells what [Load] found.
type Loaded struct {
	Entry
	Bytes   int64           // of data
	Meta    json.RawMessage // as saved
	Damaged []error         // newer saves that were passed over, and why
}

// ErrMismatch is wrapped when a save is sound but belongs to another model.
var ErrMismatch = errors.New("the checkpoint belongs to another model")

// Load fills the tensors from the newest undamaged save of the directory, which
// must hold exactly these names and shapes. Every byte is verified. Damaged saves
// are passed over and reported in Loaded.Damaged; if no sound one is left the
// error names the damage of each, and the tensors' contents are undefined. If
// there is no save at all the error wraps [ErrNone].
func Load(dir string, want []Tensor) (*Loaded, error) {
	if err := checkTensors(want); err != nil {
		return nil, err
	}
	entries, err := List(dir)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("checkpoint: %s holds %w", dir, ErrNone)
	}
	var damaged []error
	for _, e := range entries {
		meta, err := e.Load(want)
		if err == nil {
			state := State{Tensors: want}
			return &Loaded{e, state.bytes(), meta, damaged}, nil
		}
		err = fmt.Errorf("checkpoint: %s: %w", e.Path, err)
		if errors.Is(err, ErrMismatch) {
			return nil, err
		}
		damaged = append(damaged, err)
	}
	return nil, fmt.Errorf("checkpoint: no undamaged save in %s:\n%w", dir, errors.Join(damaged...))
}

// Verify reads a whole save and reports the first damage.
func (e *Entry) Verify() error {
	_, err := e.visit(nil, nil)
	return err
}

// Load fills the tensors from this save and returns its run data. Every byte is
// verified; on an error the contents of the tensors are undefined.
func (e *Entry) Load(want []Tensor) (json.RawMessage, error) {
	byName := make(map[string]*Tensor, len(want))
	for i := range want {
		byName[want[i].Name] = &want[i]
	}
	m, err := e.visit(func(m *manifest) error { return m.match(byName) }, byName)
	if err != nil {
		return nil, err
	}
	return m.Meta, nil
}

// LoadPart fills the tensors, which are some of those that the save holds, and
// returns its run data. Every byte is verified, of the others too.
func (e *Entry) LoadPart(want []Tensor) (json.RawMessage, error) {
	byName := make(map[string]*Tensor, len(want))
	for i := range want {
		byName[want[i].Name] = &want[i]
	}
	m, err := e.visit(func(m *manifest) error {
		all := make(map[string]*Tensor, len(m.Tensors))
		for i := range m.Tensors {
			t := &m.Tensors[i]
			all[t.Name] = &Tensor{Name: t.Name, Shape: t.Shape}
		}
		maps.Copy(all, byName)
		return m.match(all)
	}, byName)
	if err != nil {
		return nil, err
	}
	return m.Meta, nil
}

// Inspect returns step, run data and the tensors' names and shapes of a save,
// without reading its data.
func (e *Entry) Inspect() (*State, error) {
	m, err := readManifest(e.Path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %s: %w", e.Path, err)
	}
	s := &State{Step: m.Step, Meta: m.Meta}
	for _, t := range m.Tensors {
		s.Tensors = append(s.Tensors, Tensor{Name: t.Name, Shape: t.Shape})
	}
	return s, nil
}

// visit verifies the save, reading each tensor into its target if there is one.
// The check sees the manifest before any data is read.
func (e *Entry) visit(check func(*manifest) error, target map[string]*Tensor) (*manifest, error) {
	m, err := readManifest(e.Path)
	if err != nil {
		return nil, err
	}
	if m.Step != e.Step {
		return nil, fmt.Errorf("%s says step %d, its directory step %d", ManifestName, m.Step, e.Step)
	}
	if check != nil {
		if err := check(m); err != nil {
			return nil, err
		}
	}
	files := make(map[string]*safetensors.File)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	for i := range m.Tensors {
		t := &m.Tensors[i]
		if files[t.File] == nil {
			f, err := safetensors.Open(filepath.Join(e.Path, t.File))
			if err != nil {
				return nil, err
			}
			files[t.File] = f
		}
		var dst []float32
		if w := target[t.Name]; w != nil {
			dst = w.Data
		}
		if err := t.read(files[t.File], dst); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// read verifies one tensor and, if dst is not nil, keeps its values.
func (t *item) read(f *safetensors.File, dst []float32) error {
	info, ok := f.Lookup(t.Name)
	if !ok {
		return fmt.Errorf("tensor %q is not in %s", t.Name, t.File)
	}
	if info.DType != dtype.F32 || !slices.Equal(info.Shape, t.Shape) {
		return fmt.Errorf("tensor %q in %s is %v %v, want F32 %v", t.Name, t.File, info.DType, info.Shape, t.Shape)
	}
	n := int(info.Len())
	leaves := make([]Sum, leafCount(n))
	errs := make([]error, len(leaves))
	kernel.Parallel(len(leaves), 1, func(lo, hi int) {
		buf := leafBuffers.Get().(*[4 * leafValues]byte)
		defer leafBuffers.Put(buf)
		for i := lo; i < hi; i++ {
			part := buf[:4*(min(n, (i+1)*leafValues)-i*leafValues)]
			if errs[i] = f.ReadAt(info, part, int64(i)*4*leafValues); errs[i] != nil {
				return
			}
			leaves[i] = hashLeaf(part)
			if dst != nil {
				decodeLeaf(leaf(dst, i), part)
			}
		}
	})
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if sum := root(n, leaves).String(); sum != t.SHA256 {
		return fmt.Errorf("tensor %q in %s has digest %s, want %s: its bytes were changed", t.Name, t.File, sum, t.SHA256)
	}
	return nil
}

func decodeLeaf(dst []float32, b []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
}

// match reports tensors that are missing, extra or of another shape.
func (m *manifest) match(want map[string]*Tensor) error {
	var lines, have, missing []string
	saved := make(map[string]bool, len(m.Tensors))
	for i := range m.Tensors {
		t := &m.Tensors[i]
		saved[t.Name] = true
		w, ok := want[t.Name]
		switch {
		case !ok:
			have = append(have, t.Name)
		case !slices.Equal(w.Shape, t.Shape):
			lines = append(lines, fmt.Sprintf("tensor %q has shape %v in the checkpoint, %v in the model", t.Name, t.Shape, w.Shape))
		}
	}
	for name := range want {
		if !saved[name] {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	for _, name := range missing {
		lines = append(lines, fmt.Sprintf("tensor %q is not in the checkpoint%s", name, hint(name, have)))
	}
	for _, name := range have {
		lines = append(lines, fmt.Sprintf("tensor %q is not in the model%s", name, hint(name, missing)))
	}
	if len(lines) == 0 {
		return nil
	}
	const few = 10
	if len(lines) > few {
		lines = append(lines[:few], fmt.Sprintf("and %d more", len(lines)-few))
	}
	return fmt.Errorf("%w:\n  %s", ErrMismatch, strings.Join(lines, "\n  "))
}

func hint(name string, candidates []string) string {
	if near := arch.Nearest(name, candidates[:min(len(candidates), 5000)]); near != "" {
		return fmt.Sprintf(": did you mean %q?", near)
	}
	return ""
}
