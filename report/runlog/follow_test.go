package runlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// grown is a file that is in memory.
type grown struct {
	b    []byte
	err  error
	read int64 // bytes handed out
}

func (g *grown) ReadAt(p []byte, off int64) (int, error) {
	if g.err != nil {
		return 0, &fs.PathError{Op: "read", Path: "log", Err: g.err}
	}
	n, err := bytes.NewReader(g.b).ReadAt(p, off)
	g.read += int64(n)
	return n, err
}

func (g *grown) Stat() (fs.FileInfo, error) {
	f, err := fstest.MapFS{"f": &fstest.MapFile{Data: g.b}}.Open("f")
	if err != nil {
		return nil, err
	}
	return f.Stat()
}

// collect returns a visitor that keeps the texts of notes.
func collect(notes *[]string) func(*record.Entry) error {
	return func(e *record.Entry) error {
		if n, ok := e.Body.(*record.Note); ok {
			*notes = append(*notes, n.Text)
		}
		return nil
	}
}

// However the files grow, as a writer lets them grow, a follower ends where a
// reader of the whole ends.
func TestFollowerReadsWhatAReaderReads(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "record")
	write(t, dir, 41)
	whole := load(t, dir)
	want, summary, err := whole.read(runlog.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	heads := whole.split()
	rapid.Check(t, func(t *rapid.T) {
		f, err := runlog.NewFollower(whole.manifest, runlog.Trust{})
		if err != nil {
			t.Fatal(err)
		}
		var log, signed grown
		var got []string
		for len(log.b) < len(whole.log) || len(signed.b) < len(whole.heads) {
			// A head appears after what it covers, its bytes one after the other.
			log.b = whole.log[:rapid.IntRange(len(log.b), len(whole.log)).Draw(t, "log")]
			under := bytes.Count(log.b, []byte("\n")) + 1
			most := len(heads[0])
			for i, h := range heads[1:] {
				if 2*(i+1)+1 <= under || under == 42 {
					most += len(h)
				}
			}
			signed.b = whole.heads[:rapid.IntRange(len(signed.b), max(most, len(signed.b))).Draw(t, "heads")]
			if _, err := f.Poll(&log, &signed, rapid.Int64Range(1, 1000).Draw(t, "limit"), collect(&got)); err != nil && len(signed.b) >= len(heads[0]) {
				t.Fatalf("after %d bytes of log and %d of heads: %v", len(log.b), len(signed.b), err)
			}
		}
		for more := true; more; {
			if more, err = f.Poll(&log, &signed, 500, collect(&got)); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, want) || f.Summary() != summary {
			t.Fatalf("got %q, %+v\nwant %q, %+v", got, f.Summary(), want, summary)
		}
	})
}

// A poll reads what is new, not what is old.
func TestFollowerReadsNothingTwice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "record")
	write(t, dir, 41)
	whole := load(t, dir)
	f, err := runlog.NewFollower(whole.manifest, runlog.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	log, heads := grown{b: whole.log}, grown{b: whole.heads}
	for range 5 {
		if _, err := f.Poll(&log, &heads, 1<<20, nil); err != nil {
			t.Fatal(err)
		}
	}
	if log.read != int64(len(whole.log)) || heads.read > int64(2*len(whole.heads)) {
		t.Errorf("read %d bytes of a log of %d, %d of heads of %d", log.read, len(whole.log), heads.read, len(whole.heads))
	}
}

