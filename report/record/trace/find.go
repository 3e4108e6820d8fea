package trace

import (
	"context"
	"errors"
	"fmt"
	"math/bits"

	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/report/record/merkle"
)

// Party is one side of a dispute about a step: it has published how many
// operators its trace has and their root, and shows parts of the tree when asked.
// [Trace] is one.
type Party interface {
	// Published returns the number of entries and the root.
	Published(ctx context.Context) (n int64, root digest.Digest, err error)
	// Children returns the hashes of the two halves of a node that has both: of
	// entries 2i·2^(level-1) and (2i+1)·2^(level-1) and 2^(level-1) from there, or
	// up to the last.
	Children(ctx context.Context, level int, i int64) (left, right digest.Digest, err error)
	// Entry returns an entry.
	Entry(ctx context.Context, i int64) (Entry, error)
}

// Published implements [Party].
func (t *Trace) Published(context.Context) (int64, digest.Digest, error) {
	if len(t.entries) == 0 {
		return 0, digest.Digest{}, errors.New("trace: there is no entry")
	}
	return int64(len(t.entries)), t.tree.Root(), nil
}

// Children implements [Party].
func (t *Trace) Children(_ context.Context, level int, i int64) (left, right digest.Digest, err error) {
	left, right, ok := t.tree.Children(level, i)
	if !ok {
		return left, right, fmt.Errorf("trace: node %d of level %d has not two children", i, level)
	}
	return left, right, nil
}

// Entry implements [Party].
func (t *Trace) Entry(_ context.Context, i int64) (Entry, error) {
	if i < 0 || i >= int64(len(t.entries)) {
		return Entry{}, fmt.Errorf("trace: there is no entry %d: there are %d", i, len(t.entries))
	}
	return t.entries[i], nil
}

// Finding is the first entry on which two traces differ.
type Finding struct {
	Index int64
	// A and B are the two entries; nil where a trace has ended.
	A, B *Entry
	// Rounds is how often both parties were asked, at most one more than the
	// binary logarithm of the number of entries, rounded up.
	Rounds int
}

// LieError says that a party contradicted what it had published.
type LieError struct {
	Party string // "a" or "b"
	What  string
}

// Error says who lied about what.
func (e *LieError) Error() string {
	return fmt.Sprintf("trace: party %s contradicts its root: %s", e.Party, e.What)
}

// Find searches for the first entry on which two parties differ; nil if their
// roots are equal. It believes nothing that does not hash to what was published:
// a [LieError] names the party that shows something else.
func Find(ctx context.Context, a, b Party) (*Finding, error) {
	x, y := side{name: "a", party: a}, side{name: "b", party: b}
	for _, s := range []*side{&x, &y} {
		if err := s.begin(ctx); err != nil {
			return nil, err
		}
	}
	if x.n == y.n && x.hash == y.hash {
		return nil, nil
	}
	f := &Finding{}
	for level := bits.Len64(uint64(max(x.n, y.n) - 1)); level > 0; level-- {
		f.Rounds++
		for _, s := range []*side{&x, &y} {
			if err := s.split(ctx, level, f.Index); err != nil {
				return nil, err
			}
		}
		right := x.left == y.left
		x.choose(right)
		y.choose(right)
		f.Index *= 2
		if right {
			f.Index++
		}
	}
	f.Rounds++
	var err error
	if f.A, err = x.entry(ctx, f.Index); err != nil {
		return nil, err
	}
	f.B, err = y.entry(ctx, f.Index)
	return f, err
}

// side is a party with the hash of the node that the search has come to, zero
// where its trace has ended.
type side struct {
	name        string
	party       Party
	n           int64
	hash        digest.Digest
	left, right digest.Digest
}

func (s *side) begin(ctx context.Context) (err error) {
	if s.n, s.hash, err = s.party.Published(ctx); err != nil {
		return fmt.Errorf("trace: party %s: %w", s.name, err)
	}
	if s.n < 1 || s.n > 1<<62 || s.hash.IsZero() {
		return &LieError{s.name, fmt.Sprintf("%d operators with root %q", s.n, s.hash)}
	}
	return nil
}

// split learns the halves of node i of a level.
func (s *side) split(ctx context.Context, level int, i int64) (err error) {
	if middle := (2*i + 1) << (level - 1); middle >= s.n {
		s.left, s.right = s.hash, digest.Digest{} // a node without a sibling is its parent
		return nil
	}
	if s.left, s.right, err = s.party.Children(ctx, level, i); err != nil {
		return fmt.Errorf("trace: party %s: %w", s.name, err)
	}
	if merkle.Node(s.left, s.right) != s.hash {
		return &LieError{s.name, fmt.Sprintf("halves of node %d of level %d do not hash to it", i, level)}
	}
	return nil
}

func (s *side) choose(right bool) {
	s.hash = s.left
	if right {
		s.hash = s.right
	}
}

func (s *side) entry(ctx context.Context, i int64) (*Entry, error) {
	if i >= s.n {
		return nil, nil
	}
	e, err := s.party.Entry(ctx, i)
	if err != nil {
		return nil, fmt.Errorf("trace: party %s: %w", s.name, err)
	}
	if err := e.Check(); err != nil {
		return nil, &LieError{s.name, fmt.Sprintf("entry %d: %v", i, err)}
	}
	if merkle.Leaf[digest.Digest](e.Append(nil)) != s.hash {
		return nil, &LieError{s.name, fmt.Sprintf("entry %d does not hash to its leaf", i)}
	}
	return &e, nil
}

// CheckBlocks tells whether these are the digests of the entry's blocks.
func (e *Entry) CheckBlocks(blocks []digest.Digest) error {
	if n := (e.Size + digest.Block - 1) / digest.Block; int64(len(blocks)) != n {
		return fmt.Errorf("trace: %s: %d blocks, want %d", e.Operator, len(blocks), n)
	}
	if got := digest.Blocks(blocks); got != e.Digest {
		return fmt.Errorf("trace: %s: digest of the blocks is %s, the trace has %s", e.Operator, got, e.Digest)
	}
	return nil
}

// CheckBlock tells whether block is the digest of these values, given as their
// bits.
func CheckBlock(block digest.Digest, values []uint32) error {
	if got := BlockOf(values); got != block {
		return fmt.Errorf("trace: digest of %d values is %s, that of the block is %s", len(values), got, block)
	}
	return nil
}

// BlockOf is the digest of a block of values, given as their bits.
func BlockOf(values []uint32) digest.Digest {
	ints := make([]int32, len(values))
	for i, v := range values {
		ints[i] = int32(v)
	}
	return digest.BlockOfInts(ints)
}
