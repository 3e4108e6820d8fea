package runlog_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// key makes the same key of a number every time.
func key(t testing.TB, n byte) *runlog.Key {
	t.Helper()
	text, _, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{n}, 32)), "temper")
	if err != nil {
		t.Fatal(err)
	}
	k, err := runlog.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func manifest() *record.Manifest {
	return &record.Manifest{
		Run: "r", Recipe: "name: r\n", Model: map[string]record.Digest{}, Data: []record.File{},
		Program: record.Program{Modules: map[string]string{}, Build: map[string]string{}}, Hosts: []record.Host{},
		Ranks: 1, Mesh: record.One(), Links: []record.Link{}, Devices: []record.Device{}, Clock: "test",
	}
}

// ticks is a clock that goes on by a second at each call.
func ticks() func() time.Time {
	ms := int64(0)
	return func() time.Time { ms += 1000; return time.UnixMilli(ms) }
}

// write makes a log of n notes, with a head after every second one.
func write(t testing.TB, dir string, n int) {
	t.Helper()
	w, err := runlog.Create(dir, manifest(), key(t, 0), runlog.Options{FS: durabletest.NoSync(durable.OS), Now: ticks()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, err := w.Append(&record.Note{Text: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			if err := w.Sign(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Append(&record.Note{}); err == nil {
		t.Error("a closed log was written to")
	}
}

// files are the contents of a log.
type files struct{ manifest, log, heads []byte }

func load(t testing.TB, dir string) (f files) {
	t.Helper()
	for name, p := range map[string]*[]byte{runlog.ManifestName: &f.manifest, runlog.LogName: &f.log, runlog.HeadsName: &f.heads} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		*p = b
	}
	return f
}

// read reads the contents and returns the notes in them.
func (f files) read(trust runlog.Trust) (notes []string, s runlog.Summary, err error) {
	r, err := runlog.NewReader(f.manifest, bytes.NewReader(f.log), bytes.NewReader(f.heads), trust)
	if err != nil {
		return nil, s, err
	}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return notes, r.Summary(), nil
		}
		if err != nil {
			if _, again := r.Next(); again != err { //nolint:errorlint // the very same
				return nil, s, fmt.Errorf("after %w came %w", err, again)
			}
			return nil, s, err
		}
		if n, ok := e.Body.(*record.Note); ok {
			notes = append(notes, n.Text)
		}
	}
}

// heads splits the heads of a log.
func (f files) split() (heads [][]byte) {
	for _, h := range bytes.SplitAfter(f.heads, []byte("=\n"+record.Format)) {
		h = bytes.TrimSuffix(h, []byte(record.Format))
		if len(heads) > 0 {
			h = append([]byte(record.Format), h...)
		}
		heads = append(heads, h)
	}
	return heads
}

func TestReadsWhatWasWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "record")
	write(t, dir, 7)
	var got []string
	m, s, err := runlog.Read(dir, runlog.Trust{Verifier: key(t, 0).Verifier()}, func(e *record.Entry) error {
		got = append(got, fmt.Sprintf("%d %s %d", e.Index, e.Body.(*record.Note).Text, e.Time))
		return nil
	})
	if err != nil || m.Run != "r" || s != (runlog.Summary{Leaves: 8, Heads: 5, Signed: 8}) {
		t.Errorf("%+v, %v", s, err)
	}
	if len(got) != 7 || got[0] != "1 0 2000" || got[6] != "7 6 8000" {
		t.Errorf("entries %q", got)
	}
	wrong := errors.New("stop")
	if _, _, err := runlog.Read(dir, runlog.Trust{}, func(*record.Entry) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("visit: %v", err)
	}
}

