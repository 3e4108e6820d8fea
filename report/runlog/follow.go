package runlog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/merkle"
)

// File is what a [Follower] reads, such as an os.File.
type File interface {
	io.ReaderAt
	Stat() (fs.FileInfo, error)
}

// maxOpen is how many entries may follow the last head of a log that is
// followed, 32 bytes each: a writer signs long before.
const maxOpen = 1 << 20

// Follower reads a log while it grows, and checks what a [Reader] checks. It
// keeps no file open and reads nothing twice but an entry that is not complete
// yet and the last head. Where a writer comes back after a crash and cuts off
// what was torn, the Follower goes on like it.
type Follower struct {
	// Manifest is leaf 0.
	Manifest record.Manifest

	trust    Trust
	heads    headReader
	head     *Head // the next one
	last     *Head // the last one that matched
	headAt   int64 // where head begins
	lastAt   int64 // where last begins
	tree     merkle.Frontier[tlog.Hash]
	signed   merkle.Frontier[tlog.Hash] // the tree under the last head
	open     []tlog.Hash                // of the leaves after it
	size     int64                      // bytes of the log that are complete entries
	time     int64
	torn     int64
	witness  int64
	matching int64 // heads that matched
	err      error
}

// NewFollower begins with a manifest, before any entry.
func NewFollower(manifest []byte, trust Trust) (*Follower, error) {
	f := &Follower{trust: trust}
	if err := readLeaf0(manifest, &f.Manifest); err != nil {
		return nil, &Error{File: ManifestName, Err: err}
	}
	v, known, err := trust.verifiers(f.Manifest.Signer)
	if err != nil {
		return nil, err
	}
	f.heads = headReader{v: v, known: known}
	return f, f.leaf(bytes.TrimSuffix(manifest, []byte("\n")))
}

// Poll reads what was added to the files since the last call, and about limit
// bytes of entries at most; it calls visit, if not nil, for each. more reports
// that it stopped for the limit. Errors are as those of [Reader.Next] and last,
// except [ErrTruncated] and failed reads: a file system may show a head before the
// entries under it, so a later call looks again. An error of visit ends the call and lasts.
func (f *Follower) Poll(log, heads File, limit int64, visit func(*record.Entry) error) (more bool, err error) {
	if f.err != nil {
		return false, f.err
	}
	more, err = f.poll(log, heads, limit, visit)
	var path *fs.PathError
	if err != nil && !errors.Is(err, ErrTruncated) && !errors.As(err, &path) {
		f.err = err
	}
	return more, err
}

func (f *Follower) poll(log, heads File, limit int64, visit func(*record.Entry) error) (more bool, err error) {
	info, err := log.Stat()
	if err != nil {
		return false, fmt.Errorf("runlog: %w", err)
	}
	if info.Size() < f.size {
		return false, f.refuse(fmt.Errorf("%w: %d bytes were read, %d are left", ErrTruncated, f.size, info.Size()))
	}
	if err := f.beginHeads(heads); err != nil {
		return false, err
	}
	// Heads first, as far as they go: what is under a head is in the log before it.
	if err := f.match(); err != nil {
		return false, err
	}
	r := bufio.NewReaderSize(section(log, f.size), 1<<16)
	for start := f.size; ; {
		if f.size-start >= limit {
			return true, nil
		}
		line, whole, err := readLine(r, record.MaxSize+1)
		if err != nil {
			return false, f.refuse(err)
		}
		if !whole || line[0] == 0 {
			return false, f.end(int64(len(line)))
		}
		if err := f.entry(line, visit); err != nil {
			return false, err
		}
	}
}

func section(r io.ReaderAt, from int64) io.Reader {
	return io.NewSectionReader(r, from, math.MaxInt64-from)
}

// beginHeads reads from the last head on: a witness may have signed it since.
func (f *Follower) beginHeads(heads File) error {
	f.heads.r = bufio.NewReader(section(heads, f.lastAt))
	f.heads.good, f.heads.torn, f.heads.last, f.head = f.lastAt, 0, 0, nil
	f.heads.count = max(f.matching-1, 0)
	if f.last == nil {
		return nil
	}
	f.heads.last = f.last.Previous
	again, err := f.heads.next()
	switch {
	case err != nil:
		return err
	case again == nil && f.heads.torn > 0: // a witness is signing
		return nil
	case again == nil:
		return &Error{HeadsName, f.matching - 1, fmt.Errorf("%w: the head of %d leaves that was here is gone", ErrTruncated, f.last.Size)}
	case again.Size != f.last.Size || again.Hash != f.last.Hash:
		return &Error{HeadsName, f.matching - 1, fmt.Errorf("%w: it is not the head of %d leaves that was here", ErrRewritten, f.last.Size)}
	case len(again.Signers) > 1:
		f.witness = again.Size
	}
	return nil
}

