package data_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/source"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
)

// cacheFiles lists the finished cache files of a directory.
func cacheFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestCacheGivesTheSameExamples(t *testing.T) {
	for name, text := range map[string]string{
		"pairs.jsonl":      pairs(200),
		"prompts.jsonl":    "{\"prompt\": \"1+1\", \"answer\": 2}\n{\"prompt\": \"x\"}\n",
		"kto.jsonl":        `{"prompt": "u", "completion": "a", "label": true}`,
		"preference.jsonl": `{"prompt": "u", "chosen": "good", "rejected": "bad"}`,
		"text.txt":         "to be or not to be",
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, name, text)
			l := byteLoader(data.Options{})
			want, r := mustLoad(t, l, path)
			l.CacheDir = filepath.Join(t.TempDir(), "deep", "cache")
			first, r1 := mustLoad(t, l, path)
			second, r2 := mustLoad(t, l, path)
			if r1.FromCache || !r2.FromCache || r2.Rows != r.Rows || r2.Supervised != r.Supervised {
				t.Errorf("reports: %+v, then %+v", r1, r2)
			}
			if first.Digest() != want.Digest() || second.Digest() != want.Digest() || second.Kind() != want.Kind() {
				t.Error("the cache gives other examples than the file")
			}
			for i := range want.Len() {
				if second.Source(i) != want.Source(i) || second.Answer(i) != want.Answer(i) || second.Desirable(i) != want.Desirable(i) {
					t.Errorf("example %d: %v, want %v", i, second.Source(i), want.Source(i))
				}
			}
			if files := cacheFiles(t, l.CacheDir); len(files) != 1 {
				t.Errorf("the cache holds %v, want one file", files)
			}
		})
	}
}

// Whichever byte of a cache file is damaged, and wherever it is cut, the damage
// is seen and the file made again.
func TestDamagedCacheIsRebuilt(t *testing.T) {
	path := write(t, "a.jsonl", pairs(3))
	l := byteLoader(data.Options{})
	l.CacheDir = t.TempDir()
	want, _ := mustLoad(t, l, path)
	file := cacheFiles(t, l.CacheDir)[0]
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damage := func(what string, at int, bad []byte) {
		t.Helper()
		if err := os.WriteFile(file, bad, 0o666); err != nil {
			t.Fatal(err)
		}
		d, r := mustLoad(t, l, path)
		if r.FromCache {
			t.Errorf("%s at byte %d was not seen", what, at)
		}
		if d.Digest() != want.Digest() {
			t.Errorf("%s at byte %d: the rebuilt examples differ", what, at)
		}
		if again, err := os.ReadFile(file); err != nil || string(again) != string(good) {
			t.Errorf("%s at byte %d: the file was not made again (%v)", what, at, err)
		}
	}
	for at := 0; at < len(good); at += 1 + at/16 {
		bad := append([]byte(nil), good...)
		bad[at] ^= 1 << (at % 8)
		damage("a flipped bit", at, bad)
		damage("a cut", at, good[:at])
	}
	damage("a byte too many", len(good), append(append([]byte(nil), good...), 0))
}

func TestCacheKeyCoversWhatMatters(t *testing.T) {
	path := write(t, "a.jsonl", pairs(5))
	dir := t.TempDir()
	load := func(l *data.Loader, path string) {
		t.Helper()
		l.CacheDir = dir
		if _, r := mustLoad(t, l, path); r.FromCache {
			t.Errorf("a cache of something else was used")
		}
	}
	load(byteLoader(data.Options{}), path)
	load(byteLoader(data.Options{Turns: data.LastTurn}), path)
	load(byteLoader(data.Options{Source: source.Options{System: "s"}}), path)
	load(&data.Loader{Tokenizer: bpe, Encoding: chat.V4{}}, path)
	load(&data.Loader{Tokenizer: bpe, Encoding: chat.Plain{}}, path)
	load(byteLoader(data.Options{}), write(t, "b.jsonl", pairs(6)))
	if n := len(cacheFiles(t, dir)); n != 6 {
		t.Errorf("%d cache files, want 6", n)
	}
	l := byteLoader(data.Options{})
	l.CacheDir = dir
	if d, r := mustLoad(t, l, write(t, "renamed.jsonl", pairs(5))); !r.FromCache || filepath.Base(d.Source(0).File) != "renamed.jsonl" {
		t.Errorf("the same bytes under another name: from cache %t, source %v", r.FromCache, d.Source(0))
	}
}

func TestCacheByManyAtOnce(t *testing.T) {
	path := write(t, "a.jsonl", pairs(100))
	dir := t.TempDir()
	want, _ := mustLoad(t, byteLoader(data.Options{}), path)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			l := byteLoader(data.Options{})
			l.CacheDir = dir
			d, _, err := l.Load(t.Context(), path)
			if err != nil {
				t.Error(err)
			} else if d.Digest() != want.Digest() {
				t.Error("other examples")
			}
		})
	}
	wg.Wait()
	if files := cacheFiles(t, dir); len(files) != 1 {
		t.Errorf("the cache holds %v, want one file", files)
	}
}

func TestCacheDirectoryThatCannotBe(t *testing.T) {
	l := byteLoader(data.Options{})
	l.CacheDir = filepath.Join(write(t, "file", "x"), "cache")
	if _, _, err := l.Load(t.Context(), write(t, "a.jsonl", pairs(1))); err == nil {
		t.Error("a cache directory below a file was accepted")
	}
}

// Each call of writing fails in turn: it did not happen, it happened and the
// reply was lost, or the process died there and the power went. Loading says
// so, and the next load gives the right examples.
func TestCacheSurvivesEveryFailure(t *testing.T) {
	path := write(t, "a.jsonl", pairs(20))
	want, _ := mustLoad(t, byteLoader(data.Options{}), path)
	for _, mode := range []struct{ Lost, Dead bool }{{}, {Lost: true}, {Dead: true}, {Lost: true, Dead: true}} {
		for at := 1; ; at++ {
			dir := filepath.Join(t.TempDir(), "cache")
			fs := &durabletest.Faulty{FS: durable.OS, FailAt: at, Lost: mode.Lost, Dead: mode.Dead}
			l := byteLoader(data.Options{})
			l.CacheDir, l.FS = dir, fs
			_, _, err := l.Load(t.Context(), path)
			if fs.Calls() < at {
				if err != nil || at < 5 {
					t.Fatalf("after %d calls: %v", fs.Calls(), err)
				}
				break
			}
			if err == nil {
				t.Errorf("call %d failed (%v) and the load did not say so", at, fs.Log())
			}
			if mode.Dead {
				if err := fs.PowerCut(); err != nil {
					t.Fatal(err)
				}
			}
			l.FS = nil
			d, _, err := l.Load(t.Context(), path)
			if err != nil || d.Digest() != want.Digest() {
				t.Errorf("after call %d failed (%v): %v, or other examples", at, fs.Log(), err)
			}
		}
	}
}