func TestSignedIsTheLastHeadThatMatched(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "record")
	write(t, dir, 3) // heads of 1, 3 and 4 leaves
	r, err := runlog.OpenReader(dir, runlog.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sizes := []int64{r.Signed().Size}
	for _, err = r.Next(); err == nil; _, err = r.Next() {
		sizes = append(sizes, r.Signed().Size)
	}
	if !errors.Is(err, io.EOF) || !slices.Equal(sizes, []int64{1, 1, 3, 4}) {
		t.Errorf("sizes %v, %v", sizes, err)
	}
	heads := load(t, dir).split()
	if last := heads[len(heads)-1]; !bytes.Equal(r.Signed().Note, last) {
		t.Errorf("head %q, want %q", r.Signed().Note, last)
	}
}

func TestWorkedExample(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "record")
	ms := int64(999)
	now := func() time.Time { ms++; return time.UnixMilli(ms) }
	ms--
	w, err := runlog.Create(dir, manifest(), key(t, 0), runlog.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"a", "b"} {
		if _, err := w.Append(&record.Note{Text: text}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f := load(t, dir)
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range append(strings.Split(strings.TrimSpace(string(f.log)), "\n"), string(f.manifest[bytes.Index(f.manifest, []byte(`,"signer"`)):len(f.manifest)-1])) {
		if !strings.Contains(string(doc), line) {
			t.Errorf("the package comment does not have %s", line)
		}
	}
	lines := bytes.Split(f.log, []byte("\n"))
	node := tlog.NodeHash(tlog.NodeHash(tlog.RecordHash(f.manifest[:len(f.manifest)-1]), tlog.RecordHash(lines[0])), tlog.RecordHash(lines[1]))
	if want := record.Format + "\n3\n" + base64.StdEncoding.EncodeToString(node[:]) + "\n1\n\n— temper "; !bytes.Contains(f.heads, []byte(want)) {
		t.Errorf("heads\n%swant\n%s", f.heads, want)
	}
}

// Each head continues the one before, and each entry is in each head that covers it.
func TestProofs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "record")
	write(t, dir, 37)
	r, err := runlog.OpenReader(dir, runlog.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var tree runlog.Tree
	if err := r.Prove(&tree); err != nil {
		t.Fatal(err)
	}
	leaves := [][]byte{bytes.TrimSpace(load(t, dir).manifest)}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, _ := record.Marshal(e)
		leaves = append(leaves, b)
		size, hash := r.Head()
		if want, err := tree.Hash(size); err != nil || want != hash {
			t.Fatalf("tree of %d: %v, %v, tlog has %v", size, hash, err, want)
		}
	}
	if err := r.Prove(&tree); err == nil {
		t.Error("Prove after Next")
	}
	var last *runlog.Head
	for _, msg := range load(t, dir).split() {
		h, err := runlog.ParseHead(msg, key(t, 0).Verifier())
		if err != nil {
			t.Fatal(err)
		}
		if last != nil {
			p, err := tree.ProveHeads(h.Size, last.Size)
			if err == nil {
				err = tlog.CheckTree(p, h.Size, h.Hash, last.Size, last.Hash)
			}
			if err != nil {
				t.Errorf("%d after %d: %v", h.Size, last.Size, err)
			}
		}
		for i := range h.Size {
			p, err := tree.ProveEntry(h.Size, i)
			if err == nil {
				err = tlog.CheckRecord(p, h.Size, h.Hash, i, tlog.RecordHash(leaves[i]))
			}
			if err != nil {
				t.Errorf("entry %d in %d: %v", i, h.Size, err)
			}
		}
		last = h
	}
	for _, err := range []error{
		func() error { _, err := tree.Hash(39); return err }(), func() error { _, err := tree.Hash(0); return err }(),
		func() error { _, err := tree.ProveEntry(3, 3); return err }(), func() error { _, err := tree.ProveHeads(3, 4); return err }(),
		func() error { _, err := tree.ProveEntry(3, -1); return err }(),
	} {
		if err == nil {
			t.Error("proof of what is not there")
		}
	}
}

