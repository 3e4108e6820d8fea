package runlog

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/merkle"
)

// The files of a log.
const (
	ManifestName = "manifest.json"
	LogName      = "log"
	HeadsName    = "heads"
)

// Options say how a log is written.
type Options struct {
	// FS is the file system, nil the machine's.
	FS durable.FS
	// Now is the clock, nil the machine's.
	Now func() time.Time
	// Interval is how much time of the log passes before a head is signed by
	// itself; 0 means that only Sign and Close sign.
	Interval time.Duration
}

func (o *Options) settle() {
	if o.FS == nil {
		o.FS = durable.OS
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// Writer appends to a log. It may be used from several goroutines.
//
// After Append returns, the entry survives the death of the process; after Sign
// returns, all entries before survive the death of the machine. When a write
// fails, the entry may or may not be there, and the Writer refuses to go on:
// [Open] finds what is there and continues after it.
type Writer struct {
	mu    sync.Mutex
	opts  Options
	key   *Key
	lock  *durable.Lock
	log   durable.File
	heads durable.File
	tree  merkle.Frontier[tlog.Hash]
	head  int64 // leaves of the last head
	at    int64 // time of the last head
	time  int64 // time of the last entry
	clock int64 // the clock when it was written, which may have gone back
	buf   []byte
	err   error
}

// Create starts a log in a directory that must be absent or empty. It sets
// Format and Signer of the manifest. The directory appears with its manifest
// and the first head, or not at all.
func Create(dir string, m *record.Manifest, key *Key, o Options) (*Writer, error) {
	o.settle()
	m.Format, m.Signer = record.Format, key.Verifier()
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("runlog: manifest: %w", err)
	}
	text, err := record.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("runlog: manifest: %w", err)
	}
	w := &Writer{opts: o, key: key}
	w.tree.Add(tlog.RecordHash(text))
	head, err := key.sign(&w.tree, 0)
	if err != nil {
		return nil, err
	}
	d, err := durable.NewDir(o.FS, dir)
	if err != nil {
		return nil, fmt.Errorf("runlog: %w", err)
	}
	defer d.Abort()
	for _, f := range []struct {
		name string
		data []byte
	}{{ManifestName, append(text, '\n')}, {LogName, nil}, {HeadsName, head.Note}} {
		if err := d.WriteFile(f.name, f.data); err != nil {
			return nil, fmt.Errorf("runlog: %w", err)
		}
	}
	if err := d.Commit(); err != nil {
		return nil, fmt.Errorf("runlog: %w", err)
	}
	w.head = 1
	w.at = o.Now().UnixMilli()
	if err := w.open(dir, 0, int64(len(head.Note))); err != nil {
		return nil, err
	}
	return w, nil
}

// Open continues the log of a directory. It reads and checks all of it, calling
// visit, if not nil, for each entry; cuts off what was not written completely;
// and appends to the same tree. The key must be the one that signed so far.
func Open(dir string, key *Key, o Options, visit func(*record.Entry) error) (*Writer, error) {
	o.settle()
	lock, err := durable.Acquire(dir)
	if err != nil {
		return nil, fmt.Errorf("runlog: %w", err)
	}
	w := &Writer{opts: o, key: key, lock: lock}
	r, err := OpenReader(dir, Trust{Verifier: key.Verifier()})
	if err != nil {
		lock.Release()
		return nil, err
	}
	defer r.Close()
	if err := r.each(visit); err != nil {
		lock.Release()
		return nil, fmt.Errorf("runlog: %s: %w", dir, err)
	}
	w.tree = r.tree
	w.head = r.summary.Signed
	w.time, w.clock, w.at = r.time, r.time, r.time
	if err := w.open(dir, r.size, r.heads.good); err != nil {
		return nil, err
	}
	return w, nil
}

// open opens the files for appending after the given sizes.
func (w *Writer) open(dir string, log, heads int64) (err error) {
	defer func() {
		if err != nil {
			w.err = err
			w.release()
		}
	}()
	if w.lock == nil {
		if w.lock, err = durable.Acquire(dir); err != nil {
			return fmt.Errorf("runlog: %w", err)
		}
	}
	if w.log, err = w.opts.FS.Append(filepath.Join(dir, LogName), log); err != nil {
		return fmt.Errorf("runlog: %w", err)
	}
	if w.heads, err = w.opts.FS.Append(filepath.Join(dir, HeadsName), heads); err != nil {
		return fmt.Errorf("runlog: %w", err)
	}
	return nil
}

// Append writes an entry with the time of now and returns it. A body that
// contradicts itself is refused and changes nothing. When the clock has gone
// back, a note says so first, and times stand still until it has caught up.
func (w *Writer) Append(body record.Body) (*record.Entry, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.opts.Now().UnixMilli()
	if now < w.clock {
		text := fmt.Sprintf("the clock went back by %d ms", w.clock-now)
		if _, err := w.append(&record.Note{Text: text}, w.time); err != nil {
			return nil, err
		}
	}
	w.clock = now
	e, err := w.append(body, max(now, w.time))
	if err != nil {
		return nil, err
	}
	if w.opts.Interval > 0 && time.Duration(e.Time-w.at)*time.Millisecond >= w.opts.Interval {
		return e, w.sign()
	}
	return e, nil
}

func (w *Writer) append(body record.Body, ms int64) (*record.Entry, error) {
	if w.err != nil {
		return nil, w.err
	}
	e := record.NewEntry(w.tree.Size(), ms, body)
	if err := e.Check(); err != nil {
		return nil, fmt.Errorf("runlog: entry %d: %w", e.Index, err)
	}
	line, err := record.Append(w.buf[:0], e)
	if err != nil {
		return nil, fmt.Errorf("runlog: entry %d: %w", e.Index, err)
	}
	h := tlog.RecordHash(line)
	w.buf = append(line, '\n')
	if _, err := w.log.Write(w.buf); err != nil {
		return nil, w.broken(err)
	}
	w.tree.Add(h)
	w.time = ms
	return e, nil
}

// broken makes the Writer refuse to go on.
func (w *Writer) broken(err error) error {
	w.err = fmt.Errorf("runlog: after %d entries: %w: the log is complete up to there and can be opened again", w.tree.Size()-1, err)
	return w.err
}

// Sign waits until all entries are on the disk and signs a head over them, if
// there is none yet.
func (w *Writer) Sign() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sign()
}

func (w *Writer) sign() error {
	if w.err != nil {
		return w.err
	}
	if w.head == w.tree.Size() {
		return nil
	}
	// The log first: no head may name an entry that a power failure can take.
	if err := w.log.Sync(); err != nil {
		return w.broken(err)
	}
	h, err := w.key.sign(&w.tree, w.head)
	if err != nil {
		return w.broken(err)
	}
	if _, err := w.heads.Write(h.Note); err != nil {
		return w.broken(err)
	}
	if err := w.heads.Sync(); err != nil {
		return w.broken(err)
	}
	w.head, w.at = w.tree.Size(), w.time
	return nil
}

// Size returns the number of leaves: the manifest and the entries.
func (w *Writer) Size() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tree.Size()
}

// Close signs a last head and closes the log. Closing again does nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lock == nil {
		return nil
	}
	err := errors.Join(w.sign(), w.release())
	if w.err == nil {
		w.err = errors.New("runlog: the log is closed")
	}
	return err
}

// release closes what is open.
func (w *Writer) release() error {
	var errs []error
	for _, f := range []durable.File{w.log, w.heads} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	w.log, w.heads = nil, nil
	w.lock.Release()
	w.lock = nil
	return errors.Join(errs...)
}
