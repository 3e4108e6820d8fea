package verify

import (
	"fmt"
	"io"

	"github.com/temper-ml/temper/report/record"
)

// digests compares what entries say about the same training state: steps, the
// checkpoints between them, what was loaded again, what a run began and ended with.
type digests struct {
	f      *finding
	period int64
	now    known
	// compared counts pairs that were equal.
	compared, skipped int64
}

// known are the digests of all blocks of the present state, empty where no
// entry told.
type known struct {
	parameters, optimizer, bias record.Digest
}

func (d *digests) entry(l *Log, e *record.Entry) {
	switch b := e.Body.(type) {
	case *record.Begin:
		d.now = known{parameters: b.Parameters}
	case *record.Stage:
		if b.From == 0 { // a stage begins with an optimizer of its own
			d.now.optimizer = ""
		}
	case *record.Step:
		d.step(e, b)
	case *record.Checkpoint:
		d.meet(e, "parameters", &d.now.parameters, b.Parameters)
		d.meet(e, "optimizer", &d.now.optimizer, b.Optimizer)
	case *record.Resume:
		d.meet(e, "parameters", &d.now.parameters, b.Parameters)
	case *record.Recovery:
		d.recovery(l, e, b)
	case *record.End:
		d.meet(e, "weights", &d.now.parameters, b.Weights)
	}
}

// meet compares a digest with what is known, and learns it.
func (d *digests) meet(e *record.Entry, what string, known *record.Digest, said record.Digest) {
	if said == "" {
		return
	}
	if *known != "" {
		d.compared++
		if *known != said {
			d.f.fail(e.Index, "entry %d (%s): %s are %.24s..., the entries before say %.24s...", e.Index, e.Kind, what, said, *known)
		}
	}
	*known = said
}

// step compares a step with the one before. Digests of some blocks only tell
// nothing about the whole; those of routers' biases always cover all.
func (d *digests) step(e *record.Entry, b *record.Step) {
	after := known{bias: b.Bias}
	if d.period == 1 {
		after.parameters, after.optimizer = b.Parameters, b.Optimizer
	}
	for _, q := range []struct {
		what          string
		before, after record.Digest
	}{
		{"parameters", d.now.parameters, after.parameters},
		{"optimizer", d.now.optimizer, after.optimizer},
		{"bias", d.now.bias, after.bias},
	} {
		if q.before == "" || q.after == "" {
			continue
		}
		if b.Skipped != "" {
			d.skipped++
			if q.before != q.after {
				d.f.fail(e.Index, "entry %d: step %d of stage %d was skipped, but its %s changed", e.Index, b.Step, b.Stage, q.what)
			}
		} else if q.what == "optimizer" { // it counts updates, so that it always changes
			d.compared++
			if q.before == q.after {
				d.f.fail(e.Index, "entry %d: step %d of stage %d left the optimizer as it was", e.Index, b.Step, b.Stage)
			}
		}
	}
	if b.Skipped != "" && d.period != 1 {
		after.parameters, after.optimizer = d.now.parameters, d.now.optimizer
	}
	d.now = after
}

// recovery compares what was loaded with the checkpoint that the log has.
func (d *digests) recovery(l *Log, e *record.Entry, b *record.Recovery) {
	c := l.At(Position{b.Stage, b.Step})
	if c == nil && b.Step == 0 && b.Stage > 0 && b.Stage <= len(l.Stages) {
		c = l.At(Position{b.Stage - 1, l.Stages[b.Stage-1].Steps})
	}
	d.now = known{}
	switch {
	case c != nil:
		d.now = known{parameters: c.Parameters, optimizer: c.Optimizer}
		if b.Checkpoint != "" && c.Content != "" {
			d.compared++
			if b.Checkpoint != c.Content {
				d.f.fail(e.Index, "entry %d: recovery from content %.24s..., the checkpoint of entry %d there is %.24s...", e.Index, b.Checkpoint, c.Index, c.Content)
			}
		}
	case b.Stage == 0 && b.Step == 0 && l.Begin != nil:
		d.now.parameters = l.Begin.Parameters
	}
	d.meet(e, "parameters", &d.now.parameters, b.Parameters)
}

func (d *digests) evidence() string {
	text := fmt.Sprintf("%d digests of one state in two entries agree, %d of skipped steps did not change", d.compared, d.skipped)
	if d.period > 1 {
		text += fmt.Sprintf("; steps cover one block in %d, which only files and replays can be compared with", d.period)
	}
	return text
}

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