// entry takes the next line.
func (f *Follower) entry(line []byte, visit func(*record.Entry) error) error {
	text := line[:len(line)-1]
	e, err := readEntry(text, f.tree.Size(), f.time)
	if err != nil {
		return f.refuse(err)
	}
	if err := f.leaf(text); err != nil {
		return err
	}
	f.time, f.size = e.Time, f.size+int64(len(line))
	if err := f.match(); err != nil || visit == nil {
		return err
	}
	return visit(e)
}

// leaf adds a leaf and compares the tree with the given heads of its size.
func (f *Follower) leaf(text []byte) error {
	if f.head == nil && len(f.open) == maxOpen {
		return f.refuse(fmt.Errorf("more than %d entries after the last head: nothing says that they are what was written", maxOpen))
	}
	h := tlog.RecordHash(text)
	index := f.tree.Size()
	f.tree.Add(h)
	if f.head == nil { // else the head ahead covers it, and compares whole
		f.open = append(f.open, h)
	}
	for _, p := range f.trust.Heads {
		if p.Size == f.tree.Size() && p.Hash != f.tree.Root() {
			return &Error{LogName, index, fmt.Errorf("%w: up to here, it is not what the given head of %d leaves was signed of", ErrRewritten, p.Size)}
		}
	}
	return nil
}

// match compares heads with the leaves read so far, up to a head that is ahead.
func (f *Follower) match() error {
	for {
		at := f.heads.good
		if f.head == nil {
			var err error
			if f.head, err = f.heads.next(); err != nil || f.head == nil {
				return err
			}
			f.headAt = at
		}
		if f.head.Size > f.tree.Size() {
			return nil
		}
		hash, ok := f.under(f.head.Size)
		if !ok || hash != f.head.Hash {
			return &Error{LogName, f.head.Size - 1, fmt.Errorf("%w: up to here, it is not what head %d was signed of", ErrRewritten, f.matching)}
		}
		if len(f.head.Signers) > 1 {
			f.witness = f.head.Size
		}
		f.matching++
		f.last, f.lastAt, f.head = f.head, f.headAt, nil
	}
}

// under returns the hash of the first n leaves, which moves the signed tree
// there. It knows those from the last head on that no other head was ahead of.
func (f *Follower) under(n int64) (hash tlog.Hash, ok bool) {
	if n == f.tree.Size() {
		f.signed = f.tree.Clone()
		f.open = nil
		return f.tree.Root(), true
	}
	k := n - f.signed.Size()
	if k < 1 || f.signed.Size()+int64(len(f.open)) != f.tree.Size() {
		return hash, false
	}
	for _, h := range f.open[:k] {
		f.signed.Add(h)
	}
	f.open = slices.Clone(f.open[k:])
	return f.signed.Root(), true
}

// end is called where no complete entry follows.
func (f *Follower) end(torn int64) error {
	f.torn = torn
	expected := int64(0)
	if f.head != nil {
		expected = f.head.Size
	}
	for _, p := range f.trust.Heads {
		expected = max(expected, p.Size)
	}
	switch {
	case expected > f.tree.Size():
		return f.refuse(fmt.Errorf("%w: a head was signed of %d leaves, %d are left", ErrTruncated, expected, f.tree.Size()))
	case f.matching == 0:
		return &Error{File: HeadsName, Err: fmt.Errorf("%w: no complete head: nothing says that the log is what was written", ErrTruncated)}
	}
	return nil
}

func (f *Follower) refuse(err error) error { return &Error{LogName, f.tree.Size(), err} }

// Size returns how many bytes of the log are complete entries that were read.
func (f *Follower) Size() int64 { return f.size }

// Summary returns what was found so far.
func (f *Follower) Summary() Summary {
	s := Summary{Leaves: f.tree.Size(), Heads: f.matching, Torn: f.torn, TornHead: f.heads.torn, Witnessed: f.witness}
	if f.last != nil {
		s.Signed = f.last.Size
	}
	return s
}