func TestFollowerGoesOnAfterACrash(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "record")
	write(t, dir, 6)
	open := func(name string) *os.File {
		h, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		return h
	}
	log, heads := open(runlog.LogName), open(runlog.HeadsName)
	f, err := runlog.NewFollower(load(t, dir).manifest, runlog.Trust{Verifier: key(t, 0).Verifier()})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	poll := func() {
		t.Helper()
		if _, err := f.Poll(log, heads, 1<<20, collect(&got)); err != nil {
			t.Fatal(err)
		}
	}
	poll()
	for _, torn := range []string{`{"body":{"text":"torn and much longer than what will stand here"},"ind`, "\x00\x00\x00\x00\n\x00"} {
		tail, err := os.OpenFile(filepath.Join(dir, runlog.LogName), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tail.WriteString(torn); err != nil {
			t.Fatal(err)
		}
		tail.Close()
		poll()
		if f.Summary().Torn == 0 {
			t.Errorf("%q was not seen to be torn", torn)
		}
		w, err := runlog.Open(dir, key(t, 0), runlog.Options{Now: func() time.Time { return time.UnixMilli(1e6) }}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Append(&record.Note{Text: "on"}); err != nil {
			t.Fatal(err)
		}
		poll()
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		poll()
	}
	if want := []string{"0", "1", "2", "3", "4", "5", "on", "on"}; !slices.Equal(got, want) || f.Summary().Torn != 0 || f.Summary().Signed != 9 {
		t.Errorf("got %q, %+v", got, f.Summary())
	}
}

func TestFollowerRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "record")
	write(t, dir, 12)
	whole := load(t, dir)
	half := bytes.LastIndexByte(whole.log[:len(whole.log)/2], '\n') + 1
	other := bytes.Replace(whole.log, []byte(`"text":"9"`), []byte(`"text":"8"`), 1)
	for name, c := range map[string]struct {
		log, heads []byte
		is         error
		says       string
	}{
		"rewritten":       {other, whole.heads, runlog.ErrRewritten, "log: entry 10: rewritten: up to here, it is not what head 5 was signed of"},
		"truncated":       {whole.log[:half], whole.heads, runlog.ErrTruncated, "log: entry 7: truncated: a head was signed of 9 leaves, 7 are left"},
		"shrunk":          {whole.log[:half/2], nil, runlog.ErrTruncated, "log: entry 7: truncated: 348 bytes were read, 174 are left"},
		"no entry":        {append(bytes.Clone(whole.log[:half]), "no entry\n"...), nil, nil, "log: entry 7: byte 0"},
		"twice":           {append(bytes.Clone(whole.log[:half]), whole.log[:half]...), nil, nil, "log: entry 7: index is 1"},
		"heads rewritten": {whole.log, slices.Concat(whole.split()[0], whole.split()[1], whole.split()[3]), nil, "heads: head 2: was signed after a head of 5 entries, the one before is of 3"},
		"endless":         {append(bytes.Clone(whole.log[:half]), bytes.Repeat([]byte("x"), record.MaxSize+2)...), nil, nil, "log: entry 7: line is too long"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := runlog.NewFollower(whole.manifest, runlog.Trust{})
			if err != nil {
				t.Fatal(err)
			}
			first := 0
			for _, h := range whole.split()[:3] {
				first += len(h)
			}
			if _, err := f.Poll(&grown{b: whole.log[:half]}, &grown{b: whole.heads[:first]}, 1<<20, nil); err != nil {
				t.Fatal(err)
			}
			if c.heads == nil {
				c.heads = whole.heads[:first]
			}
			_, err = f.Poll(&grown{b: c.log}, &grown{b: c.heads}, 1<<30, nil)
			var e *runlog.Error
			if !errors.As(err, &e) || c.is != nil && !errors.Is(err, c.is) || !strings.HasPrefix(err.Error(), c.says) {
				t.Fatalf("%v, want %s", err, c.says)
			}
			_, again := f.Poll(&grown{b: whole.log}, &grown{b: whole.heads}, 1<<30, nil)
			if lasts := !errors.Is(err, runlog.ErrTruncated); lasts != (again != nil) {
				t.Errorf("after %v came %v", err, again)
			}
		})
	}
	if _, err := runlog.NewFollower([]byte(`{"format":"temper-record/2"}`), runlog.Trust{}); !errors.Is(err, runlog.ErrNewer) {
		t.Errorf("newer: %v", err)
	}
	if _, err := runlog.NewFollower(whole.manifest, runlog.Trust{Verifier: key(t, 1).Verifier()}); !errors.Is(err, runlog.ErrWrongKey) {
		t.Errorf("key: %v", err)
	}
	f, err := runlog.NewFollower(whole.manifest, runlog.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Poll(&grown{b: whole.log, err: io.ErrNoProgress}, &grown{b: whole.heads}, 1, nil); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("failed read: %v", err)
	}
	if _, err := f.Poll(&grown{b: whole.log}, &grown{}, 1<<20, nil); !errors.Is(err, runlog.ErrTruncated) {
		t.Errorf("no heads: %v", err)
	}
	if _, err := f.Poll(&grown{b: whole.log}, &grown{b: whole.heads}, 1<<20, nil); err != nil {
		t.Errorf("after reads that failed: %v", err)
	}
	if _, err := f.Poll(&grown{b: whole.log}, &grown{b: whole.heads}, 1<<20, nil); err != nil {
		t.Error(err)
	}
}

