package trace

import (
	"golang.org/x/mod/sumdb/tlog"

	"github.com/temper-ml/temper/report/record/digest"
)

func leafHash(line []byte) digest.Digest { return digest.Digest(tlog.RecordHash(line)) }

// NodeHash is the hash of a node with two children (RFC 6962).
func NodeHash(left, right digest.Digest) digest.Digest {
	return digest.Digest(tlog.NodeHash(tlog.Hash(left), tlog.Hash(right)))
}

// frontier is what is needed of a Merkle tree to add leaves and to know its
// root: the hashes of its complete subtrees, largest first.
type frontier struct {
	n      int64
	hashes []digest.Digest
}

func (f *frontier) add(h digest.Digest) {
	for n := f.n; n&1 == 1; n >>= 1 {
		last := len(f.hashes) - 1
		h = NodeHash(f.hashes[last], h)
		f.hashes = f.hashes[:last]
	}
	f.hashes = append(f.hashes, h)
	f.n++
}

// root returns the hash of the tree, zero if it is empty.
func (f *frontier) root() digest.Digest {
	last := len(f.hashes) - 1
	if last < 0 {
		return digest.Digest{}
	}
	h := f.hashes[last]
	for i := last - 1; i >= 0; i-- {
		h = NodeHash(f.hashes[i], h)
	}
	return h
}

// Tree is a Merkle tree (RFC 6962) of which every node is kept.
type Tree struct {
	// levels[k][i] is the hash of leaves i·2^k up to (i+1)·2^k, or to the end.
	levels [][]digest.Digest
}

// NewTree returns the tree over the hashes of leaves, which are not copied.
func NewTree(leaves []digest.Digest) Tree {
	t := Tree{[][]digest.Digest{leaves}}
	for below := leaves; len(below) > 1; {
		above := make([]digest.Digest, 0, (len(below)+1)/2)
		for i := 0; i+1 < len(below); i += 2 {
			above = append(above, NodeHash(below[i], below[i+1]))
		}
		if len(below)%2 == 1 { // a node without a sibling is its parent
			above = append(above, below[len(below)-1])
		}
		t.levels = append(t.levels, above)
		below = above
	}
	return t
}

// Root returns the hash of all leaves, of which there must be one.
func (t *Tree) Root() digest.Digest { return t.levels[len(t.levels)-1][0] }

// Children returns the hashes of the two halves of node i of a level; not ok if
// the tree has no such node, or one with a single child.
func (t *Tree) Children(level int, i int64) (left, right digest.Digest, ok bool) {
	if level < 1 || level >= len(t.levels) || i < 0 || 2*i+1 >= int64(len(t.levels[level-1])) {
		return left, right, false
	}
	below := t.levels[level-1]
	return below[2*i], below[2*i+1], true
}

// Trace is a whole trace in memory, with its tree: about 150 bytes an entry.
type Trace struct {
	entries []Entry
	tree    Tree
}

// New returns the trace of entries, which are not copied.
func New(entries []Entry) *Trace {
	leaves := make([]digest.Digest, len(entries))
	var line []byte
	for i := range entries {
		line = entries[i].Append(line[:0])
		leaves[i] = leafHash(line)
	}
	return &Trace{entries, NewTree(leaves)}
}

// Entries returns the entries.
func (t *Trace) Entries() []Entry { return t.entries }

// First returns the index of the first entry that differs from o's, -1 if none.
func (t *Trace) First(o *Trace) int64 {
	n := min(len(t.entries), len(o.entries))
	for i := range n {
		if t.entries[i] != o.entries[i] {
			return int64(i)
		}
	}
	if len(t.entries) != len(o.entries) {
		return int64(n)
	}
	return -1
}