// A log that ends at any byte is either the log up to its last complete entry
// or, where a head says that there was more, refused.
func TestEveryTruncation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "record")
	write(t, dir, 6)
	all := load(t, dir)
	heads := all.split()
	first := bytes.Join(heads[:2], nil) // of 1 and of 3 leaves
	lines := bytes.SplitAfter(all.log, []byte("\n"))
	signed := len(lines[0]) + len(lines[1])
	for n := range len(all.log) + 1 {
		f := files{all.manifest, all.log[:n], first}
		notes, s, err := f.read(runlog.Trust{})
		var refused *runlog.Error
		switch {
		case n < signed:
			if !errors.Is(err, runlog.ErrTruncated) || !errors.As(err, &refused) || refused.Index > 2 {
				t.Fatalf("%d bytes: %v", n, err)
			}
		case err != nil || len(notes) != bytes.Count(all.log[:n], []byte("\n")) || s.Signed != 3 || s.Leaves != int64(len(notes)+1):
			t.Fatalf("%d bytes: %q, %+v, %v", n, notes, s, err)
		case s.Torn != int64(n-bytes.LastIndexByte(all.log[:n], '\n')-1):
			t.Fatalf("%d bytes: torn %d", n, s.Torn)
		}
	}
	ends, at := map[int]bool{}, 0
	for _, h := range heads {
		at += len(h)
		ends[at] = true
	}
	for n := range len(all.heads) + 1 {
		f := files{all.manifest, all.log, all.heads[:n]}
		_, s, err := f.read(runlog.Trust{})
		if n < len(heads[0]) {
			if err == nil {
				t.Fatalf("%d bytes of heads: accepted", n)
			}
		} else if whole := ends[n]; err != nil || s.Leaves != 7 || whole == (s.TornHead > 0) {
			t.Fatalf("%d bytes of heads: %+v, %v", n, s, err)
		}
		if n < len(all.manifest) {
			if _, _, err := (files{all.manifest[:n], all.log, all.heads}).read(runlog.Trust{}); err == nil {
				t.Fatalf("%d bytes of the manifest: accepted", n)
			}
		}
	}
}

