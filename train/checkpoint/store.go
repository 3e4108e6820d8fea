package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/temper-ml/temper/internal/durable"
)

// ErrNone is returned when a store holds no save at all.
var ErrNone = errors.New("no checkpoint")

// Options tune a [Store]. The zero value keeps two saves, in files of 1 GiB.
type Options struct {
	FS      durable.FS // where to write; nil = durable.OS
	Keep    int        // saves to keep, the newest ones
	MaxFile int64      // bytes of data per file, about
	// KeepEvery keeps saves of steps that are a multiple of it as well; 0 = none.
	KeepEvery int64
}

// Store is a directory of saves, held by this process alone. Its methods must
// not be called from several goroutines at once.
type Store struct {
	dir  string
	opt  Options
	lock *durable.Lock
}

// OpenStore claims the directory, making it if necessary. If another process has
// it the error wraps durable.ErrLocked.
func OpenStore(dir string, o Options) (*Store, error) {
	if o.FS == nil {
		o.FS = durable.OS
	}
	if o.Keep == 0 {
		o.Keep = 2
	}
	if o.MaxFile == 0 {
		o.MaxFile = 1 << 30
	}
	if o.Keep < 1 || o.MaxFile < 1 {
		return nil, fmt.Errorf("checkpoint: keep %d saves in files of %d bytes, want at least 1 of each", o.Keep, o.MaxFile)
	}
	if o.KeepEvery < 0 {
		return nil, fmt.Errorf("checkpoint: keep saves of every %d steps, want at least 0", o.KeepEvery)
	}
	lock, err := durable.Acquire(dir)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return &Store{dir, o, lock}, nil
}

// Close gives the directory up.
func (s *Store) Close() { s.lock.Release() }

// Load fills the tensors from the newest undamaged save; see [Load].
func (s *Store) Load(want []Tensor) (*Loaded, error) { return Load(s.dir, want) }

// Entry is one save of a store.
type Entry struct {
	Path   string
	Number int   // of the save; the newest has the highest
	Step   int64 // of training
}

var entryName = regexp.MustCompile(`^save-([0-9]{6,12})-step-([0-9]{10,18})$`)

func nameOf(number int, step int64) string {
	return fmt.Sprintf("save-%06d-step-%010d", number, step)
}

// List returns the saves of a directory, newest first, without looking inside. A
// directory that does not exist has none.
func List(dir string) ([]Entry, error) {
	names, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	var out []Entry
	for _, n := range names {
		m := entryName.FindStringSubmatch(n.Name())
		if m == nil || !n.IsDir() {
			continue
		}
		number, _ := strconv.Atoi(m[1]) // at most 12 digits
		step, _ := strconv.ParseInt(m[2], 10, 64)
		out = append(out, Entry{filepath.Join(dir, n.Name()), number, step})
	}
	slices.SortFunc(out, func(a, b Entry) int { return cmp.Compare(b.Number, a.Number) })
	return out, nil
}

// Prune removes what Save would remove after it.
func (s *Store) Prune() error { return s.prune() }

// prune removes all saves but the newest and those that are kept for good. Each is first renamed, so that a crash
// half-way through leaves nothing that looks like a save.
func (s *Store) prune() error {
	entries, err := List(s.dir)
	if err != nil || len(entries) <= s.opt.Keep {
		return err
	}
	seen := map[int64]bool{} // steps that a newer save is of
	for i, e := range entries {
		again := seen[e.Step]
		seen[e.Step] = true
		if i < s.opt.Keep || s.opt.KeepEvery > 0 && e.Step%s.opt.KeepEvery == 0 && !again {
			continue
		}
		trash := filepath.Join(s.dir, stalePrefix+"tmp-"+filepath.Base(e.Path))
		if err := s.opt.FS.Rename(e.Path, trash); err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		if err := s.opt.FS.RemoveAll(trash); err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
	}
	return nil
}

// stalePrefix starts the names of directories that are on their way in or out.
const stalePrefix = ".save-"
