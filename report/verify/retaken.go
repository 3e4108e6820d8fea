package verify

import (
	"io"

	"github.com/temper-ml/temper/report/record"
)

// retaken compares steps that were taken again after a recovery with the first
// time: a step has one result, whatever happened in between.
type retaken struct {
	f        *finding
	log      io.ReaderAt
	first    map[Position]step // steps that no longer stand and were not taken again yet
	compared int64
}

// step takes a step that stands.
func (r *retaken) step(e *record.Entry, b *record.Step) {
	p := Position{b.Stage, b.Step}
	k, ok := r.first[p]
	if !ok {
		return
	}
	delete(r.first, p)
	before, err := k.read(r.log)
	if err != nil {
		r.f.fail(e.Index, "%v", err)
		return
	}
	r.compared++
	for _, q := range quantities(before, b) {
		if q.recorded != q.computed {
			r.f.fail(e.Index, "%s was taken before, in entry %d, with another result: %s was %.80s, then %.80s", say(e, b), k.index, q.name, q.recorded, q.computed)
			return
		}
	}
}