// No byte can be changed.
func TestEveryByteCounts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "record")
	write(t, dir, 4)
	all := load(t, dir)
	for which := range 3 {
		for i := range len([][]byte{all.manifest, all.log, all.heads}[which]) {
			for _, flip := range []byte{1, 0x20} {
				f := files{bytes.Clone(all.manifest), bytes.Clone(all.log), bytes.Clone(all.heads)}
				[][]byte{f.manifest, f.log, f.heads}[which][i] ^= flip
				_, s, err := f.read(runlog.Trust{Verifier: key(t, 0).Verifier()})
				// A last head without its newline is one that a crash cut short.
				if err == nil && (which != 2 || s.Signed == 5) {
					t.Errorf("file %d, byte %d ^ %d: accepted: %+v", which, i, flip, s)
				}
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "record")
	write(t, dir, 4)
	other := filepath.Join(t.TempDir(), "record")
	write(t, other, 8)
	all, longer := load(t, dir), load(t, other)
	lines := bytes.SplitAfter(all.log, []byte("\n"))
	late, err := runlog.ParseHead(longer.split()[4], key(t, 0).Verifier())
	if err != nil {
		t.Fatal(err)
	}
	early := *late
	early.Size = 2
	manifestHead := all.split()[0]
	for name, c := range map[string]struct {
		f     files
		trust runlog.Trust
		want  string
		is    error
	}{
		"reordered":    {f: files{all.manifest, bytes.Join([][]byte{lines[1], lines[0]}, nil), all.heads}, want: "log: entry 1: index is 2"},
		"missing":      {f: files{all.manifest, bytes.Join([][]byte{lines[0], lines[2]}, nil), all.heads}, want: "log: entry 2: index is 3"},
		"repeated":     {f: files{all.manifest, bytes.Join([][]byte{lines[0], lines[0]}, nil), all.heads}, want: "log: entry 2: index is 1"},
		"rewritten":    {f: files{all.manifest, bytes.Replace(all.log, []byte(`"text":"1"`), []byte(`"text":"2"`), 1), all.heads}, want: "log: entry 2: rewritten", is: runlog.ErrRewritten},
		"clock":        {f: files{all.manifest, bytes.Replace(all.log, []byte(`"time":3000`), []byte(`"time":1999`), 1), all.heads}, want: "log: entry 2: time is 1999 ms, the entry before has 2000"},
		"newer kind":   {f: files{all.manifest, bytes.Replace(all.log, []byte(`"note"`), []byte(`"nota"`), 1), all.heads}, want: `log: entry 1: kind: "nota" is unknown`},
		"oversized":    {f: files{all.manifest, append(bytes.Repeat([]byte("x"), record.MaxSize+1), '\n'), all.heads}, want: "log: entry 1: line is too long"},
		"endless":      {f: files{all.manifest, bytes.Repeat([]byte("x"), 2*record.MaxSize), all.heads}, want: "log: entry 1: line is too long"},
		"deep":         {f: files{all.manifest, append(bytes.Repeat([]byte("["), 1<<19), '\n'), all.heads}, want: "log: entry 1: byte 0: '[', want '{'"},
		"deep body":    {f: files{all.manifest, append(append([]byte(`{"body":`), bytes.Repeat([]byte("["), 1<<19)...), '\n'), all.heads}, want: "deeper than 32"},
		"empty line":   {f: files{all.manifest, []byte("\n"), all.heads}, want: "log: entry 1: byte 0: the text ends"},
		"newer":        {f: files{bytes.Replace(all.manifest, []byte("temper-record/1"), []byte("temper-record/2"), 1), all.log, all.heads}, want: `manifest.json: format: another version of the format: "temper-record/2"`, is: runlog.ErrNewer},
		"wrong key":    {f: all, trust: runlog.Trust{Verifier: key(t, 1).Verifier()}, want: "manifest.json: signer: wrong key", is: runlog.ErrWrongKey},
		"foreign":      {f: files{bytes.Replace(all.manifest, []byte(key(t, 0).Verifier()), []byte(key(t, 1).Verifier()), 1), all.log, all.heads}, want: "heads: head 0: not signed by"},
		"no heads":     {f: files{all.manifest, all.log, nil}, want: "heads: head 0: no complete head"},
		"head twice":   {f: files{all.manifest, all.log, append(bytes.Clone(manifestHead), manifestHead...)}, want: "heads: head 1: is of 1 entries, the one before of 1"},
		"head dropped": {f: files{longer.manifest, longer.log, slices.Concat(longer.split()[0], longer.split()[2])}, want: "heads: head 1: was signed after a head of 3 entries, the one before is of 1"},
		"first gone":   {f: files{longer.manifest, longer.log, longer.split()[1]}, want: "heads: head 0: was signed after a head of 1 entries, the one before is of 0"},
		"heads turned": {f: files{longer.manifest, longer.log, slices.Concat(longer.split()[0], longer.split()[2], longer.split()[1])}, want: "heads: head 1: was signed after"},
		"long head":    {f: files{all.manifest, all.log, bytes.Repeat([]byte("x"), 1<<20)}, want: "heads: head 0: line is too long"},
		"many lines":   {f: files{all.manifest, all.log, bytes.Repeat([]byte("x\n"), 1<<20)}, want: "heads: head 0: more than 25 lines"},
		"other heads":  {f: files{all.manifest, all.log, longer.heads}, want: "log: entry 5: truncated", is: runlog.ErrTruncated},
		"pinned late":  {f: all, trust: runlog.Trust{Heads: []*runlog.Head{late}}, want: "truncated: the given head was signed of 9 leaves, 5 are left", is: runlog.ErrKept},
		"pinned early": {f: all, trust: runlog.Trust{Heads: []*runlog.Head{&early}}, want: "log: entry 1: rewritten: up to here, it is not what the given head", is: runlog.ErrRewritten},
		"bad witness":  {f: all, trust: runlog.Trust{Witnesses: []string{"x"}}, want: "witness key"},
	} {
		_, _, err := c.f.read(c.trust)
		if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if notes, _, err := longer.read(runlog.Trust{Heads: []*runlog.Head{late}}); err != nil || len(notes) != 8 {
		t.Errorf("pinned head of the log itself: %q, %v", notes, err)
	}
}

func TestWitness(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "record")
	write(t, dir, 2)
	f := load(t, dir)
	text, verifier, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{7}, 32)), "witness")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(text)
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(key(t, 0).Verifier())
	if err != nil {
		t.Fatal(err)
	}
	heads := f.split()
	n, err := note.Open(heads[1], note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	if heads[1], err = note.Sign(n, signer); err != nil {
		t.Fatal(err)
	}
	f.heads = bytes.Join(heads, nil)
	if _, s, err := f.read(runlog.Trust{Witnesses: []string{verifier}}); err != nil || s.Witnessed != 3 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, s, err := f.read(runlog.Trust{}); err != nil || s.Witnessed != 0 {
		t.Errorf("unknown witness: %+v, %v", s, err)
	}
}