// A witness may sign the last head after it was read, line by line.
func TestFollowerSeesWitnesses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "record")
	write(t, dir, 3)
	whole := load(t, dir)
	text, _, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{7}, 32)), "witness")
	if err != nil {
		t.Fatal(err)
	}
	w, err := runlog.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(text)
	if err != nil {
		t.Fatal(err)
	}
	heads := whole.split()
	last := heads[len(heads)-1]
	signed, _, _ := bytes.Cut(last, []byte("\n\n"))
	both, err := note.Sign(&note.Note{Text: string(signed) + "\n"}, signer)
	if err != nil {
		t.Fatal(err)
	}
	line := both[bytes.LastIndex(both, []byte("— ")):]
	f, err := runlog.NewFollower(whole.manifest, runlog.Trust{Witnesses: []string{w.Verifier()}})
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(line) + 1 {
		if _, err := f.Poll(&grown{b: whole.log}, &grown{b: append(bytes.Clone(whole.heads), line[:n]...)}, 1<<20, nil); err != nil {
			t.Fatalf("after %d bytes of the witness: %v", n, err)
		}
	}
	if s := f.Summary(); s.Witnessed != 4 || s.Signed != 4 {
		t.Errorf("%+v", s)
	}
}

// Whatever the files hold and however they grow, a follower does not panic, and
// accepts what a reader accepts.
func FuzzFollower(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "record")
	write(f, dir, 5)
	whole := load(f, dir)
	f.Add(whole.log, whole.heads, uint16(100), uint16(3))
	f.Add(whole.log[:200], whole.heads[:300], uint16(7), uint16(1000))
	f.Add(append(bytes.Clone(whole.log), 0, '\n'), whole.heads, uint16(300), uint16(300))
	f.Fuzz(func(t *testing.T, log, heads []byte, a, b uint16) {
		var want []string
		_, _, readErr := files{whole.manifest, log, heads}.read(runlog.Trust{})
		fo, err := runlog.NewFollower(whole.manifest, runlog.Trust{})
		if err != nil {
			t.Fatal(err)
		}
		early := func() error {
			_, err := fo.Poll(&grown{b: log[:min(int(a), len(log))]}, &grown{b: heads[:min(int(b), len(heads))]}, 1<<30, collect(&want))
			return err
		}
		if err := early(); err != nil && !errors.Is(err, runlog.ErrTruncated) && readErr == nil && int(b) >= len(heads) {
			t.Fatalf("a part of what a reader accepts: %v", err)
		}
		_, err = fo.Poll(&grown{b: log}, &grown{b: heads}, 1<<30, collect(&want))
		if (err == nil) != (readErr == nil) && int(b) >= len(heads) {
			t.Fatalf("reader: %v, follower: %v", readErr, err)
		}
		_ = fmt.Sprint(fo.Summary(), fo.Size())
	})
}
