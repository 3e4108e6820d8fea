package attest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/temper-ml/temper/report/record"
)

// file is a file of the exported model.
type file struct {
	name   string // relative to the model directory, with slashes
	digest string // SHA-256, hexadecimal
}

// ignored are names in a model directory that are no part of the model: where a
// published model has the card and the attestations.
var ignored = []string{cardName, Dir}

// modelFiles returns the files that the record's end names, in the order of the
// public tool: by the names' parts between slashes, bytewise.
func modelFiles(export map[string]record.Digest) ([]file, error) {
	var files []file
	for _, name := range slices.Sorted(maps.Keys(export)) {
		sum, ok := strings.CutPrefix(string(export[name]), "sha256:")
		switch {
		case !fs.ValidPath(name) || name == ".":
			return nil, fmt.Errorf("end: export: %.120q is not a path within a directory", name)
		case !ok:
			return nil, fmt.Errorf("end: export: %.120q: digest %.40q, want sha256", name, export[name])
		}
		files = append(files, file{name, sum})
	}
	slices.SortStableFunc(files, func(a, b file) int {
		return slices.Compare(strings.Split(a.name, "/"), strings.Split(b.name, "/"))
	})
	return files, nil
}

// rootDigest is the digest of a model: SHA-256 of its files' digests, in order.
func rootDigest(files []file) (string, error) {
	h := sha256.New()
	for _, f := range files {
		sum, err := hex.DecodeString(f.digest)
		if err != nil {
			return "", fmt.Errorf("%.120q: digest %.80q: %w", f.name, f.digest, err)
		}
		h.Write(sum)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// ignorePaths are the ignored names that the model does not use itself.
func ignorePaths(files []file) []string {
	paths := slices.Clone(ignored)
	return slices.DeleteFunc(paths, func(p string) bool {
		return slices.ContainsFunc(files, func(f file) bool { return f.name == p || strings.HasPrefix(f.name, p+"/") })
	})
}

// compareFiles reads a model directory and refuses it if it is not, file by
// file, what is expected: files that changed, are missing, or are not named.
func compareFiles(ctx context.Context, dir string, want []file) error {
	if err := compareNames(dir, want); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	next := make(chan file)
	var wg sync.WaitGroup
	for range min(len(want), runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for f := range next {
				if err := compareFile(ctx, dir, f); err != nil {
					stop(err)
				}
			}
		})
	}
	for _, f := range want {
		select {
		case next <- f:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}

// compareNames refuses a directory with other files than those, and with what is
// neither file nor directory: a link may show other bytes to the next reader.
func compareNames(dir string, want []file) error {
	missing := map[string]bool{}
	for _, f := range want {
		missing[f.name] = true
	}
	ignore := ignorePaths(want)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		switch {
		case name == "." && !d.IsDir():
			return fmt.Errorf("%s is no directory", dir)
		case slices.Contains(ignore, name) && d.IsDir():
			return fs.SkipDir
		case d.IsDir() || slices.Contains(ignore, name):
			return nil
		case !d.Type().IsRegular():
			return fmt.Errorf("%s: %.120q is no regular file", dir, name)
		case !missing[name]:
			return fmt.Errorf("%s: %.120q is not among the files that the run exported", dir, name)
		}
		delete(missing, name)
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		return fmt.Errorf("%s: %.120q is missing (of %d files %d are)", dir, name, len(want), len(missing))
	}
	return nil
}

func compareFile(ctx context.Context, dir string, f file) error {
	got, err := digestContext(ctx, filepath.Join(dir, filepath.FromSlash(f.name)))
	if err != nil {
		return err
	}
	if want := record.Digest("sha256:" + f.digest); got != want {
		return fmt.Errorf("%s: %.120q has digest %s, the run exported %s", dir, f.name, got, want)
	}
	return nil
}

// digestContext digests a file until the context ends.
func digestContext(ctx context.Context, name string) (record.Digest, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, &contextReader{ctx, f}, make([]byte, 1<<20)); err != nil {
		return "", err
	}
	return record.NewDigest("sha256", h.Sum(nil))
}

// digestFile returns digest and size of a file.
func digestFile(name string) (record.Digest, int64, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", 0, err
	}
	d, err := digestContext(context.Background(), name)
	return d, info.Size(), err
}
