package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
)

// sizes make tensors of no, one, one leaf and more than two leaves of values.
var sizes = []struct {
	name  string
	shape []int
}{
	{"param/embed", []int{5, 7}},
	{"adam/m/embed", []int{5, 7}},
	{"empty", []int{0, 3}},
	{"scalar", nil},
	{"leaf", []int{leafValues}},
	{"large", []int{3, leafValues - 5}},
}

// room is an empty state of those shapes; stateAt fills it as a function of step.
func room() []Tensor { return roomFor(len(sizes)) }

func roomFor(n int) []Tensor {
	var out []Tensor
	for _, s := range sizes[:n] {
		n := 1
		for _, d := range s.shape {
			n *= d
		}
		out = append(out, Tensor{s.name, s.shape, make([]float32, n)})
	}
	return out
}

func stateAt(step int64) *State { return stateOf(step, len(sizes)) }

func stateOf(step int64, n int) *State {
	s := &State{Step: step, Tensors: roomFor(n), Meta: json.RawMessage(fmt.Sprintf(`{"counter":%d,"recipe":"<&>"}`, step))}
	for i := range s.Tensors {
		for j := range s.Tensors[i].Data {
			s.Tensors[i].Data[j] = float32(step) + float32(i)/8 + float32(j%1000)/8192
		}
	}
	if d := s.Tensors[0].Data; len(d) > 1 { // bits that arithmetic would change
		d[0], d[1] = math.Float32frombits(0x7fa00001), float32(math.Copysign(0, -1))
	}
	return s
}

// check demands that what was loaded is exactly the state of its step.
func check(t *testing.T, l *Loaded, got []Tensor) {
	t.Helper()
	want := stateOf(l.Step, len(got))
	for i := range got {
		if !slices.EqualFunc(got[i].Data, want.Tensors[i].Data, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }) {
			t.Fatalf("step %d: tensor %q differs", l.Step, got[i].Name)
		}
	}
	var meta struct {
		Counter int64
		Recipe  string
	}
	if err := json.Unmarshal(l.Meta, &meta); err != nil || meta.Counter != l.Step || meta.Recipe != "<&>" {
		t.Fatalf("step %d: meta %s, %v", l.Step, l.Meta, err)
	}
}

func openStore(t *testing.T, dir string, o Options) *Store {
	t.Helper()
	s, err := OpenStore(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func save(t *testing.T, s *Store, step int64) *Saved {
	t.Helper()
	saved, err := s.Save(stateAt(step))
	if err != nil {
		t.Fatal(err)
	}
	if saved.Warning != nil {
		t.Fatal(saved.Warning)
	}
	return saved
}

func TestKeepEveryStaysForGood(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "checkpoints")
	s := openStore(t, dir, Options{Keep: 1, KeepEvery: 20})
	for _, step := range []int64{10, 20, 30, 40, 50, 40, 50, 60, 70, 75} { // the run went back to 40
		save(t, s, step)
	}
	entries, err := List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, e := range entries {
		got = append(got, e.Step)
	}
	if want := []int64{75, 60, 40, 20}; !slices.Equal(got, want) {
		t.Errorf("kept %v, want %v", got, want)
	}
	if entries[2].Number != 6 {
		t.Errorf("of step 40, save %d stayed, want the newer one, 6", entries[2].Number)
	}
	if _, err := OpenStore(t.TempDir(), Options{KeepEvery: -1}); err == nil {
		t.Error("a negative number was accepted")
	}
}

func TestLoadOfOneSave(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{Keep: 3})
	old := save(t, s, 10)
	save(t, s, 20)
	got := room()
	meta, err := old.Load(got)
	if err != nil {
		t.Fatal(err)
	}
	check(t, &Loaded{Entry: old.Entry, Meta: meta}, got)
}

func TestSaveAndLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run", "checkpoints")
	s := openStore(t, dir, Options{MaxFile: 1 << 20, Keep: 2})
	if _, err := s.Load(room()); !errors.Is(err, ErrNone) {
		t.Errorf("empty store: %v", err)
	}
	for _, step := range []int64{0, 10, 20, 5} { // 5: the run went back
		saved := save(t, s, step)
		got := room()
		l, err := s.Load(got)
		if err != nil {
			t.Fatal(err)
		}
		if l.Step != step || l.Path != saved.Path || len(l.Damaged) != 0 {
			t.Fatalf("loaded step %d from %s, want %d", l.Step, l.Path, step)
		}
		check(t, l, got)
		if err := saved.Verify(); err != nil {
			t.Error(err)
		}
	}
	entries, err := List(dir)
	if err != nil || len(entries) != 2 || entries[0].Step != 5 || entries[1].Step != 20 {
		t.Errorf("kept %v, %v", entries, err)
	}
	if files, _ := filepath.Glob(filepath.Join(entries[0].Path, "data-*")); len(files) < 3 {
		t.Errorf("%d data files, want several", len(files))
	}
	in, err := entries[0].Inspect()
	if err != nil || in.Step != 5 || len(in.Tensors) != len(sizes) {
		t.Errorf("Inspect: %+v, %v", in, err)
	}
}

