package trace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/digest"
)

// fill makes words from a small linear congruence: the same in reference.py.
func fill(n int64, x uint32) []uint32 {
	v := make([]uint32, n)
	for i := range v {
		x = x*1664525 + 1013904223
		v[i] = x
	}
	return v
}

func golden(t testing.TB) []byte {
	b, err := os.ReadFile("testdata/golden.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func read(b []byte) (h Header, f Footer, entries []Entry, err error) {
	h, f, err = Read(bytes.NewReader(b), func(e Entry) error { entries = append(entries, e); return nil })
	return h, f, entries, err
}

func write(t testing.TB, h Header, entries []Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, h)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := w.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestGolden reads what reference.py wrote, checks its digests against values,
// and writes the same bytes.
func TestGolden(t *testing.T) {
	file := golden(t)
	h, f, entries, err := read(file)
	if err != nil {
		t.Fatal(err)
	}
	if h.Run != "golden" || h.Step != 41 || h.Threads != 4 || f.Operators != 8 {
		t.Errorf("header %+v, footer %+v", h, f)
	}
	for i, e := range entries {
		values := fill(e.Size, uint32(i))
		var blocks []digest.Digest
		for lo := 0; lo < len(values); lo += digest.Block {
			blocks = append(blocks, BlockOf(values[lo:min(len(values), lo+digest.Block)]))
		}
		if err := record.Check(e.Append(nil)); err != nil {
			t.Errorf("%s: not canonical: %v", e.Operator, err)
		}
		if err := e.CheckBlocks(blocks); err != nil {
			t.Error(err)
		}
		if err := CheckBlock(blocks[0], values[:min(len(values), digest.Block)]); err != nil {
			t.Error(err)
		}
		values[0] ^= 1
		if CheckBlock(blocks[0], values[:min(len(values), digest.Block)]) == nil {
			t.Errorf("%s: another value has the block's digest", e.Operator)
		}
		if e.CheckBlocks(append(blocks, blocks[0])) == nil {
			t.Errorf("%s: a block too many is accepted", e.Operator)
		}
		blocks[0][0] ^= 1
		if e.CheckBlocks(blocks) == nil {
			t.Errorf("%s: another block is accepted", e.Operator)
		}
	}
	if got := write(t, h, entries); !bytes.Equal(got, file) {
		t.Errorf("written as\n%s", got)
	}
	if got := Root(entries); got.String() != string(f.Root) {
		t.Errorf("root %s, want %s", got, f.Root)
	}
}

// TestEveryByteCounts: no byte of a file can be changed, dropped or doubled.
func TestEveryByteCounts(t *testing.T) {
	file := golden(t)
	for i := range file {
		end := bytes.IndexByte(file, '\n')
		for what, b := range map[string][]byte{
			"changed": append(append(bytes.Clone(file[:i]), file[i]^1), file[i+1:]...),
			"dropped": append(bytes.Clone(file[:i]), file[i+1:]...),
			"doubled": append(bytes.Clone(file[:i+1]), file[i:]...),
			"last":    file[:i],
		} {
			h, _, entries, err := read(b)
			if err == nil && i < end { // the header is not under the root
				err = fmt.Errorf("header %+v", h)
				if what == "last" || len(entries) != 8 {
					t.Errorf("byte %d %s: accepted", i, what)
				}
			}
			if err == nil {
				t.Errorf("byte %d, %q, %s: accepted", i, file[i], what)
			}
		}
	}
}

func TestReadRefuses(t *testing.T) {
	file := string(golden(t))
	lines := strings.SplitAfter(file, "\n")
	swap := func(i, j int) string {
		l := append([]string(nil), lines...)
		l[i], l[j] = l[j], l[i]
		return strings.Join(l, "")
	}
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "line 1: the trace ends before its footer"},
		{"no footer", strings.Join(lines[:9], ""), "ends before its footer"},
		{"no entries", lines[0] + lines[9], "there is no entry"},
		{"more", file + lines[1], "bytes after the footer"},
		{"an entry less", strings.Join(append(append([]string(nil), lines[:4]...), lines[5:]...), ""), "operators: 8, there are 7"},
		{"rows out of order", swap(3, 6), "out of order"},
		{"passes out of order", swap(1, 8), "out of order"},
		{"twice", strings.Join(append(append([]string(nil), lines[:5]...), lines[4:]...), ""), "line 6: forward, row 0, layer 3: attention.q appears twice"},
		{"space", strings.Replace(file, `"row":0`, `"row": 0`, 1), "line 4: byte"},
		{"long line", lines[0] + strings.Repeat("x", 5000) + "\n", "token too long"},
		{"row in a pass without", strings.Replace(file, `"row":-1`, `"row":0`, 1), "rows are counted from 0 in forward and backward"},
		{"name", strings.Replace(file, "data.tokens", "data tokens", 1), `name: byte ' ' at 4`},
		{"type", strings.Replace(file, "I32", "F64", 1), `type: "F64" is not known`},
		{"size", strings.Replace(file, `"size":7,`, `"size":07,`, 1), `"07" is no canonical integer`},
		{"empty", strings.Replace(file, `"size":7,`, `"size":0,`, 1), "size: 0 values"},
		{"format", strings.Replace(file, "temper-trace/1", "temper-trace/2", 1), "line 1: format"},
	} {
		if _, _, _, err := read([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	_, _, entries, err := read(golden(t))
	if err != nil {
		t.Fatal(err)
	}
	bad := entries[0]
	bad.Name = `quo"te`
	for what, list := range map[string][]Entry{
		"twice": {entries[0], entries[0]}, "out of order": {entries[5], entries[3]}, "name": {bad},
	} {
		var b bytes.Buffer
		w, err := NewWriter(&b, Header{Format: Format})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			err = w.Add(e)
		}
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: error %v", what, err)
		}
		if _, again := w.Close(); !errors.Is(again, err) {
			t.Errorf("%s: closing gives %v", what, again)
		}
	}
	if _, err := NewWriter(&bytes.Buffer{}, Header{}); err == nil {
		t.Error("a header without a format was written")
	}
}

