package attest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/report/record"
)

// publish copies a model, comparing its files on the way, and adds the documents
// where whoever gets the model finds them. The directory is whole or absent.
func publish(ctx context.Context, o *Options, files []file, docs map[string][]byte) error {
	free := ignorePaths(files)
	for _, name := range ignored {
		if !slices.Contains(free, name) {
			return fmt.Errorf("publish: the model has a %s of its own", name)
		}
	}
	if err := compareNames(o.Model, files); err != nil {
		return err
	}
	d, err := durable.NewDir(o.FS, o.Publish)
	if err != nil {
		return err
	}
	defer d.Abort()
	made := map[string]bool{".": true}
	for _, f := range files {
		if err := makeParents(d, f.name, made); err != nil {
			return err
		}
		if err := copyFile(ctx, d, o.Model, f); err != nil {
			return err
		}
	}
	if err := d.Mkdir(Dir); err != nil {
		return err
	}
	for _, name := range sortedKeys(docs) {
		if err := d.WriteFile(filepath.Join(Dir, name), docs[name]); err != nil {
			return err
		}
	}
	if err := d.WriteFile(cardName, docs[cardName]); err != nil {
		return err
	}
	return d.Commit()
}

// makeParents makes the directories of a name that are not made yet.
func makeParents(d *durable.Dir, name string, made map[string]bool) error {
	parts := strings.Split(path.Dir(name), "/")
	for i := range parts {
		dir := path.Join(parts[:i+1]...)
		if made[dir] {
			continue
		}
		if err := d.Mkdir(filepath.FromSlash(dir)); err != nil {
			return err
		}
		made[dir] = true
	}
	return nil
}

// copyFile copies a file of a model and refuses what is not its content.
func copyFile(ctx context.Context, d *durable.Dir, model string, f file) error {
	in, err := os.Open(filepath.Join(model, filepath.FromSlash(f.name)))
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := d.Create(filepath.FromSlash(f.name))
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(out, h)}, &contextReader{ctx, in}, make([]byte, 1<<20))
	if err != nil {
		out.Discard()
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	got, err := record.NewDigest("sha256", h.Sum(nil))
	if want := record.Digest("sha256:" + f.digest); err == nil && got != want {
		err = fmt.Errorf("%s: %.120q has digest %s, the run exported %s", model, f.name, got, want)
	}
	return err
}

// contextReader reads until the context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
