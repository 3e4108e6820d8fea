// Package merkle is the hash tree of RFC 6962 over anything of 32 bytes: what a
// log or a trace needs to say in one hash what all its leaves are.
//
// A [Frontier] grows with a few hashes in memory and knows the root; a [Tree] keeps
// every node, to descend from the root to the leaf where two trees differ.
package merkle

import (
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// Leaf is the hash of a leaf's bytes.
func Leaf[H ~[32]byte](leaf []byte) H { return H(tlog.RecordHash(leaf)) }

// Node is the hash of a node with two children.
func Node[H ~[32]byte](left, right H) H {
	return H(tlog.NodeHash(tlog.Hash(left), tlog.Hash(right)))
}

// Frontier is what is needed of a tree to add leaves and to know its root: the
// hashes of its complete subtrees, largest first, one for each bit of its size that
// is set. The zero Frontier is empty.
type Frontier[H ~[32]byte] struct {
	n      int64
	hashes []H
}

// Size is the number of leaves.
func (f *Frontier[H]) Size() int64 { return f.n }

// Add appends the hash of a leaf.
func (f *Frontier[H]) Add(h H) {
	for n := f.n; n&1 == 1; n >>= 1 {
		last := len(f.hashes) - 1
		h = Node(f.hashes[last], h)
		f.hashes = f.hashes[:last]
	}
	f.hashes = append(f.hashes, h)
	f.n++
}

// Root returns the hash of the tree, zero if it is empty.
func (f *Frontier[H]) Root() H {
	last := len(f.hashes) - 1
	if last < 0 {
		var none H
		return none
	}
	h := f.hashes[last]
	for i := last - 1; i >= 0; i-- {
		h = Node(f.hashes[i], h)
	}
	return h
}

// Clone returns a copy that grows by itself.
func (f *Frontier[H]) Clone() Frontier[H] { return Frontier[H]{f.n, slices.Clone(f.hashes)} }

// Tree is a tree of which every node is kept.
type Tree[H ~[32]byte] struct {
	// levels[k][i] is the hash of leaves i·2^k up to (i+1)·2^k, or to the end.
	levels [][]H
}

// NewTree returns the tree over the hashes of leaves, which are not copied.
func NewTree[H ~[32]byte](leaves []H) Tree[H] {
	t := Tree[H]{[][]H{leaves}}
	for below := leaves; len(below) > 1; {
		above := make([]H, 0, (len(below)+1)/2)
		for i := 0; i+1 < len(below); i += 2 {
			above = append(above, Node(below[i], below[i+1]))
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
func (t *Tree[H]) Root() H { return t.levels[len(t.levels)-1][0] }

// Height is the number of levels above the leaves.
func (t *Tree[H]) Height() int { return len(t.levels) - 1 }

// Children returns the hashes of the two halves of node i of a level; not ok if
// the tree has no such node, or one with a single child.
func (t *Tree[H]) Children(level int, i int64) (left, right H, ok bool) {
	if level < 1 || level >= len(t.levels) || i < 0 || 2*i+1 >= int64(len(t.levels[level-1])) {
		return left, right, false
	}
	below := t.levels[level-1]
	return below[2*i], below[2*i+1], true
}