func TestSameStep(t *testing.T) {
	a := Header{Format: Format, Manifest: record.SHA256(nil), Stage: 1, Step: 2, Path: "avx2"}
	b := a
	b.Path, b.Threads = "go", 9
	if err := a.SameStep(&b); err != nil {
		t.Error(err)
	}
	b.Step = 3
	if err := a.SameStep(&b); err == nil || !strings.Contains(err.Error(), "step 2 of stage 1 and step 3 of stage 1") {
		t.Error(err)
	}
}

// random draws a trace of n entries of forward passes.
func random(t *rapid.T, n int) []Entry {
	entries := make([]Entry, n)
	for i := range entries {
		e := &entries[i]
		e.Operator = Operator{Forward, i % 5, int64(i / 5), fmt.Sprint("operator.", i%3)}
		e.Size = int64(i + 1)
		e.Digest = digest.Ints(rapid.StringN(1, 3, 9).Draw(t, "digest"))
	}
	return entries
}

// TestRootIsTheTransparencyLogs compares with the Go project's implementation.
func TestRootIsTheTransparencyLogs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := random(t, rapid.IntRange(1, 70).Draw(t, "n"))
		var stored []tlog.Hash
		reader := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
			var hs []tlog.Hash
			for _, i := range at {
				hs = append(hs, stored[i])
			}
			return hs, nil
		})
		for i := range entries {
			hs, err := tlog.StoredHashes(int64(i), entries[i].Append(nil), reader)
			if err != nil {
				t.Fatal(err)
			}
			stored = append(stored, hs...)
		}
		want, err := tlog.TreeHash(int64(len(entries)), reader)
		if err != nil {
			t.Fatal(err)
		}
		n, root, err := New(entries).Published(context.Background())
		if err != nil || n != int64(len(entries)) || root != digest.Digest(want) || Root(entries) != root {
			t.Fatalf("root of %d entries is %s, %v, want %s", n, root, err, digest.Digest(want))
		}
	})
}

