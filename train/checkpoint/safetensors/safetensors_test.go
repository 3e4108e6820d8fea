package safetensors

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/temper-ml/temper/compute/dtype"
)

// raw assembles a file from a header's text and n bytes of data.
func raw(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	b = append(b, header...)
	return append(b, make([]byte, n)...)
}

func save(t testing.TB, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func encode(t testing.TB, specs []Spec, metadata map[string]string, data func(Spec) []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, specs, metadata)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range specs {
		if err := w.Next(s.Name); err != nil {
			t.Fatal(err)
		}
		content := data(s)
		if _, err := w.Write(content[:len(content)/2]); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content[len(content)/2:]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var sample = []Spec{
	{"a", dtype.F32, []int{2, 3}},
	{"scalar", dtype.F64, nil},
	{"empty", dtype.BF16, []int{0, 7}},
	{"packed <&> \"quoted\" ☃", dtype.I8, []int{5}},
	{"scale", dtype.F8E8M0, []int{1, 2}},
	{"fp8", dtype.F8E4M3, []int{3}},
	{"ids", dtype.I64, []int{2}},
	{"half", dtype.F16, []int{1}},
}

// fill gives each tensor bytes that depend on its name.
func fill(s Spec) []byte {
	b := make([]byte, s.Size())
	for i := range b {
		b[i] = byte(i*7 + len(s.Name))
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	content := encode(t, sample, map[string]string{"format": "pt", "a": "b"}, fill)
	if again := encode(t, sample, map[string]string{"a": "b", "format": "pt"}, fill); !bytes.Equal(content, again) {
		t.Error("equal input gave different bytes")
	}
	f, err := Open(save(t, t.TempDir(), "x", content))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if d := cmp.Diff(map[string]string{"format": "pt", "a": "b"}, f.Metadata()); d != "" {
		t.Error(d)
	}
	for _, s := range sample {
		info, ok := f.Lookup(s.Name)
		if !ok {
			t.Fatalf("%q is lost", s.Name)
		}
		if info.DType != s.DType || !cmp.Equal(info.Shape, append([]int{}, s.Shape...)) || info.Size != s.Size() {
			t.Errorf("%q: got %+v", s.Name, info)
		}
		p := make([]byte, info.Size)
		if err := f.ReadAt(info, p, 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(p, fill(s)) {
			t.Errorf("%q: data differ", s.Name)
		}
		if err := f.ReadAt(info, make([]byte, 2), info.Size-1); err == nil {
			t.Errorf("%q: read past its end", s.Name)
		}
	}
	if _, ok := f.Lookup("b"); ok {
		t.Error("found a tensor that does not exist")
	}
	if info, _ := f.Lookup("a"); info.Offset%8 != 0 {
		t.Errorf("data start at byte %d, want a multiple of 8", info.Offset)
	}
}

// The example of the package comment, byte by byte.
func TestSpecifiedExample(t *testing.T) {
	head := `{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`
	head += strings.Repeat(" ", 0x38-len(head))
	want := append(raw(head, 0), 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40)
	got := encode(t, []Spec{{"x", dtype.F32, []int{2}}}, nil, func(Spec) []byte { return want[len(want)-8:] })
	if !bytes.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Files from strangers: each lie is refused with a message that names it.
func TestHostileFiles(t *testing.T) {
	entry := func(s string) string { return `{"t":{` + s + `}}` }
	for _, tc := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"empty", nil, "want at least 8"},
		{"short", []byte{1, 2, 3}, "want at least 8"},
		{"huge header", binary.LittleEndian.AppendUint64(nil, 1<<63), "header claims 9223372036854775808 bytes, want at most"},
		{"header past the end", binary.LittleEndian.AppendUint64(nil, 10), "only 0 follow"},
		{"not JSON", raw("hello", 0), "not a JSON object"},
		{"list", raw("[]", 0), "not a JSON object"},
		{"unclosed", raw(`{"t":`, 0), `broken JSON after key "t"`},
		{"rest", raw(`{}x`, 0), "after the closing brace"},
		{"not UTF-8", raw("{\"\xff\":1}", 0), "UTF-8"},
		{"duplicate", raw(`{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1), `key "t" appears twice`},
		{"duplicate inside", raw(entry(`"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]`), 1), `key "dtype" appears twice`},
		{"unknown dtype", raw(entry(`"dtype":"F7","shape":[1],"data_offsets":[0,1]`), 1), `tensor "t": dtype: "F7"`},
		{"dtype a number", raw(entry(`"dtype":7,"shape":[1],"data_offsets":[0,1]`), 1), "want a string"},
		{"unknown key", raw(entry(`"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1`), 1), `unknown key "x"`},
		{"no offsets", raw(entry(`"dtype":"U8","shape":[1]`), 1), "incomplete"},
		{"three offsets", raw(entry(`"dtype":"U8","shape":[1],"data_offsets":[0,1,2]`), 1), "at most 2"},
		{"one offset", raw(entry(`"dtype":"U8","shape":[1],"data_offsets":[1]`), 1), "incomplete"},
		{"negative shape", raw(entry(`"dtype":"U8","shape":[-1],"data_offsets":[0,1]`), 1), "want no negative number"},
		{"fraction", raw(entry(`"dtype":"U8","shape":[1.5],"data_offsets":[0,1]`), 1), "want a list of integers"},
		{"null shape", raw(entry(`"dtype":"U8","shape":null,"data_offsets":[0,1]`), 1), "want a list of integers"},
		{"overflow", raw(entry(`"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,8]`), 8), "too large"},
		{"rank", raw(entry(`"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]`), 1), "at most 16"},
		{"half-sized", raw(entry(`"dtype":"F32","shape":[4],"data_offsets":[0,8]`), 8), "takes 16 bytes, but data_offsets [0, 8] give it 8"},
		{"backwards", raw(entry(`"dtype":"U8","shape":[1],"data_offsets":[1,0]`), 1), "run backwards"},
		{"truncated", raw(entry(`"dtype":"U8","shape":[9],"data_offsets":[0,9]`), 5), "truncated"},
		{"out of range", raw(entry(`"dtype":"U8","shape":[1],"data_offsets":[9223372036854775806,9223372036854775807]`), 5), "truncated"},
		{"rest of data", raw(entry(`"dtype":"U8","shape":[1],"data_offsets":[0,1]`), 5), "4 bytes belong to no tensor"},
		{"hole", raw(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}`, 3), `bytes 1 to 2, before tensor "b"`},
		{"overlap", raw(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 3), `tensor "b" starts at data byte 1, inside tensor "a"`},
		{"metadata a number", raw(`{"__metadata__":{"a":1}}`, 0), `metadata key "a"`},
		{"empty name", raw(`{"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1), "name has 0 bytes"},
	} {
		path := save(t, t.TempDir(), "m.safetensors", tc.content)
		f, err := Open(path)
		if err == nil {
			f.Close()
			t.Errorf("%s: accepted", tc.name)
			continue
		}
		if !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %q does not say %q and the file", tc.name, err, tc.want)
		}
	}
}

func TestOpenRefusesWhatIsNoFile(t *testing.T) {
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("got %v", err)
	}
}

func TestWriterHoldsItsPlan(t *testing.T) {
	specs := []Spec{{"a", dtype.U8, []int{2}}, {"b", dtype.U8, []int{1}}}
	for _, tc := range []struct {
		want string
		do   func(w *Writer) error
	}{
		{`tensor "b" comes now, want "a"`, func(w *Writer) error { return w.Next("b") }},
		{"1 bytes more than tensor", func(w *Writer) error { w.Next("a"); _, err := w.Write(make([]byte, 3)); return err }},
		{"1 bytes more than no tensor", func(w *Writer) error { _, err := w.Write(make([]byte, 1)); return err }},
		{`tensor "a" lacks 1 bytes`, func(w *Writer) error { w.Next("a"); w.Write(make([]byte, 1)); return w.Next("b") }},
		{`2 tensors were announced and not written, the first is "a"`, func(w *Writer) error { return w.Close() }},
		{"one more than the 2", func(w *Writer) error {
			w.Next("a")
			w.Write(make([]byte, 2))
			w.Next("b")
			w.Write(make([]byte, 1))
			return w.Next("c")
		}},
	} {
		w, err := NewWriter(new(bytes.Buffer), specs, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := tc.do(w); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got %v, want %q", err, tc.want)
		}
	}
	for _, bad := range [][]Spec{{{"", dtype.U8, nil}}, {{"__metadata__", dtype.U8, nil}}, {{"\xff", dtype.U8, nil}}, {specs[0], specs[0]}, {{Name: "x"}}} {
		if _, err := NewWriter(new(bytes.Buffer), bad, nil); err == nil {
			t.Errorf("accepted %v", bad)
		}
	}
}

func writeShards(t *testing.T, dir string, maxBytes int64) [][]Spec {
	t.Helper()
	shards := Shards(sample, maxBytes)
	for i, s := range shards {
		save(t, dir, ShardName(i, len(shards)), encode(t, s, nil, fill))
	}
	if len(shards) > 1 {
		save(t, dir, IndexName, Index(shards))
	}
	return shards
}

func TestShardsAndIndex(t *testing.T) {
	for _, maxBytes := range []int64{1, 20, 1 << 20} {
		dir := t.TempDir()
		shards := writeShards(t, dir, maxBytes)
		d, err := OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Files()) != len(shards) || len(d.Names()) != len(sample) {
			t.Errorf("%d bytes: %d files, %d names", maxBytes, len(d.Files()), len(d.Names()))
		}
		for _, s := range sample {
			info, f, ok := d.Lookup(s.Name)
			p := make([]byte, s.Size())
			if !ok || f.ReadAt(info, p, 0) != nil || !bytes.Equal(p, fill(s)) {
				t.Errorf("%d bytes: %q is lost or different", maxBytes, s.Name)
			}
		}
		d.Close()
	}
}

func TestHostileDirectories(t *testing.T) {
	one := encode(t, []Spec{{"x", dtype.U8, []int{1}}}, nil, fill)
	two := encode(t, []Spec{{"x", dtype.U8, []int{1}}, {"y", dtype.U8, []int{1}}}, nil, fill)
	index := func(m string) []byte { return []byte(`{"metadata":{},"weight_map":{` + m + `}}`) }
	for _, tc := range []struct {
		name  string
		files map[string][]byte
		want  string
	}{
		{"nothing", nil, "not a model directory"},
		{"missing shard", map[string][]byte{IndexName: index(`"x":"a"`)}, "names a, but that file is missing"},
		{"absent tensor", map[string][]byte{IndexName: index(`"x":"a","z":"a"`), "a": one}, `tensor "z" is in a, but it is not`},
		{"extra tensor", map[string][]byte{IndexName: index(`"x":"a"`), "a": two}, `tensor "y" is in a, but model.safetensors.index.json puts it nowhere`},
		{"twice", map[string][]byte{IndexName: index(`"x":"a","y":"b"`), "a": one, "b": two}, `tensor "x" is in`},
		{"outside", map[string][]byte{IndexName: index(`"x":"../a"`), "a": one}, "same directory"},
		{"parent", map[string][]byte{IndexName: index(`"x":".."`)}, "same directory"},
		{"no map", map[string][]byte{IndexName: []byte(`{}`)}, "no weight_map"},
		{"broken", map[string][]byte{IndexName: []byte(`{"weight_map":{"x"`)}, "broken JSON"},
		{"number", map[string][]byte{IndexName: index(`"x":1`)}, "want a string"},
		{"key", map[string][]byte{IndexName: []byte(`{"weight_map":{},"z":1}`)}, `unknown key "z"`},
	} {
		dir := t.TempDir()
		for name, content := range tc.files {
			save(t, dir, name, content)
		}
		if d, err := OpenDir(dir); err == nil {
			d.Close()
			t.Errorf("%s: accepted", tc.name)
		} else if !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %q does not say %q", tc.name, err, tc.want)
		}
	}
}

// Whatever the bytes, the parser neither panics nor accepts tensors that do not
// tile the data; what it accepts can be written again and means the same.
func FuzzHeader(f *testing.F) {
	f.Add([]byte(`{"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`), int64(8))
	f.Add([]byte(`{"__metadata__":{"a":"b"},"t":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}`), int64(1))
	f.Add([]byte(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}}`), int64(1))
	f.Fuzz(func(t *testing.T, text []byte, size int64) {
		h, err := parseHeader(text, size)
		if err != nil {
			return
		}
		var at int64
		specs := make([]Spec, len(h.tensors))
		for i, x := range h.tensors {
			if x.Offset != at || x.Size < 0 {
				t.Fatalf("tensor %q at %d, want %d", x.Name, x.Offset, at)
			}
			at += x.Size
			specs[i] = Spec{x.Name, x.DType, x.Shape}
		}
		if at != size {
			t.Fatalf("tensors cover %d of %d bytes", at, size)
		}
		for _, s := range specs {
			if s.Name == metadataKey {
				return
			}
		}
		text, err = encodeHeader(specs, h.metadata)
		if err != nil {
			t.Fatal(err)
		}
		back, err := parseHeader(text[8:], size)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(h.tensors, back.tensors); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzIndex(f *testing.F) {
	f.Add(Index(Shards(sample, 20)))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseIndex(text)
		if err == nil {
			for _, name := range m {
				if filepath.Base(name) != name {
					t.Fatalf("%q leads out of the directory", name)
				}
			}
		}
	})
}