// The digest is a function of names, shapes and values alone.
func TestDigestDependsOnValuesOnly(t *testing.T) {
	a := stateAt(3).Tensors
	want := Digest(a)
	old := kernel.SetThreads(1)
	if got := Digest(a); got != want {
		t.Error("the digest depends on the number of threads")
	}
	kernel.SetThreads(old)
	for _, change := range []func(x []Tensor){
		func(x []Tensor) { x[5].Data[2*leafValues+1] = 0 },
		func(x []Tensor) { x[0].Name = "y" },
		func(x []Tensor) { x[0].Shape = []int{7, 5} },
		func(x []Tensor) { x[0], x[1] = x[1], x[0] },
	} {
		b := stateAt(3).Tensors
		change(b)
		if Digest(b) == want {
			t.Error("a change did not change the digest")
		}
	}
	// Computed with Python's hashlib from the definition in the package comment.
	for want, data := range map[string][]float32{
		"84417bb84f64e851cbc9f82d0df3b9cd2db714a6a8848dd6218c5558bd3d36a4": {1},
		"a536aa3cede6ea3c1f3e0357c3c60e0f216a8c89b853df13b29daa8f85065dfb": {},
	} {
		if got := SumOf(data).String(); got != want {
			t.Errorf("SumOf(%v) = %s, want %s", data, got, want)
		}
	}
}

// Whatever byte is damaged, wherever: the save is named and the one before it used.
func TestDamageIsNamedAndPassedOver(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{MaxFile: 1 << 20})
	good := save(t, s, 1)
	for _, tc := range []struct {
		name   string
		damage func(path string) error
		want   string
	}{
		{"flipped bit", func(p string) error { return flip(filepath.Join(p, "data-00001-of-00003.safetensors"), -3) }, "its bytes were changed"},
		{"truncated", func(p string) error { return os.Truncate(filepath.Join(p, "data-00002-of-00003.safetensors"), 1000) }, "data-00002"},
		{"missing file", func(p string) error { return os.Remove(filepath.Join(p, "data-00003-of-00003.safetensors")) }, "no such file"},
		{"no manifest", func(p string) error { return os.Remove(filepath.Join(p, ManifestName)) }, "manifest.json"},
		{"manifest changed", func(p string) error { return flip(filepath.Join(p, ManifestName), 120) }, "manifest.json"},
		{"empty", func(p string) error { return os.Truncate(filepath.Join(p, ManifestName), 0) }, "manifest.json"},
		{"wrong step", func(p string) error { return os.Rename(p, filepath.Join(dir, "save-000999-step-0000000009")) }, "says step 2, its directory step 9"},
	} {
		bad := save(t, s, 2)
		if err := tc.damage(bad.Path); err != nil {
			t.Fatal(err)
		}
		got := room()
		l, err := s.Load(got)
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if l.Path != good.Path || len(l.Damaged) != 1 || !strings.Contains(l.Damaged[0].Error(), tc.want) {
			t.Errorf("%s: loaded %s, damaged %v", tc.name, l.Path, l.Damaged)
		}
		check(t, l, got)
		entries, _ := List(dir)
		if err := entries[0].Verify(); err == nil {
			t.Errorf("%s: Verify found nothing", tc.name)
		}
		if err := os.RemoveAll(entries[0].Path); err != nil {
			t.Fatal(err)
		}
	}
	if err := flip(filepath.Join(good.Path, "data-00001-of-00003.safetensors"), -1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(room()); err == nil || !strings.Contains(err.Error(), "no undamaged save") {
		t.Errorf("all damaged: %v", err)
	}
}

// flip changes one bit of a file, at an offset from its start or its end.
func flip(path string, at int) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	return os.WriteFile(path, b, 0o666)
}

