package corpus

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTexts(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := write("a.txt", "one\ntwo\n")
	rows := write("b.jsonl", `{"q":"x","a":{"parts":["y","z"]},"n":1}`+"\n\n"+`{"a":"w","q":"v"}`+"\n")
	var packed strings.Builder
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte(`{"a":"packed"}`)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		files, fields, want []string
		err                 string
	}{
		{files: []string{plain}, want: []string{"one\ntwo\n"}},
		{files: []string{rows, plain}, want: []string{"x", "y", "z", "w", "v", "one\ntwo\n"}},
		{files: []string{rows}, fields: []string{"a"}, want: []string{"y", "z", "w"}},
		{files: []string{write("c.jsonl.gz", packed.String())}, want: []string{"packed"}},
		{files: []string{write("d.txt.gz", "not packed")}, err: "d.txt.gz: gzip"},
		{files: []string{"-"}, want: []string{"from stdin"}},
		{files: []string{rows}, fields: []string{"n"}, err: "b.jsonl line 1: no text under n"},
		{files: []string{filepath.Join(dir, "none")}, err: "no such file"},
		{files: []string{write("bad.txt", "ok\nno\xffn")}, want: nil, err: "bad.txt: byte 5 (line 2) is not UTF-8"},
		{files: []string{write("bad.jsonl", "{\"a\":\"b\"}\n[1]\n")}, want: []string{"b"}, err: "bad.jsonl line 2: a row is an object, got array"},
		{files: []string{write("cut.jsonl", `{"a":`)}, err: "cut.jsonl line 1"},
	} {
		r := &Reader{Files: c.files, Fields: c.fields, Stdin: strings.NewReader("from stdin")}
		got := slices.Collect(r.Texts())
		if !slices.Equal(got, c.want) {
			t.Errorf("%v %v: got %q, want %q", c.files, c.fields, got, c.want)
		}
		if err := r.Err(); (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%v %v: got error %v, want %q", c.files, c.fields, err, c.err)
		}
	}
}
