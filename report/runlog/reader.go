package runlog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/merkle"
)

// Error refuses a log.
type Error struct {
	File string // the file: [ManifestName], [LogName] or [HeadsName]
	// Index is the entry in the log, the manifest being 0; in the heads it is
	// the number of the head, from 0.
	Index int64
	Err   error // the reason
}

// Error returns file, index and reason.
func (e *Error) Error() string {
	switch e.File {
	case LogName:
		return fmt.Sprintf("%s: entry %d: %v", e.File, e.Index, e.Err)
	case HeadsName:
		return fmt.Sprintf("%s: head %d: %v", e.File, e.Index, e.Err)
	}
	return fmt.Sprintf("%s: %v", e.File, e.Err)
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// Reasons that a caller may want to tell apart, wrapped by an [Error].
var (
	// ErrTruncated: a head was signed of more entries than there are.
	ErrTruncated = errors.New("truncated")
	// ErrRewritten: the entries are not those that a head was signed of.
	ErrRewritten = errors.New("rewritten")
	// ErrKept: it is not the log that a head in [Trust] was signed of; comes
	// with one of the above.
	ErrKept = errors.New("another log than that of a given head")
	// ErrWrongKey: the log is signed by another key than the expected one.
	ErrWrongKey = errors.New("wrong key")
	// ErrNewer: a newer version of the format.
	ErrNewer = errors.New("another version of the format")
)

// Trust is what a reader believes from elsewhere. The zero Trust believes the
// key that the manifest names: the log is then known to be whole and unchanged
// since that key signed it, but not whose key it is.
type Trust struct {
	// Verifier is the verifier key that must have signed.
	Verifier string
	// Witnesses are verifier keys whose signatures are reported.
	Witnesses []string
	// Heads were obtained while the run lived; the log must contain them.
	Heads []*Head
}

// Summary is what a reader found, up to where it is.
type Summary struct {
	// Leaves are the manifest and the entries read.
	Leaves int64
	// Heads are those that matched, Signed the leaves that the last one covers.
	Heads, Signed int64
	// Torn are the bytes of a last entry, TornHead of a last head, that were
	// not written completely. They belong to nothing.
	Torn, TornHead int64
	// Witnessed are the leaves that the last head signed by a witness covers.
	Witnessed int64
}

// Place is where in the log an entry stands.
type Place struct {
	Offset int64
	Bytes  int // without the newline
	Hash   tlog.Hash
}

// Reader streams a log and checks its form as it goes: canonical bytes, numbers
// in sequence, times that do not go back, and at each head the hash of all
// before it and the signature. Memory does not grow with the log.
type Reader struct {
	// Manifest is leaf 0.
	Manifest record.Manifest

	log     *bufio.Reader
	heads   headReader
	head    *Head // the next one
	signed  *Head // the last one that matched
	pinned  []*Head
	tree    merkle.Frontier[tlog.Hash]
	proofs  *Tree
	summary Summary
	size    int64 // bytes of the log that are complete entries
	last    Place
	time    int64
	err     error
	closers []io.Closer
}

// OpenReader opens the log of a directory.
func OpenReader(dir string, trust Trust) (*Reader, error) {
	manifest, err := readManifest(filepath.Join(dir, ManifestName))
	if err != nil {
		return nil, err
	}
	log, err := os.Open(filepath.Join(dir, LogName))
	if err != nil {
		return nil, fmt.Errorf("runlog: %w", err)
	}
	heads, err := os.Open(filepath.Join(dir, HeadsName))
	if err != nil {
		log.Close()
		return nil, fmt.Errorf("runlog: %w", err)
	}
	r, err := NewReader(manifest, log, heads, trust)
	if err != nil {
		log.Close()
		heads.Close()
		return nil, fmt.Errorf("runlog: %s: %w", dir, err)
	}
	r.closers = []io.Closer{log, heads}
	return r, nil
}

// readManifest reads a file that is not longer than a manifest may be.
func readManifest(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("runlog: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, record.MaxManifest+2))
	if err != nil {
		return nil, fmt.Errorf("runlog: %w", err)
	}
	return b, nil
}

// NewReader reads a log from the contents of its files.
func NewReader(manifest []byte, log, heads io.Reader, trust Trust) (*Reader, error) {
	r := &Reader{log: bufio.NewReaderSize(log, 1<<16)}
	if err := readLeaf0(manifest, &r.Manifest); err != nil {
		return nil, &Error{File: ManifestName, Err: err}
	}
	v, known, err := trust.verifiers(r.Manifest.Signer)
	if err != nil {
		return nil, err
	}
	r.heads = headReader{r: bufio.NewReader(heads), v: v, known: known}
	r.pinned = append(r.pinned, trust.Heads...)
	if r.head, err = r.heads.next(); err != nil {
		return nil, err
	}
	if r.head == nil {
		return nil, &Error{File: HeadsName, Err: errors.New("no complete head: nothing says that the log is what was written")}
	}
	return r, r.leaf(bytes.TrimSuffix(manifest, []byte("\n")))
}

// verifiers are the key that must sign, which the manifest names, and all that
// are known.
func (t *Trust) verifiers(signer string) (note.Verifier, note.Verifiers, error) {
	if t.Verifier != "" && t.Verifier != signer {
		return nil, nil, &Error{File: ManifestName, Err: fmt.Errorf("signer: %w: %.120q, want %q", ErrWrongKey, signer, t.Verifier)}
	}
	v, err := note.NewVerifier(signer)
	if err != nil {
		return nil, nil, &Error{File: ManifestName, Err: fmt.Errorf("signer: %.120q: %w", signer, err)}
	}
	known := []note.Verifier{v}
	for _, w := range t.Witnesses {
		wv, err := note.NewVerifier(w)
		if err != nil {
			return nil, nil, fmt.Errorf("witness key %.120q: %w", w, err)
		}
		known = append(known, wv)
	}
	return v, note.VerifierList(known...), nil
}

// readLeaf0 reads and checks the manifest.
func readLeaf0(b []byte, m *record.Manifest) error {
	text, ended := bytes.CutSuffix(b, []byte("\n"))
	var version struct {
		Format string `json:"format"`
	}
	if json.Unmarshal(text, &version) == nil && version.Format != record.Format {
		return fmt.Errorf("format: %w: %.40q, this program reads %q", ErrNewer, version.Format, record.Format)
	}
	if err := record.Unmarshal(text, m); err != nil {
		return err
	}
	if !ended {
		return errors.New("no newline at its end")
	}
	return m.Check()
}

// Prove makes the reader add what it reads to t, which proofs can be made from
// afterwards. Call it before the first Next.
func (r *Reader) Prove(t *Tree) error {
	if r.tree.Size() != 1 {
		return errors.New("runlog: Prove after Next")
	}
	*t = Tree{}
	r.proofs = t
	return t.add(r.tree.Root())
}

// Next returns the next entry, and io.EOF after the last. Every other error is
// an [Error], or one of reading a file.
func (r *Reader) Next() (*record.Entry, error) {
	if r.err != nil {
		return nil, r.err
	}
	e, err := r.next()
	r.err = err
	return e, err
}

func (r *Reader) next() (*record.Entry, error) {
	line, whole, err := readLine(r.log, record.MaxSize+1)
	if err != nil {
		return nil, r.refuse(err)
	}
	if !whole || line[0] == 0 { // a disk that lost power may show zeros for what it did not write
		return nil, r.end(line, whole)
	}
	text := line[:len(line)-1]
	e, err := readEntry(text, r.tree.Size(), r.time)
	if err != nil {
		return nil, r.refuse(err)
	}
	r.time = e.Time
	if err := r.leaf(text); err != nil {
		return nil, err
	}
	r.last.Offset, r.last.Bytes = r.size, len(text)
	r.size += int64(len(line))
	return e, nil
}

// readEntry reads the entry that must have an index and not be before a time.
func readEntry(text []byte, index, time int64) (*record.Entry, error) {
	e := &record.Entry{}
	if err := record.Unmarshal(text, e); err != nil {
		return nil, err
	}
	if e.Index != index {
		return nil, fmt.Errorf("index is %d: entries are missing, repeated or out of order", e.Index)
	}
	if e.Time < time {
		return nil, fmt.Errorf("time is %d ms, the entry before has %d: the clock went back", e.Time, time)
	}
	return e, nil
}

func (r *Reader) refuse(err error) error { return &Error{LogName, r.tree.Size(), err} }

// leaf adds a leaf and compares the tree with the heads of its size.
func (r *Reader) leaf(text []byte) error {
	index := r.tree.Size()
	h := tlog.RecordHash(text)
	r.last.Hash = h
	r.tree.Add(h)
	r.summary.Leaves = r.tree.Size()
	if r.proofs != nil {
		if err := r.proofs.add(h); err != nil {
			return err
		}
	}
	for _, p := range r.pinned {
		if p.Size == r.tree.Size() && p.Hash != r.tree.Root() {
			return &Error{LogName, index, fmt.Errorf("%w: up to here, it is not what the given head of %d leaves was signed of: %w", ErrRewritten, p.Size, ErrKept)}
		}
	}
	if r.head == nil || r.head.Size != r.tree.Size() {
		return nil
	}
	if r.head.Hash != r.tree.Root() {
		return &Error{LogName, index, fmt.Errorf("%w: up to here, it is not what head %d was signed of", ErrRewritten, r.summary.Heads)}
	}
	if len(r.head.Signers) > 1 {
		r.summary.Witnessed = r.tree.Size()
	}
	r.summary.Heads++
	r.summary.Signed = r.tree.Size()
	r.signed = r.head
	var err error
	r.head, err = r.heads.next()
	return err
}

// end is called where no complete entry follows.
func (r *Reader) end(tail []byte, whole bool) error {
	torn := int64(len(tail))
	if whole {
		rest, err := io.Copy(io.Discard, r.log)
		if err != nil {
			return r.refuse(err)
		}
		torn += rest
	}
	r.summary.Torn, r.summary.TornHead = torn, r.heads.torn
	expected := int64(0)
	if r.head != nil {
		expected = r.head.Size
	}
	for _, p := range r.pinned {
		if p.Size > max(expected, r.tree.Size()) {
			return r.refuse(fmt.Errorf("%w: the given head was signed of %d leaves, %d are left: %w", ErrTruncated, p.Size, r.tree.Size(), ErrKept))
		}
	}
	if expected > r.tree.Size() {
		return r.refuse(fmt.Errorf("%w: a head was signed of %d leaves, %d are left", ErrTruncated, expected, r.tree.Size()))
	}
	return io.EOF
}

// Last returns the place of the entry that Next returned last.
func (r *Reader) Last() Place { return r.last }

// Summary returns what was found so far.
func (r *Reader) Summary() Summary { return r.summary }

// Head returns size and hash of the tree so far.
func (r *Reader) Head() (size int64, hash tlog.Hash) { return r.tree.Size(), r.tree.Root() }

// Signed returns the last head that matched, nil before the first: kept
// elsewhere, it makes a later rewriting of what it covers show.
func (r *Reader) Signed() *Head { return r.signed }

// Close closes the files.
func (r *Reader) Close() error {
	var errs []error
	for _, c := range r.closers {
		errs = append(errs, c.Close())
	}
	r.closers = nil
	return errors.Join(errs...)
}

// Read reads a log to its end and calls visit, if not nil, for each entry.
func Read(dir string, trust Trust, visit func(*record.Entry) error) (*record.Manifest, Summary, error) {
	r, err := OpenReader(dir, trust)
	if err != nil {
		return nil, Summary{}, err
	}
	defer r.Close()
	if err := r.each(visit); err != nil {
		return nil, r.summary, fmt.Errorf("runlog: %s: %w", dir, err)
	}
	return &r.Manifest, r.summary, nil
}

func (r *Reader) each(visit func(*record.Entry) error) error {
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && visit != nil {
			err = visit(e)
		}
		if err != nil {
			return err
		}
	}
}
