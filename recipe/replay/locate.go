package replay

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/verify"
)

// Missing is something that a replay needs and that is not at hand, or is at
// hand and is not what the run used. It says nothing about the run.
type Missing struct{ Err error }

func (e *Missing) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *Missing) Unwrap() error { return e.Err }

func missing(format string, args ...any) error {
	return &Missing{fmt.Errorf(format, args...)}
}

// locator finds on this machine the files that a recipe names, and holds each
// against the digest that the manifest has of it before anyone reads it.
type locator struct {
	roots []string      // folders to look in, in order
	model string        // the base model's directory, empty to look for it
	base  string        // the recipe's own spelling of it, if it loads one
	init  string        // and of the architecture, if it initialises one
	teach []string      // and of teachers' directories
	files []record.File // of the manifest
	found map[string]string
	sums  map[string]record.Digest // of files at hand, by path
}

func newLocator(m *record.Manifest, r *recipe.Recipe, roots []string, model string) *locator {
	l := &locator{
		roots: roots, model: model, base: r.Model.Load, init: r.Model.Init, files: m.Data,
		found: map[string]string{}, sums: map[string]record.Digest{},
	}
	for i := range r.Stages {
		if c := r.Stages[i].Teaching(); c != nil {
			for _, t := range c.Teachers {
				l.teach = append(l.teach, t.Load)
			}
		}
	}
	return l
}

// variables are the ${NAME} of recipes' paths.
var variables = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// path returns where the file or directory is that the recipe calls name.
func (l *locator) path(name string) (string, error) {
	if at, ok := l.found[name]; ok {
		return at, nil
	}
	at, err := l.look(name)
	if err == nil {
		l.found[name] = at
	}
	return at, err
}

func (l *locator) look(name string) (string, error) {
	if l.base != "" && name == l.base {
		return l.directory(name)
	}
	if l.init != "" && name == l.init { // the manifest has its content
		return l.first(name, func(at string) error {
			_, err := os.Stat(at)
			return err
		})
	}
	if slices.Contains(l.teach, name) {
		return l.teacher(name)
	}
	f := l.recorded(name)
	if f == nil {
		return "", fmt.Errorf("%w: the recipe reads %q, of which the manifest has no digest", verify.ErrState, name)
	}
	return l.first(name, func(at string) error { return l.same(at, f) })
}

// directory returns where the base model is; its tensors are held against the
// manifest when they are loaded.
func (l *locator) directory(name string) (string, error) {
	if l.model != "" {
		if err := isDirectory(l.model); err != nil {
			return "", missing("base model %s: %w", l.model, err)
		}
		return l.model, nil
	}
	at, err := l.first(name, isDirectory)
	if err != nil {
		return "", missing("base model: %w: give its directory with --model", err)
	}
	return at, nil
}

// teacher returns where a teacher is; its parameters are held against the record when
// it is loaded.
func (l *locator) teacher(name string) (string, error) {
	at, err := l.first(name, isDirectory)
	if err != nil {
		return "", missing("teacher: %w", err)
	}
	return at, nil
}

func isDirectory(at string) error {
	info, err := os.Stat(at)
	if err == nil && !info.IsDir() {
		err = errors.New("no directory")
	}
	return err
}

// first returns the first candidate for name that check accepts. What is there
// and is refused is named before what is not there.
func (l *locator) first(name string, check func(at string) error) (string, error) {
	var refused error
	all := l.candidates(name)
	for _, at := range all {
		err := check(at)
		if err == nil {
			return at, nil
		}
		if refused == nil && !errors.Is(err, os.ErrNotExist) {
			refused = missing("%s: %w", at, err)
		}
	}
	if refused != nil {
		return "", refused
	}
	return "", missing("%s is not here: looked for %s: give its folder with --data", name, strings.Join(all, ", "))
}

// candidates lists where name may be: where it says, and under each folder,
// with its own folders and without.
func (l *locator) candidates(name string) []string {
	var all []string
	add := func(at string) {
		if !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	expanded, ok := name, true
	expanded = variables.ReplaceAllStringFunc(expanded, func(ref string) string {
		value, set := os.LookupEnv(ref[2 : len(ref)-1])
		ok = ok && set
		return value
	})
	if ok && filepath.IsAbs(expanded) {
		add(filepath.Clean(expanded))
	}
	plain := variables.ReplaceAllString(name, "")
	for _, root := range l.roots {
		// Joined to "/" first, so that no ".." leaves the folder.
		add(filepath.Join(root, filepath.Join("/", plain)))
		if ok && !filepath.IsAbs(expanded) {
			add(filepath.Join(root, expanded))
		}
		add(filepath.Join(root, filepath.Base(plain)))
	}
	return all
}

// recorded returns the manifest's file of a name, nil without one.
func (l *locator) recorded(name string) *record.File {
	for i := range l.files {
		if l.files[i].Path == name {
			return &l.files[i]
		}
	}
	return nil
}

// same refuses a file that is not what the manifest says.
func (l *locator) same(at string, f *record.File) error {
	info, err := os.Stat(at)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("no file")
	}
	if info.Size() != f.Bytes {
		return fmt.Errorf("%d bytes, the run read %d of %s: it was changed", info.Size(), f.Bytes, f.Path)
	}
	sum, ok := l.sums[at]
	if !ok {
		if sum, err = fileDigest(at); err != nil {
			return err
		}
		l.sums[at] = sum
	}
	if sum != f.Digest {
		return fmt.Errorf("digest %s, the run read %s of %s: it was changed", sum, f.Digest, f.Path)
	}
	return nil
}

// fileDigest returns the SHA-256 of a file's bytes.
func fileDigest(name string) (record.Digest, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return record.NewDigest("sha256", h.Sum(nil))
}
