package execution

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/temper-ml/temper/report/record"
)

// hashed is what hashFiles finds of a file.
type hashed struct {
	digest record.Digest
	bytes  int64
}

// hashFiles streams files, as many at a time as there are processors, and
// returns their digests in the order given.
func hashFiles(ctx context.Context, names []string) ([]hashed, error) {
	out, errs := make([]hashed, len(names)), make([]error, len(names))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(names)) {
		wg.Go(func() {
			for i := range next {
				out[i].digest, out[i].bytes, errs[i] = hashFile(ctx, names[i])
			}
		})
	}
	for i := range names {
		next <- i
	}
	close(next)
	wg.Wait()
	return out, errors.Join(errs...)
}

// hashFile streams a file.
func hashFile(ctx context.Context, name string) (record.Digest, int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.CopyBuffer(h, untilCancelled{ctx, f}, make([]byte, 1<<20))
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w", name, err)
	}
	d, err := record.NewDigest("sha256", h.Sum(nil))
	return d, n, err
}

// untilCancelled reads until the context ends.
type untilCancelled struct {
	ctx context.Context
	r   io.Reader
}

func (u untilCancelled) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// hashDir returns the digest of every file below dir, by its path with slashes.
func hashDir(ctx context.Context, dir string) (map[string]record.Digest, error) {
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	hashes, err := hashFiles(ctx, names)
	digests := map[string]record.Digest{}
	for i, name := range names {
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return nil, err
		}
		digests[filepath.ToSlash(rel)] = hashes[i].digest
	}
	return digests, err
}
