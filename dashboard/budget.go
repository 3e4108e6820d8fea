package dashboard

import "sync/atomic"

// budget is how much memory the numbers of all runs may take together, in bytes.
type budget struct{ left atomic.Int64 }

func newBudget(bytes int64) *budget {
	b := &budget{}
	b.left.Store(bytes)
	return b
}

// take reserves n bytes, or nothing where less is left.
func (b *budget) take(n int64) bool {
	if b.left.Add(-n) >= 0 {
		return true
	}
	b.left.Add(n)
	return false
}

// force reserves n bytes even where less is left: what a run cannot do without.
func (b *budget) force(n int64) { b.left.Add(-n) }

func (b *budget) give(n int64) { b.left.Add(n) }
