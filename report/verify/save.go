package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/temper-ml/temper/report/record"
)

// A save is a directory of a manifest and data files, as docs/checkpoints.md
// describes it; this reads it anew, without the code that wrote it.

// saveManifest is the manifest of a save, inside its seal.
type saveManifest struct {
	Format  string `json:"format"`
	Step    int64  `json:"step"`
	Meta    any    `json:"meta"`
	Tensors []struct {
		Name   string  `json:"name"`
		Shape  []int64 `json:"shape"`
		File   string  `json:"file"`
		SHA256 string  `json:"sha256"`
	} `json:"tensors"`
}

// Bounds of what a save may make this package read into memory.
const (
	maxSaveManifest = 1 << 28
	maxHeader       = 1 << 27
	saveFormat      = "temper training state 1"
)

// slots are the prefixes of names that belong to the optimizer.
var slots = []string{"first/", "second/", "momentum/"}

// claims are what a record says of the state in a save: in the entry of the
// checkpoint, and in that of the step before it, whose digests cover the blocks
// of their period.
type claims struct {
	step   *record.Step // nil without one
	period int64
	biases []string // tensors that the digest of biases is of
}

// claim is one digest on record, and what it should be of.
type claim struct {
	what  string
	said  record.Digest
	state *state
}

// list returns the digests to compare, of tensors of these sizes.
func (c *claims) list(k *Checkpoint, parameters, optimizer map[string]int64) []claim {
	list := []claim{
		{"parameters", k.Parameters, newState(1, 0, parameters)},
		{"optimizer", k.Optimizer, newState(1, 0, optimizer)},
	}
	if c.step == nil {
		return list
	}
	biases := map[string]int64{}
	for _, name := range c.biases {
		if n, ok := parameters[name]; ok {
			biases[name] = n
		}
	}
	if len(biases) > 0 && len(biases) == len(c.biases) {
		list = append(list, claim{"biases after the last step", c.step.Bias, newState(1, 0, biases)})
	}
	if c.period > 0 {
		phase := c.step.Step % c.period
		list = append(
			list, claim{"parameters after the last step", c.step.Parameters, newState(c.period, phase, parameters)},
			claim{"optimizer after the last step", c.step.Optimizer, newState(c.period, phase, optimizer)},
		)
	}
	return list
}

// checkSave compares a save with its entry: the digest of its manifest, every
// tensor's in that manifest, and the states that they make up. It returns the
// bytes read and the digests on record that it has.
func checkSave(root *directory, k *Checkpoint, c claims) (total int64, compared int, err error) {
	text, m, err := readSave(root, k.Path)
	if err != nil {
		return 0, 0, err
	}
	if d := record.SHA256(text); k.Content != "" && d != k.Content {
		return 0, 0, fmt.Errorf("its content is %s, the entry says %s", d, k.Content)
	}
	if m.Step != k.Checkpoint.Step {
		return 0, 0, fmt.Errorf("it is of step %d, the entry of %d", m.Step, k.Checkpoint.Step)
	}
	parameters, optimizer, err := m.sizes()
	if err != nil {
		return 0, 0, err
	}
	list := c.list(k, parameters, optimizer)
	var states []*state
	for _, q := range list {
		states = append(states, q.state)
	}
	if total, err = m.hash(root, k.Path, states); err != nil {
		return total, 0, err
	}
	addUpdates(states, m.Meta)
	for _, q := range list {
		if q.said == "" {
			continue
		}
		if got := q.state.digest(); got != q.said {
			return total, compared, fmt.Errorf("its %s have digest %s, on record is %s", q.what, got, q.said)
		}
		compared++
	}
	return total + int64(len(text)), compared, nil
}

// sizes are the numbers of values of the tensors, the model's and the optimizer's.
func (m *saveManifest) sizes() (parameters, optimizer map[string]int64, err error) {
	parameters, optimizer = map[string]int64{}, map[string]int64{updates: 2}
	for i := range m.Tensors {
		t := &m.Tensors[i]
		to := parameters
		if isSlot(t.Name) {
			to = optimizer
		}
		if _, twice := to[t.Name]; twice {
			return nil, nil, fmt.Errorf("tensor %.80q is there twice", t.Name)
		}
		if to[t.Name], err = product(t.Shape); err != nil {
			return nil, nil, fmt.Errorf("tensor %.80q: %w", t.Name, err)
		}
	}
	return parameters, optimizer, nil
}

// hash streams all tensors of a save.
func (m *saveManifest) hash(root *directory, dir string, states []*state) (total int64, err error) {
	files := newTensorFiles(root, dir)
	defer files.Close()
	for i := range m.Tensors {
		t := &m.Tensors[i]
		f, err := files.get(t.File)
		if err != nil {
			return total, err
		}
		n, sum, err := f.hash(t.Name, t.Shape, states)
		if err != nil {
			return total, fmt.Errorf("tensor %.80q: %w", t.Name, err)
		}
		if sum != t.SHA256 {
			return total, fmt.Errorf("tensor %.80q: its values have digest %s, the save's manifest says %.80s", t.Name, sum, t.SHA256)
		}
		total += n
	}
	for name, f := range files.all {
		if f.read != len(f.at) {
			return total, fmt.Errorf("%.80s holds %d tensors, the save's manifest has %d of them", name, len(f.at), f.read)
		}
	}
	return total, nil
}

