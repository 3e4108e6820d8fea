package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/report/record"
)

// The files of a run directory beside its record.
const (
	recipeFile    = "recipe.yaml"
	tokenizerFile = "tokenizer.json"
	modelDir      = "model"
)

// files compares the files that a record names with their digests.
type files struct {
	root *directory
	log  *Log
	f    *finding

	same, gone, checkpoints, absent, states int
	bytes                                   int64
}

// checkFiles compares every file that is still there. One that is gone is no
// fraud: old checkpoints are removed, and a model may be kept elsewhere.
func checkFiles(root *directory, l *Log, f *finding) {
	c := &files{root: root, log: l, f: f}
	c.recipe()
	c.file(tokenizerFile, l.Manifest.Tokenizer, 0)
	seen := map[string]bool{}
	for i := range l.Checkpoints {
		k := &l.Checkpoints[i]
		if seen[k.Path] {
			f.fail(k.Index, "entry %d: checkpoint %.200s was named before", k.Index, k.Path)
			continue
		}
		seen[k.Path] = k.Path != ""
		c.checkpoint(k)
	}
	for i := range l.Stages {
		s := &l.Stages[i]
		c.reference(s.Index, &s.Stage)
		c.anchor(s)
	}
	c.rounds()
	if l.End != nil {
		for _, name := range slices.Sorted(maps.Keys(l.End.Export)) {
			c.file(modelDir+"/"+name, l.End.Export[name], l.EndIndex)
		}
		c.strangers(l.End.Export)
	}
	text := fmt.Sprintf("%s and %s, %s, have the digests on record, and so do %s that they hold", many(c.same, "file"), many(c.checkpoints, "checkpoint"), many(c.bytes, "byte"), many(c.states, "state"))
	if c.absent > 0 {
		text += fmt.Sprintf("; no longer there: %s", many(c.absent, "checkpoint"))
		l.notChecked("%d of %s, no longer there: no replay can begin at them", c.absent, many(len(l.Checkpoints), "checkpoint"))
	}
	f.saw("%s", text)
}

// strangers looks for files of the model that the record does not name: who
// loads the model may run them.
func (c *files) strangers(named map[string]record.Digest) {
	if len(named) == 0 {
		return
	}
	_ = fs.WalkDir(c.root.FS(), modelDir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return fs.SkipDir // what is named has been read
		}
		if rel, ok := strings.CutPrefix(name, modelDir+"/"); ok && !d.IsDir() && named[rel] == "" {
			c.f.skip(c.log.EndIndex, "%.200q is in the model and not on record", name)
		}
		return nil
	})
}

// recipe compares the recipe beside the record with that in the manifest.
func (c *files) recipe() {
	f, err := openFile(c.root, recipeFile)
	if errors.Is(err, fs.ErrNotExist) {
		c.log.notChecked("%s, which is not there: the manifest has its text", recipeFile)
		return
	}
	var text []byte
	if err == nil {
		text, err = io.ReadAll(io.LimitReader(f, record.MaxManifest+1))
		f.Close()
	}
	switch {
	case err != nil:
		c.f.fail(0, "%v", err)
	case !bytes.Equal(text, []byte(c.log.Manifest.Recipe)):
		c.f.fail(0, "%s is not the recipe in the manifest", recipeFile)
	default:
		c.same++
	}
}

// file compares the SHA-256 of a file with what an entry says.
func (c *files) file(name string, want record.Digest, index int64) {
	if want == "" {
		return
	}
	if !filepath.IsLocal(name) {
		c.f.fail(index, "%.200q leads out of the run directory", name)
		return
	}
	got, n, err := hashFile(c.root, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.gone++
		c.f.skip(index, "%.200s, which entry %d names, is not there", name, index)
	case err != nil:
		c.f.fail(index, "%v", err)
	case got != want:
		c.f.fail(index, "%.200s has digest %s, entry %d says %s", name, got, index, want)
	default:
		c.same++
		c.bytes += n
	}
}