// TestFind compares the search with comparing everything, for traces that differ
// anywhere, also in length, and counts the rounds.
func TestFind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := random(t, rapid.IntRange(1, 90).Draw(t, "a"))
		b := append([]Entry(nil), a...)
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")].Digest[0] ^= 1
		}
		if rapid.Bool().Draw(t, "other length") {
			b = append(b, random(t, 95)[len(b):rapid.IntRange(len(b), 95).Draw(t, "more")]...)
			b = b[:rapid.IntRange(1, len(b)).Draw(t, "b")]
		}
		x, y := New(a), New(b)
		want := x.First(y)
		got, err := Find(context.Background(), x, y)
		if err != nil {
			t.Fatal(err)
		}
		if got == nil {
			if want >= 0 {
				t.Fatalf("found nothing, want %d", want)
			}
			return
		}
		if got.Index != want || (got.A == nil) != (want >= int64(len(a))) || (got.B == nil) != (want >= int64(len(b))) {
			t.Fatalf("found %+v, want %d", got, want)
		}
		if got.A != nil && *got.A != a[want] || got.B != nil && *got.B != b[want] {
			t.Fatalf("found %+v, want entry %d", got, want)
		}
		limit := 1
		for 1<<(limit-1) < max(len(a), len(b)) {
			limit++
		}
		if got.Rounds > limit {
			t.Fatalf("%d rounds for %d and %d entries", got.Rounds, len(a), len(b))
		}
	})
}

// liar is a party that shows another hash or entry than it published.
type liar struct {
	*Trace
	level int // 0: the entry
}

func (l liar) Children(ctx context.Context, level int, i int64) (a, b digest.Digest, err error) {
	a, b, err = l.Trace.Children(ctx, level, i)
	if level == l.level {
		a[5] ^= 1
	}
	return a, b, err
}

func (l liar) Entry(ctx context.Context, i int64) (Entry, error) {
	e, err := l.Trace.Entry(ctx, i)
	if l.level == 0 {
		e.Digest[5] ^= 1
	}
	return e, err
}

func TestLiesAreSeen(t *testing.T) {
	_, _, a, err := read(golden(t))
	if err != nil {
		t.Fatal(err)
	}
	b := append([]Entry(nil), a...)
	b[4].Digest[9] ^= 1
	for level := range 4 {
		var lie *LieError
		if _, err := Find(context.Background(), New(a), liar{New(b), level}); !errors.As(err, &lie) || lie.Party != "b" {
			t.Errorf("a lie at level %d: %v", level, err)
		}
		if _, err := Find(context.Background(), liar{New(a), level}, New(b)); !errors.As(err, &lie) || lie.Party != "a" {
			t.Errorf("a lie at level %d: %v", level, err)
		}
	}
	if _, err := Find(context.Background(), New(a), New(nil)); err == nil {
		t.Error("an empty trace is a party")
	}
}

func FuzzRead(f *testing.F) {
	file := golden(f)
	f.Add(file)
	f.Add(file[:300])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, _, entries, err := read(b)
		if err == nil && !bytes.Equal(write(t, h, entries), b) {
			t.Errorf("%q is read, but not what is written", b)
		}
	})
}

func FuzzParseEntry(f *testing.F) {
	for line := range bytes.Lines(golden(f)) {
		f.Add(bytes.TrimSuffix(line, []byte("\n")))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := ParseEntry(b); err == nil && !bytes.Equal(e.Append(nil), b) {
			t.Errorf("%q is read, but not what is written", b)
		}
	})
}