// A sound save of another model is an error, not damage: nothing is dropped.
func TestOtherModelIsRefused(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	save(t, s, 1)
	for want, change := range map[string]func([]Tensor) []Tensor{
		`tensor "param/embde" is not in the checkpoint: did you mean "param/embed"?`: func(x []Tensor) []Tensor { x[0].Name = "param/embde"; return x },
		`tensor "large" is not in the model`:                                         func(x []Tensor) []Tensor { return x[:5] },
		`tensor "new" is not in the checkpoint`:                                      func(x []Tensor) []Tensor { return append(x, Tensor{"new", nil, make([]float32, 1)}) },
		`"leaf" has shape [262144] in the checkpoint, [2 131072] in the model`:       func(x []Tensor) []Tensor { x[4].Shape = []int{2, leafValues / 2}; return x },
	} {
		if _, err := s.Load(change(room())); !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestSaveRefusesBadStates(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	for want, state := range map[string]*State{
		"step is -1":       {Step: -1},
		"not a JSON":       {Meta: json.RawMessage("[1]")},
		"appears twice":    {Tensors: []Tensor{{"a", nil, make([]float32, 1)}, {"a", nil, make([]float32, 1)}}},
		"has 1 values, wa": {Tensors: []Tensor{{"a", []int{2}, make([]float32, 1)}}},
	} {
		if _, err := s.Save(state); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := OpenStore(s.dir, Options{}); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("second store on one directory: %v", err)
	}
	if _, err := OpenStore(t.TempDir(), Options{Keep: -1}); err == nil {
		t.Error("keeping -1 saves was accepted")
	}
}

// smallState keeps the fault tests quick; it spans two files.
func smallState(step int64) *State { return stateOf(step, 4) }

// Every call that a save makes fails once, in both ways, with the process going
// on, dying, or losing power. The newest sound save is then the old or the new
// one, complete; the new one if Save said so; and saving works again.
func TestEveryCrashLeavesAValidSave(t *testing.T) {
	opt := Options{MaxFile: 200, Keep: 1}
	clean := &durabletest.Faulty{FS: durabletest.NoSync(durable.OS)}
	opt.FS = clean
	s := openStore(t, t.TempDir(), opt)
	for step := range int64(2) {
		if _, err := s.Save(smallState(step)); err != nil {
			t.Fatal(err)
		}
	}
	calls := clean.Calls() / 2
	for at := 1; at <= calls+4; at++ {
		for _, mode := range []string{"failed", "lost", "failed+death", "lost+death", "failed+power", "lost+power"} {
			t.Run(fmt.Sprintf("%d-%s", at, mode), func(t *testing.T) { crash(t, opt, at, mode) })
		}
	}
}

func crash(t *testing.T, opt Options, at int, mode string) {
	dir := t.TempDir()
	disk := durabletest.NoSync(durable.OS)
	opt.FS = disk
	s := openStore(t, dir, opt)
	if _, err := s.Save(smallState(1)); err != nil {
		t.Fatal(err)
	}
	fs := &durabletest.Faulty{FS: disk, FailAt: at, Lost: strings.HasPrefix(mode, "lost"), Dead: strings.Contains(mode, "+")}
	s.opt.FS = fs
	_, saveErr := s.Save(smallState(2))
	if strings.HasSuffix(mode, "power") {
		if err := fs.PowerCut(); err != nil {
			t.Fatal(err)
		}
	}
	got := roomFor(4)
	l, err := s.Load(got)
	if err != nil {
		t.Fatalf("after %v: %v", saveErr, err)
	}
	if saveErr == nil && l.Step != 2 {
		t.Fatalf("Save reported success, but step %d is the newest", l.Step)
	}
	check(t, l, got)
	s.opt.FS = disk
	if _, err := s.Save(smallState(3)); err != nil {
		t.Fatalf("the next save: %v", err)
	}
	if l, err = s.Load(got); err != nil || l.Step != 3 {
		t.Fatalf("the next save was not loaded: %v", err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 2 { // LOCK and one save
		t.Errorf("left behind: %v", names)
	}
}

func TestFullDiskKeepsTheOldSave(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{})
	save(t, s, 1)
	s.opt.FS = &durabletest.Faulty{FS: durable.OS, FailAt: 4, Err: syscall.ENOSPC}
	_, err := s.Save(stateAt(2))
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "saving step 2") || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("got %v", err)
	}
	got := room()
	l, err := s.Load(got)
	if err != nil || l.Step != 1 {
		t.Fatal(l, err)
	}
	check(t, l, got)
}

func FuzzManifest(f *testing.F) {
	m := &manifest{Format: formatName, Step: 3, Meta: json.RawMessage(`{}`), Tensors: []item{{"a", []int{1}, "f", "00"}}}
	text, err := m.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := decodeManifest(text)
		if err != nil {
			return
		}
		for _, x := range m.Tensors {
			if filepath.Base(x.File) != x.File {
				t.Fatalf("%q leads out of the directory", x.File)
			}
		}
	})
}

// Some of a save's tensors can be had without room for the others, and only if the
// whole save is sound.
func TestLoadPart(t *testing.T) {
	s, err := OpenStore(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Save(stateAt(7)); err != nil {
		t.Fatal(err)
	}
	list, err := List(s.dir)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	part := room()[1:2]
	meta, err := list[0].LoadPart(part)
	if err != nil {
		t.Fatal(err)
	}
	if want := stateAt(7); !slices.Equal(part[0].Data, want.Tensors[1].Data) || !strings.Contains(string(meta), `"counter":7`) {
		t.Errorf("tensor %s is another, or %s is", part[0].Name, meta)
	}
	for name, change := range map[string]func(*Tensor){
		"is not in the checkpoint": func(p *Tensor) { p.Name += "x" },
		"has shape":                func(p *Tensor) { p.Shape = append([]int{1}, p.Shape...) },
	} {
		bad := room()[1:2]
		change(&bad[0])
		if _, err := list[0].LoadPart(bad); !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want %q", err, name)
		}
	}
	files, err := filepath.Glob(filepath.Join(list[0].Path, "*.safetensors"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	b, err := os.ReadFile(files[len(files)-1])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1 // of the last tensor, which is not asked for
	if err := os.WriteFile(files[len(files)-1], b, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := list[0].LoadPart(room()[:1]); err == nil {
		t.Error("a damaged save is taken")
	}
}
