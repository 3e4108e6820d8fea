package merkle_test

import (
	"strconv"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/temper-ml/temper/report/record/merkle"
)

// Roots of all sizes are those of the checksum database's own tree, of which the
// frontier and the whole tree must agree, and every node is the hash of its children.
func TestRoots(t *testing.T) {
	var f merkle.Frontier[tlog.Hash]
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var hs []tlog.Hash
		for _, i := range indexes {
			hs = append(hs, stored[i])
		}
		return hs, nil
	})
	if f.Root() != (tlog.Hash{}) {
		t.Error("the root of nothing is not zero")
	}
	var leaves []tlog.Hash
	for n := int64(0); n < 130; n++ {
		leaf := merkle.Leaf[tlog.Hash]([]byte(strconv.FormatInt(n, 10)))
		hs, err := tlog.StoredHashesForRecordHash(n, leaf, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hs...)
		leaves = append(leaves, leaf)
		old := f.Clone()
		f.Add(leaf)
		want, err := tlog.TreeHash(n+1, reader)
		if err != nil {
			t.Fatal(err)
		}
		tree := merkle.NewTree(leaves)
		if f.Root() != want || tree.Root() != want || f.Size() != n+1 || old.Size() != n {
			t.Fatalf("%d leaves: frontier %v of %d, tree %v, want %v", n+1, f.Root(), f.Size(), tree.Root(), want)
		}
		if left, right, ok := tree.Children(tree.Height(), 0); ok && merkle.Node(left, right) != want {
			t.Fatalf("%d leaves: the root is not the hash of its children", n+1)
		}
		if _, _, ok := tree.Children(tree.Height()+1, 0); ok {
			t.Fatalf("%d leaves: there is a level above the root", n+1)
		}
	}
}
