package planner

// findings are the promising cells of a search: meshes and micro-batch sizes,
// by the lowest bound of their layouts, overall and under restrictions.
type findings struct {
	best  shortlist
	kinds [numKinds]shortlist // of one schedule
	under [buckets]shortlist  // of layouts that need so much memory
	short candidate           // the layout that needs least, of those that do not fit; bound is unused
}

// buckets is how finely memory is divided for the Pareto front: each holds
// layouts that need between i and i+1 of so many parts of the capacity.
const buckets = 24

// numKinds is the number of schedules.
const numKinds = 7

// How many cells are kept. The lists say when they were too short.
const (
	keepBest  = 1 << 12
	keepOther = 1 << 9
	maxKeep   = 1 << 20
)

func newFindings(keep int) findings {
	f := findings{best: newShortlist(keep), short: candidate{memory: 1<<63 - 1}}
	for i := range f.kinds {
		f.kinds[i] = newShortlist(min(keep, keepOther))
	}
	for i := range f.under {
		f.under[i] = newShortlist(min(keep, keepOther))
	}
	return f
}

// add notes one cell.
func (f *findings) add(c *minima) {
	if !c.seen {
		return
	}
	f.best.add(c.best)
	for i := range c.kinds {
		if c.kinds[i].bound < inf {
			f.kinds[i].add(c.kinds[i])
		}
	}
	for i := range c.under {
		if c.under[i].bound < inf {
			f.under[i].add(c.under[i])
		}
	}
}

// shortest notes a layout that does not fit.
func (f *findings) shortest(need int64, at place) {
	if need < f.short.memory || need == f.short.memory && at.order() < f.short.at.order() {
		f.short = candidate{memory: need, at: at}
	}
}

func (f *findings) merge(o *findings) {
	f.best.merge(&o.best)
	for i := range f.kinds {
		f.kinds[i].merge(&o.kinds[i])
	}
	for i := range f.under {
		f.under[i].merge(&o.under[i])
	}
	f.shortest(o.short.memory, o.short.at)
}