// reference compares the cache of a stage's reference with its digest. Without it
// the stage can still be replayed from its beginning.
func (c *files) reference(index int64, s *record.Stage) {
	name := record.ReferencePath(s.Stage, s.Name)
	if _, err := c.root.Stat(name); s.Reference != "" && filepath.IsLocal(name) && errors.Is(err, fs.ErrNotExist) {
		c.log.notChecked("%.200s, which is not there: stage %d can be replayed from its beginning only", name, s.Stage)
		return
	}
	c.file(name, s.Reference, index)
}

// anchor compares the weights that a stage keeps its policy near. Without them its
// rounds can still be sampled again from its beginning.
func (c *files) anchor(s *Stage) {
	name := record.AnchorPath(s.Stage.Stage, s.Name)
	if s.Anchor == "" || !filepath.IsLocal(name) {
		return
	}
	entries, err := fs.ReadDir(c.root.FS(), name)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	saves := 0
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), "save-") {
			continue
		}
		saves++
		at := &Checkpoint{record.Checkpoint{Path: path.Join(name, e.Name()), Parameters: s.Anchor}, s.Index}
		n, compared, err := checkSave(c.root, at, claims{})
		if err != nil {
			c.f.fail(s.Index, "%.200s: %v", at.Path, err)
			return
		}
		c.states += compared
		c.bytes += n
	}
	if err != nil {
		c.f.fail(s.Index, "%.200s: %v", name, err)
	} else if saves == 0 {
		c.log.notChecked("%.200s, which holds no weights: stage %d can be replayed from its beginning only", name, s.Stage.Stage)
	}
}

// hashFile streams a file.
func hashFile(root *directory, name string) (record.Digest, int64, error) {
	f, err := openFile(root, name)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.CopyBuffer(h, struct{ io.Reader }{f}, make([]byte, 1<<20))
	if err != nil {
		return "", n, err
	}
	d, err := record.NewDigest("sha256", h.Sum(nil))
	return d, n, err
}

// checkpoint compares a save with its entry.
func (c *files) checkpoint(k *Checkpoint) {
	if k.Path == "" {
		return
	}
	if !filepath.IsLocal(k.Path) {
		c.f.fail(k.Index, "entry %d: checkpoint %.200q leads out of the run directory", k.Index, k.Path)
		return
	}
	if _, err := c.root.Stat(k.Path); errors.Is(err, fs.ErrNotExist) {
		c.absent++
		return
	}
	said, err := c.claims(k)
	var n int64
	var compared int
	if err == nil {
		n, compared, err = checkSave(c.root, k, said)
	}
	if err != nil {
		c.f.fail(k.Index, "entry %d: checkpoint %.200s: %v", k.Index, k.Path, err)
		return
	}
	c.checkpoints++
	c.states += compared
	c.bytes += n
}

// claims are what the record says of a checkpoint's state.
func (c *files) claims(k *Checkpoint) (said claims, err error) {
	p := Position{k.Stage, k.Checkpoint.Step - 1}
	if p.Step < 0 || p.Step >= c.log.Taken(p.Stage) {
		return said, nil
	}
	said.period = c.log.Manifest.DigestPeriod
	if said.step, _, err = c.log.Step(p); err != nil || c.log.arithmetic.config == nil {
		return said, err
	}
	for _, t := range c.log.arithmetic.config.Tensors() {
		if t.Role == arch.GateBias {
			said.biases = append(said.biases, t.Name)
		}
	}
	return said, nil
}

// recordDir is where a run directory has its record.
const recordDir = "record"

// openFile opens a regular file below root for reading. A name that leads out
// of root, a directory, a pipe or a device is an error; nothing is waited for.
func openFile(root *directory, name string) (*file, error) {
	f, err := root.OpenFile(path.Clean(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%.200q is no regular file", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &file{f, root.ctx}, nil
}

// directory is a run directory that is read until a context ends.
type directory struct {
	*os.Root
	ctx context.Context
}

// file is one of its files. Once the context has ended, reads fail.
type file struct {
	*os.File
	ctx context.Context
}

func (f *file) Read(b []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	return f.File.Read(b)
}

func (f *file) ReadAt(b []byte, at int64) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, at)
}
