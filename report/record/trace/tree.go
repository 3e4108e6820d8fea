package trace

import (
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/report/record/merkle"
)

// Trace is a whole trace in memory, with its tree: about 150 bytes an entry.
type Trace struct {
	entries []Entry
	tree    merkle.Tree[digest.Digest]
}

// New returns the trace of entries, which are not copied.
func New(entries []Entry) *Trace {
	leaves := make([]digest.Digest, len(entries))
	var line []byte
	for i := range entries {
		line = entries[i].Append(line[:0])
		leaves[i] = merkle.Leaf[digest.Digest](line)
	}
	return &Trace{entries, merkle.NewTree(leaves)}
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
