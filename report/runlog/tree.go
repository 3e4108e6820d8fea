package runlog

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Tree holds all hashes of a log, 64 bytes per entry, to make proofs from: that
// an entry is in the tree of a head, and that the tree of one head continues
// that of an earlier one. A holder of the heads checks them with
// [tlog.CheckRecord] and [tlog.CheckTree] and needs no other entry of the log.
// The zero Tree is empty.
type Tree struct {
	n      int64
	hashes []tlog.Hash
}

// Add appends the bytes of a leaf: the manifest, or an entry, without newline.
func (t *Tree) Add(leaf []byte) error { return t.add(tlog.RecordHash(leaf)) }

func (t *Tree) add(h tlog.Hash) error {
	hs, err := tlog.StoredHashesForRecordHash(t.n, h, t)
	if err != nil {
		return err
	}
	t.hashes = append(t.hashes, hs...)
	t.n++
	return nil
}

// Size is the number of leaves.
func (t *Tree) Size() int64 { return t.n }

// ReadHashes implements [tlog.HashReader].
func (t *Tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hs := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		hs[i] = t.hashes[x]
	}
	return hs, nil
}

// Hash returns the hash of the first n leaves.
func (t *Tree) Hash(n int64) (tlog.Hash, error) {
	if err := t.within(1, n); err != nil {
		return tlog.Hash{}, err
	}
	return tlog.TreeHash(n, t)
}

// ProveEntry returns the proof that leaf i is in the tree of the first n.
func (t *Tree) ProveEntry(n, i int64) (tlog.RecordProof, error) {
	if err := t.within(i+1, n); err != nil {
		return nil, err
	}
	return tlog.ProveRecord(n, i, t)
}

// ProveHeads returns the proof that the tree of the first n leaves continues
// that of the first m.
func (t *Tree) ProveHeads(n, m int64) (tlog.TreeProof, error) {
	if err := t.within(m, n); err != nil {
		return nil, err
	}
	return tlog.ProveTree(n, m, t)
}

// within refuses a range of leaves that the tree has not.
func (t *Tree) within(m, n int64) error {
	if m < 1 || m > n || n > t.n {
		return fmt.Errorf("runlog: leaves %d of %d: the log has %d", m, n, t.n)
	}
	return nil
}