// readSave reads the manifest of a save and checks its seal.
func readSave(root *directory, dir string) ([]byte, *saveManifest, error) {
	f, err := openFile(root, path.Join(dir, "manifest.json"))
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSaveManifest+1))
	if err != nil {
		return nil, nil, err
	}
	if len(text) > maxSaveManifest {
		return nil, nil, fmt.Errorf("its manifest has more than %d bytes", maxSaveManifest)
	}
	var seal struct {
		SHA256   string          `json:"sha256"`
		Manifest json.RawMessage `json:"manifest"`
	}
	if err := json.Unmarshal(text, &seal); err != nil {
		return nil, nil, fmt.Errorf("its manifest: %w", err)
	}
	if sum := sha256.Sum256(seal.Manifest); hex.EncodeToString(sum[:]) != seal.SHA256 {
		return nil, nil, errors.New("its manifest has not the digest that it claims")
	}
	m := &saveManifest{}
	d := json.NewDecoder(bytes.NewReader(seal.Manifest))
	d.UseNumber()
	if err := d.Decode(m); err != nil {
		return nil, nil, fmt.Errorf("its manifest: %w", err)
	}
	if m.Format != saveFormat {
		return nil, nil, fmt.Errorf("its format is %.80q, this program reads %q", m.Format, saveFormat)
	}
	return text, m, nil
}

// tensorFile is a safetensors file; it is open while it is the set's current one.
type tensorFile struct {
	*file
	at   map[string]placed
	read int
}

// tensorFiles are those of a directory. One is open at a time: a large model has
// more than a process may open.
type tensorFiles struct {
	root    *directory
	dir     string
	all     map[string]*tensorFile
	current *tensorFile
}

func newTensorFiles(root *directory, dir string) *tensorFiles {
	return &tensorFiles{root: root, dir: dir, all: map[string]*tensorFile{}}
}

// get opens a file, and reads its header the first time.
func (s *tensorFiles) get(name string) (*tensorFile, error) {
	t := s.all[name]
	if t != nil && t == s.current {
		return t, nil
	}
	if name != path.Base(name) || name == "." || name == ".." {
		return nil, fmt.Errorf("data file %.80q is not a name in %.200s", name, s.dir)
	}
	s.Close()
	f, err := openFile(s.root, path.Join(s.dir, name))
	if err != nil {
		return nil, err
	}
	if t == nil {
		t = &tensorFile{}
		if t.at, err = readHeader(f); err != nil {
			f.Close()
			return nil, fmt.Errorf("%.80s: %w", name, err)
		}
		s.all[name] = t
	}
	t.file, s.current = f, t
	return t, nil
}

// Close closes what is open.
func (s *tensorFiles) Close() {
	if s.current != nil {
		s.current.Close()
		s.current = nil
	}
}

// readHeader returns where in a file its tensors are. Apart from tensors, that
// follow each other without a gap to the file's end, a file has nothing.
func readHeader(f *file) (map[string]placed, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var size [8]byte
	if _, err := io.ReadFull(f, size[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(size[:])
	if n > maxHeader || int64(n) > info.Size()-8 {
		return nil, fmt.Errorf("header of %d bytes in a file of %d", n, info.Size())
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(f, text); err != nil {
		return nil, err
	}
	var header map[string]json.RawMessage
	if err := json.Unmarshal(text, &header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	at := map[string]placed{}
	ends := map[int64]int64{}
	for name, raw := range header {
		if name == "__metadata__" {
			continue
		}
		t, err := place(raw)
		if err != nil {
			return nil, fmt.Errorf("header: tensor %.80q: %w", name, err)
		}
		if t.hi > t.lo {
			ends[t.lo] = t.hi
		}
		t.lo, t.hi = t.lo+8+int64(n), t.hi+8+int64(n)
		at[name] = t
	}
	end := int64(0)
	for range len(ends) {
		end = ends[end]
	}
	if end != info.Size()-8-int64(n) {
		return nil, errors.New("its tensors do not cover its data exactly once")
	}
	return at, nil
}

// placed is where a tensor is in a file.
type placed struct {
	dtype  string
	shape  []int64
	lo, hi int64
}

// dtypes are the number formats that are read, and their bytes.
var dtypes = map[string]int{"F32": 4, "BF16": 2, "I64": 8}

// place reads one tensor's entry in a header: exactly dtype, shape and offsets.
func place(raw json.RawMessage) (t placed, err error) {
	var fields map[string]json.RawMessage // unlike a struct, it tells names apart by case
	var offsets [2]int64
	if err = json.Unmarshal(raw, &fields); err != nil {
		return t, err
	}
	err = errors.Join(json.Unmarshal(fields["dtype"], &t.dtype), json.Unmarshal(fields["shape"], &t.shape), json.Unmarshal(fields["data_offsets"], &offsets))
	if err != nil || len(fields) != 3 {
		return t, errors.New("want dtype, shape and data_offsets")
	}
	t.lo, t.hi = offsets[0], offsets[1]
	values, err := product(t.shape)
	if err != nil {
		return t, err
	}
	if width := int64(dtypes[t.dtype]); width == 0 || t.lo < 0 || t.hi < t.lo || t.hi-t.lo != width*values {
		return t, fmt.Errorf("%.20q of shape %v at %d to %d", t.dtype, t.shape, t.lo, t.hi)
	}
	return t, nil
}

// product is the number of values of a shape.
func product(shape []int64) (int64, error) {
	values := int64(1)
	for _, d := range shape {
		if d < 0 || d > 0 && values > (1<<56)/d {
			return 0, fmt.Errorf("shape %v is none", shape)
		}
		values *= d
	}
	return values, nil
}