// A resumed log continues the tree; zeros that a disk shows are cut off.
func TestOpenContinues(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "record")
	write(t, dir, 3)
	before := load(t, dir)
	for i, tail := range []string{"", `{"body":{"te`, "\x00\x00\n\x00"} {
		for name, text := range map[string]string{runlog.LogName: tail, runlog.HeadsName: strings.ReplaceAll(tail, "\x00\n", "")} {
			f, err := os.OpenFile(filepath.Join(dir, name), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteString(text)
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		}
		seen := 0
		w, err := runlog.Open(dir, key(t, 0), runlog.Options{Now: func() time.Time { return time.UnixMilli(3500) }}, func(*record.Entry) error { seen++; return nil })
		if err != nil {
			t.Fatalf("%q: %v", tail, err)
		}
		if _, err := runlog.Open(dir, key(t, 0), runlog.Options{}, nil); !errors.Is(err, durable.ErrLocked) {
			t.Errorf("opened twice: %v", err)
		}
		if _, err := w.Append(&record.Recovery{Stage: 0, Step: 2, Again: 1, Cause: "crash"}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if want := bytes.Count(before.log, []byte("\n")); seen != want {
			t.Errorf("round %d: %d entries seen, want %d", i, seen, want)
		}
		if after := load(t, dir); !bytes.HasPrefix(after.log, before.log) || !bytes.HasPrefix(after.heads, before.heads) {
			t.Error("the past was changed")
		} else if _, s, err := after.read(runlog.Trust{}); err != nil || s.Torn != 0 || s.TornHead != 0 || s.Signed != s.Leaves {
			t.Errorf("%+v, %v", s, err)
		} else {
			before = after
		}
	}
	if !strings.Contains(string(before.log), "the clock went back by 500 ms") {
		t.Errorf("no note of the clock:\n%s", before.log)
	}
	if _, err := runlog.Open(dir, key(t, 1), runlog.Options{}, nil); !errors.Is(err, runlog.ErrWrongKey) {
		t.Errorf("opened with another key: %v", err)
	}
}

func TestWriterRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "record")
	now := ticks()
	w, err := runlog.Create(dir, manifest(), key(t, 0), runlog.Options{Now: now, Interval: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []record.Body{&record.End{Status: "maybe"}, &record.Note{Text: "\xff"}, &record.Note{Text: strings.Repeat("x", record.MaxSize)}} {
		if _, err := w.Append(body); err == nil {
			t.Errorf("%.60v accepted", body)
		}
	}
	if e, err := w.Append(&record.Note{Text: "fine"}); err != nil || e.Index != 1 || w.Size() != 2 {
		t.Errorf("%+v, %v", e, err)
	}
	if _, s, err := runlog.Read(dir, runlog.Trust{}, nil); err != nil || s.Signed != 2 {
		t.Errorf("no head after the interval: %+v, %v", s, err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := runlog.Create(dir, manifest(), key(t, 0), runlog.Options{}); err == nil || !strings.Contains(err.Error(), "entries, want an absent or empty directory") {
		t.Errorf("created over a log: %v", err)
	}
	bad := manifest()
	bad.Ranks = 0
	if _, err := runlog.Create(filepath.Join(t.TempDir(), "x"), bad, key(t, 0), runlog.Options{}); err == nil {
		t.Error("bad manifest accepted")
	}
	full := &durabletest.Faulty{FS: durable.OS, FailAt: 15, Err: syscall.ENOSPC}
	w, err = runlog.Create(filepath.Join(t.TempDir(), "full"), manifest(), key(t, 0), runlog.Options{FS: full})
	for i := 0; err == nil && i < 20; i++ {
		_, err = w.Append(&record.Note{})
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("full disk: %v", err)
	}
}

// scenario makes a log and continues it, and returns how many entries were
// acknowledged, and how many of them as being on the disk.
func scenario(t *testing.T, fs durable.FS, dir string) (written, synced int64, err error) {
	k := key(t, 0)
	o := runlog.Options{FS: fs, Now: ticks()}
	w, err := runlog.Create(dir, manifest(), k, o)
	for round := 0; err == nil && round < 2; round++ {
		for i := 0; err == nil && i < 3; i++ {
			if _, err = w.Append(&record.Note{Text: fmt.Sprint(round, i)}); err == nil {
				written++
			}
			if err == nil && i == 1 {
				if err = w.Sign(); err == nil {
					synced = written
				}
			}
		}
		closeErr := w.Close()
		if err == nil {
			err = closeErr
		}
		if err == nil {
			synced = written
			if round == 0 {
				w, err = runlog.Open(dir, k, o, nil)
			}
		}
	}
	return written, synced, err
}

// Every call fails once, in both ways, with the process going on, dying, or
// losing power. What is left is a log that holds everything acknowledged, and
// that can be continued.
func TestEveryCallFails(t *testing.T) {
	clean := &durabletest.Faulty{FS: durabletest.NoSync(durable.OS)}
	if written, synced, err := scenario(t, clean, filepath.Join(t.TempDir(), "record")); err != nil || written != 6 || synced != 6 {
		t.Fatal(written, synced, err)
	}
	for at := 1; at <= clean.Calls(); at++ {
		for _, mode := range []string{"failed", "lost", "failed+death", "lost+death", "failed+power", "lost+power"} {
			t.Run(fmt.Sprintf("%d-%s", at, mode), func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "record")
				fs := &durabletest.Faulty{FS: durabletest.NoSync(durable.OS), FailAt: at, Lost: strings.HasPrefix(mode, "lost"), Dead: strings.Contains(mode, "+")}
				written, synced, err := scenario(t, fs, dir)
				if err == nil && !strings.Contains(fs.Log()[at-1], "remove") {
					t.Fatalf("the failure of %q was not noticed", fs.Log()[at-1])
				}
				survives := written
				if strings.HasSuffix(mode, "power") {
					if err := fs.PowerCut(); err != nil {
						t.Fatal(err)
					}
					survives = synced
				}
				examine(t, dir, survives)
			})
		}
	}
}

// examine demands a log of at least so many entries that can be continued, or
// none if nothing was acknowledged.
func examine(t *testing.T, dir string, survives int64) {
	t.Helper()
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) && survives == 0 {
		return
	}
	_, s, err := runlog.Read(dir, runlog.Trust{}, nil)
	if err != nil || s.Leaves-1 < survives {
		t.Fatalf("%d entries should be left: %+v, %v", survives, s, err)
	}
	before := load(t, dir)
	w, err := runlog.Open(dir, key(t, 0), runlog.Options{FS: durabletest.NoSync(durable.OS)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Append(&record.Recovery{Cause: "crash"})
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	after, end, err := runlog.Read(dir, runlog.Trust{}, nil)
	if err != nil || end.Leaves != s.Leaves+1 || end.Signed != end.Leaves || end.Torn != 0 || end.TornHead != 0 || after.Run != "r" {
		t.Errorf("continued: %+v after %+v, %v", end, s, err)
	}
	whole := before.log[:len(before.log)-int(s.Torn)]
	if !bytes.HasPrefix(load(t, dir).log, whole) {
		t.Error("complete entries were changed")
	}
}

func FuzzReader(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "record")
	write(f, dir, 3)
	all := load(f, dir)
	f.Add(all.manifest, all.log, all.heads)
	f.Fuzz(func(t *testing.T, m, log, heads []byte) {
		_, _, _ = (files{m, log, heads}).read(runlog.Trust{})
		_, s, err := (files{all.manifest, log, all.heads}).read(runlog.Trust{})
		if err == nil && (s.Signed != 4 || !bytes.HasPrefix(log, all.log)) {
			t.Errorf("accepted another log: %q", log)
		}
		if _, s, err = (files{all.manifest, all.log, heads}).read(runlog.Trust{}); err == nil && s.Leaves != 4 {
			t.Errorf("%+v", s)
		}
		_, _ = runlog.ParseHead(heads, key(t, 0).Verifier())
	})
}

func BenchmarkAppend(b *testing.B) {
	w, err := runlog.Create(filepath.Join(b.TempDir(), "record"), manifest(), key(b, 0), runlog.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	d := record.SHA256(nil)
	s := &record.Step{
		Stage: 1, Tokens: 62914560, Examples: 15360, Supervised: 52914560, Batch: d, Bias: d, Parameters: d, Optimizer: d,
		Losses: map[string]float64{"lm": 1.2345678901234567, "mtp": 2.3456789012345678, "balance": 1.0123456789012346},
		Load:   &record.Load{Max: 4.8851, Mean: 4.1854, Table: d}, Time: record.Split{Wall: 3e9, Data: 1e9, Model: 2e9}, FLOPs: 1.57e19, MFU: 0.41234,
	}
	for b.Loop() {
		s.Step++
		if _, err := w.Append(s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	w, err := runlog.Create(filepath.Join(b.TempDir(), "record"), manifest(), key(b, 0), runlog.Options{FS: durabletest.NoSync(durable.OS)})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	for b.Loop() {
		if _, err := w.Append(&record.Note{}); err != nil {
			b.Fatal(err)
		}
		if err := w.Sign(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "record")
	w, err := runlog.Create(dir, manifest(), key(b, 0), runlog.Options{FS: durabletest.NoSync(durable.OS)})
	if err != nil {
		b.Fatal(err)
	}
	d := record.SHA256(nil)
	const entries = 1000
	for i := range entries {
		s := &record.Step{Step: int64(i), Batch: d, Bias: d, Parameters: d, Optimizer: d, Losses: map[string]float64{"lm": 1.2345678901234567}, Load: &record.Load{Table: d}}
		if _, err := w.Append(s); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := runlog.Read(dir, runlog.Trust{}, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/entries, "us/entry")
}

// TestManifestOfALargeModel: a base model of 70,000 tensors (V4-Pro) has a record
// that can be written and read.
func TestManifestOfALargeModel(t *testing.T) {
	m := &record.Manifest{
		Run: "r", Model: map[string]record.Digest{}, Data: []record.File{}, Hosts: []record.Host{}, Links: []record.Link{}, Devices: []record.Device{},
		Program: record.Program{Modules: map[string]string{}, Build: map[string]string{}}, Ranks: 1, Mesh: record.One(), Clock: "system",
	}
	for i := range 70000 {
		m.Model[fmt.Sprintf("model.layers.%d.mlp.experts.%d.gate_proj.weight", i/1152, i%1152)] = record.SHA256([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
	}
	key, err := runlog.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "record")
	w, err := runlog.Create(dir, m, key, runlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, _, err := runlog.Read(dir, runlog.Trust{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Model) != 70000 {
		t.Errorf("%d tensors, want 70000", len(got.Model))
	}
}
