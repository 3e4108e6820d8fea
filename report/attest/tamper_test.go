package attest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/report/attest"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// A bit that was flipped anywhere in any document is found.
func TestFlippedBitsInDocuments(t *testing.T) {
	t.Parallel()
	run := newExample().write(t)
	write(t, run)
	for _, name := range names() {
		path := filepath.Join(run, attest.Dir, name)
		good := read(t, path)
		for i := 0; i < len(good); i += 1 + len(good)/25 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << (i % 8)
			put(t, path, bad)
			if got := failures(attest.Check(t.Context(), run, attest.CheckOptions{})); !strings.Contains(got, name) {
				t.Errorf("%s: bit %d of byte %d (%q) is flipped: %s", name, i%8, i, good[i], got)
			}
		}
		put(t, path, good[:len(good)-1])
		if failures(attest.Check(t.Context(), run, attest.CheckOptions{})) == "" {
			t.Errorf("%s: without its last byte it passes", name)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if failures(attest.Check(t.Context(), run, attest.CheckOptions{})) == "" {
			t.Errorf("%s: without it all pass", name)
		}
		put(t, path, good)
	}
	wantPass(t, attest.Check(t.Context(), run, attest.CheckOptions{}))
}

func put(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// What is done to a model directory is found, by Check and before signing.
func TestModelDirectory(t *testing.T) {
	for name, c := range map[string]struct {
		change func(dir string) error
		want   string
	}{
		"bit": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "model-00001-of-00002.safetensors"), []byte("weights onf"), 0o644)
		}, `"model-00001-of-00002.safetensors" has digest sha256:`},
		"missing": {func(dir string) error { return os.Remove(filepath.Join(dir, "a", "y")) }, `"a/y" is missing (of 8 files 1 are)`},
		"more":    {func(dir string) error { return os.WriteFile(filepath.Join(dir, "a", "modeling.py"), nil, 0o644) }, `"a/modeling.py" is not among the files`},
		"hidden":  {func(dir string) error { return os.WriteFile(filepath.Join(dir, ".gitattributes"), nil, 0o644) }, `".gitattributes" is not among the files`},
		"link": {func(dir string) error {
			return errors.Join(os.Rename(filepath.Join(dir, "Z"), filepath.Join(dir, "..", "Z")), os.Symlink("../Z", filepath.Join(dir, "Z")))
		}, `"Z" is no regular file`},
		"renamed": {func(dir string) error { return os.Rename(filepath.Join(dir, "Z"), filepath.Join(dir, "z")) }, `"z" is not among`},
		"gone":    {os.RemoveAll, "no such file"},
		"elsewhere": {func(dir string) error {
			return errors.Join(os.Rename(dir, dir+"2"), os.Symlink(dir+"2", dir))
		}, "model is no directory"},
	} {
		t.Run(name, func(t *testing.T) {
			run := newExample().write(t)
			write(t, run)
			if err := c.change(filepath.Join(run, attest.ModelDir)); err != nil {
				t.Fatal(err)
			}
			if got := failures(attest.Check(t.Context(), run, attest.CheckOptions{})); !strings.Contains(got, c.want) {
				t.Errorf("%s, want %q", got, c.want)
			}
			if got := failures(attest.Check(t.Context(), run, attest.CheckOptions{NoModel: true})); got != "" {
				t.Errorf("the documents are as they were: %s", got)
			}
			_, err := attest.Write(t.Context(), run, attest.Options{Key: key(t, 0), Out: filepath.Join(t.TempDir(), "x")})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// Documents of another run, each well signed by the same key, do not pass.
func TestDocumentsOfAnotherRun(t *testing.T) {
	run := newExample().write(t)
	write(t, run)
	other := newExample()
	other.files["Z"] = "other"
	other.manifest.Recipe = "name: other\n"
	otherRun := other.write(t)
	write(t, otherRun)
	for _, name := range names() {
		if name == "model.pub" {
			continue // the same key
		}
		good := read(t, run, attest.Dir, name)
		put(t, filepath.Join(run, attest.Dir, name), read(t, otherRun, attest.Dir, name))
		got := failures(attest.Check(t.Context(), run, attest.CheckOptions{}))
		if !strings.Contains(got, "attestation "+name+": ") || !strings.Contains(got, "the record says") {
			t.Errorf("%s: %s", name, got)
		}
		put(t, filepath.Join(run, attest.Dir, name), good)
	}
}

// Whoever has another key can sign everything anew, but not for who knows the
// key; and the P-256 key is vouched for by the record's.
func TestForger(t *testing.T) {
	run := newExample().write(t)
	write(t, run)
	forged := attestAs(t, newExample(), 1)
	for _, name := range []string{"model.pub", "model.sig"} {
		put(t, filepath.Join(run, attest.Dir, name), read(t, forged, name))
	}
	got := failures(attest.Check(t.Context(), run, attest.CheckOptions{}))
	if !strings.Contains(got, "record.json: record.json: payload: predicate.documents[3].digest.sha256 is") {
		t.Errorf("a foreign model.pub: %s", got)
	}
}

// attestAs makes the same run signed by another key and returns its attestations.
func attestAs(t *testing.T, x *example, n byte) string {
	t.Helper()
	x.signer = n
	run := x.write(t)
	r, err := attest.Write(t.Context(), run, attest.Options{Key: key(t, n)})
	if err != nil {
		t.Fatal(err)
	}
	checks := attest.Check(t.Context(), run, attest.CheckOptions{Trust: runlog.Trust{Verifier: key(t, 0).Verifier()}})
	if !strings.Contains(failures(checks), "wrong key") {
		t.Errorf("%+v", checks)
	}
	return r.Dir
}

// rewrite changes an envelope's members.
func rewrite(t *testing.T, b []byte, change func(map[string]any)) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	change(m)
	out, err := json.Marshal(m) // sorted, and without escapes here: canonical
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}

// Envelopes of other forms are refused, each with its reason.
func TestHostileEnvelopes(t *testing.T) {
	run := newExample().write(t)
	write(t, run)
	path := filepath.Join(run, attest.Dir, "model.json")
	good := read(t, path)
	sigs := func(m map[string]any) []any { return m["signatures"].([]any) }
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"other type":    {rewrite(t, good, func(m map[string]any) { m["payloadType"] = "application/json" }), `payloadType: "application/json", want`},
		"no signature":  {rewrite(t, good, func(m map[string]any) { m["signatures"] = []any{} }), "signatures: 0, want 1"},
		"two":           {rewrite(t, good, func(m map[string]any) { m["signatures"] = append(sigs(m), sigs(m)[0]) }), "signatures: 2, want 1"},
		"other key":     {rewrite(t, good, func(m map[string]any) { sigs(m)[0].(map[string]any)["keyid"] = key(t, 1).Verifier() }), "keyid"},
		"no key":        {rewrite(t, good, func(m map[string]any) { sigs(m)[0].(map[string]any)["keyid"] = "" }), "keyid"},
		"no base64":     {rewrite(t, good, func(m map[string]any) { m["payload"] = "?" }), "payload: illegal base64"},
		"other base64":  {rewrite(t, good, func(m map[string]any) { m["payload"] = m["payload"].(string) + "\n" }), "not the one base64 text"},
		"other payload": {rewrite(t, good, func(m map[string]any) { m["payload"] = base64.StdEncoding.EncodeToString([]byte("{}")) }), "signature: not that of"},
		"more":          {rewrite(t, good, func(m map[string]any) { m["zzz"] = "x" }), "zzz"},
		"less":          {rewrite(t, good, func(m map[string]any) { delete(m, "payloadType") }), "payloadType"},
		"twice":         {bytes.Replace(good, []byte(`{"payload":`), []byte(`{"payload":"","payload":`), 1), "payload"},
		"space":         {bytes.Replace(good, []byte(`,"payloadType"`), []byte(`, "payloadType"`), 1), "space"},
		"list":          {[]byte("[]\n"), "want"},
		"deep":          {[]byte(strings.Repeat("[", 1<<16) + "\n"), "want"},
		"empty":         {nil, "no newline at its end"},
		"no JSON":       {[]byte("payload\n"), "want"},
		"not UTF-8":     {[]byte("{\"payload\":\"\xff\"}\n"), "UTF-8"},
		"other file":    {read(t, run, attest.Dir, "model.sig"), "payload"},
	} {
		t.Run(name, func(t *testing.T) {
			put(t, path, c.text)
			got := failures(attest.Check(t.Context(), run, attest.CheckOptions{NoModel: true}))
			if !strings.Contains(got, "attestation model.json: model.json: ") || !strings.Contains(got, c.want) {
				t.Errorf("%s, want %q", got, c.want)
			}
		})
	}
}

// Files that are no files, or too large, are refused without being read.
func TestHostileFiles(t *testing.T) {
	run := newExample().write(t)
	write(t, run)
	path := filepath.Join(run, attest.Dir, "bom.json")
	if err := os.Truncate(path, attest.MaxSize+1); err != nil {
		t.Fatal(err)
	}
	if got := failures(attest.Check(t.Context(), run, attest.CheckOptions{})); !strings.Contains(got, "67108865 bytes, want at most 67108864") {
		t.Error(got)
	}
	if err := errors.Join(os.Remove(path), os.Symlink("/dev/zero", path)); err != nil {
		t.Fatal(err)
	}
	if got := failures(attest.Check(t.Context(), run, attest.CheckOptions{})); !strings.Contains(got, "is no regular file") {
		t.Error(got)
	}
}

// A record that was continued after its attestation does not match it.
func TestRecordGoesOn(t *testing.T) {
	run := newExample().write(t)
	write(t, run)
	w, err := runlog.Open(filepath.Join(run, attest.RecordDir), key(t, 0), runlog.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	x := newExample()
	x.end.Export = map[string]record.Digest{"Z": digest("4")}
	if _, err := w.Append(x.end); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := failures(attest.Check(t.Context(), run, attest.CheckOptions{})); !strings.Contains(got, "predicate.head.leaves is 15, the record says 16") && !strings.Contains(got, "the record says") {
		t.Error(got)
	}
}

// Every call of writing fails once, with and without effect. The directory is
// whole, absent, or a mixture that is seen as one; writing again mends it.
func TestWritingIsMended(t *testing.T) {
	t.Parallel()
	run := newExample().write(t)
	for _, begin := range []string{"nothing", "others"} {
		out := filepath.Join(t.TempDir(), "clean", "out")
		clean := &durabletest.Faulty{FS: durabletest.NoSync(durable.OS)}
		prepare(t, begin, out)
		if _, err := attest.Write(t.Context(), run, attest.Options{Key: key(t, 0), Out: out, FS: clean}); err != nil {
			t.Fatal(err)
		}
		if clean.Calls() < 20 {
			t.Fatalf("only %d calls", clean.Calls())
		}
		for at := 1; at <= clean.Calls(); at++ {
			for _, lost := range []bool{false, true} {
				if begin == "others" && lost != (at%2 == 0) {
					continue
				}
				out := filepath.Join(t.TempDir(), "a", "out")
				prepare(t, begin, out)
				faulty := &durabletest.Faulty{FS: durabletest.NoSync(durable.OS), FailAt: at, Lost: lost}
				_, err := attest.Write(t.Context(), run, attest.Options{Key: key(t, 0), Out: out, FS: faulty, Written: true})
				checks := attest.Check(t.Context(), run, attest.CheckOptions{Dir: out, NoModel: true})
				if err == nil {
					wantPass(t, checks)
					continue
				}
				if begin == "nothing" && len(checks) != 1 {
					wantPass(t, checks) // all or nothing
				}
				if _, err := attest.Write(t.Context(), run, attest.Options{Key: key(t, 0), Out: out, FS: durabletest.NoSync(durable.OS), Written: true}); err != nil {
					t.Errorf("%s, call %d, lost %v: again: %v", begin, at, lost, err)
				}
				wantPass(t, attest.Check(t.Context(), run, attest.CheckOptions{Dir: out, NoModel: true}))
			}
		}
	}
}

// prepare makes a directory of other documents.
func prepare(t *testing.T, begin, out string) {
	t.Helper()
	if begin == "nothing" {
		return
	}
	for _, name := range names() {
		if err := os.MkdirAll(out, 0o755); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(out, name), []byte(fmt.Sprintln("old", name)))
	}
}

// A published model is a copy with card and attestations, and is checked as the
// model is. It is complete or absent.
func TestPublish(t *testing.T) {
	run := newExample().write(t)
	dir := filepath.Join(t.TempDir(), "p", "model")
	o := attest.Options{Key: key(t, 0), FS: durabletest.NoSync(durable.OS), Publish: dir}
	if _, err := attest.Write(t.Context(), run, o); err != nil {
		t.Fatal(err)
	}
	wantPass(t, attest.Check(t.Context(), run, attest.CheckOptions{Model: dir, Dir: filepath.Join(dir, attest.Dir)}))
	for name, text := range modelFiles() {
		if got := read(t, dir, name); string(got) != text {
			t.Errorf("%s is %q", name, got)
		}
	}
	if !bytes.Equal(read(t, dir, "README.md"), read(t, run, attest.Dir, "README.md")) {
		t.Error("another card")
	}
	put(t, filepath.Join(dir, "README.md"), []byte("better"))
	checks := attest.Check(t.Context(), run, attest.CheckOptions{Model: dir})
	wantPass(t, checks)
	if last := checks[len(checks)-1].Evidence; !strings.Contains(last, "its README.md is not the attested card") {
		t.Error(last)
	}
	if _, err := attest.Write(t.Context(), run, o); err == nil || !strings.Contains(err.Error(), "want an absent or empty directory") {
		t.Errorf("over what is there: %v", err)
	}
	put(t, filepath.Join(run, attest.ModelDir, "Z"), []byte("x"))
	o.Written, o.Publish = true, filepath.Join(t.TempDir(), "other")
	if _, err := attest.Write(t.Context(), run, o); err == nil || !strings.Contains(err.Error(), `"Z" has digest`) {
		t.Errorf("a file that changed: %v", err)
	}
	if _, err := os.Stat(o.Publish); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a model: %v", err)
	}
	own := newExample()
	own.files["README.md"] = "the model's own"
	o.Publish = filepath.Join(t.TempDir(), "own")
	ownRun := own.write(t)
	if _, err := attest.Write(t.Context(), ownRun, o); err == nil || !strings.Contains(err.Error(), "README.md of its own") {
		t.Errorf("a model with a card: %v", err)
	}
	wantPass(t, attest.Check(t.Context(), ownRun, attest.CheckOptions{}))
	put(t, filepath.Join(ownRun, attest.ModelDir, "README.md"), []byte("another"))
	if got := failures(attest.Check(t.Context(), ownRun, attest.CheckOptions{})); !strings.Contains(got, `"README.md" has digest`) {
		t.Error(got)
	}
}
