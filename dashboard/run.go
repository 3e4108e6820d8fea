package dashboard

import (
	"encoding/binary"
	"hash/fnv"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/render"
	"github.com/temper-ml/temper/report/runlog"
)

// Limits of what is kept of a run beside its numbers.
const (
	maxStages      = 1000
	maxEvents      = 2000 // the first half and the last
	maxEvaluations = 2000
	maxTables      = 16 // of routing
	keptGaps       = 64
)

// run is a record that is followed.
type run struct {
	id string
	// path is the record's directory and name that of the run, both relative to
	// the directory served, with slashes.
	path, name string

	mu sync.RWMutex
	known
}

// known is what is known of a record: its manifest, and its entries as far as
// they were read.
type known struct {
	follower *runlog.Follower
	manifest record.Manifest
	facts    *render.Run // of the manifest
	log      fs.FileInfo // as last read
	heads    fs.FileInfo
	leaf0    fs.FileInfo // the manifest's
	behind   bool        // there is more to read
	done     int64       // bytes read, of size
	size     int64
	failed   error // what was refused
	grew     time.Time
	polled   time.Time

	table       *table
	stages      []*stage
	begin       *record.Begin
	end         *record.End
	pause       *record.Pause
	step        *record.Entry // the last that stands
	entries     int64
	time        int64   // of the last entry
	gaps        []int64 // between the last entries, ms
	events      timeline
	evaluations []evaluation
	rollout     *record.Rollout // the last
	routing     []tableAt[*record.Routing]
	times       *tableAt[*record.Times] // the last
	totals      render.Totals           // of what came before step, and of events
}

// stage is a stage and the steps that stood before it.
type stage struct {
	record.Stage
	Before int64
}

// evaluation is a measurement and the steps that stood before it.
type evaluation struct {
	record.Evaluation
	At   int64
	Time int64
}

// tableAt is a table of steps From < step <= To of the run.
type tableAt[T any] struct {
	From, To int64
	Body     T
}

// event is something that happened between steps.
type event struct {
	Index int64
	Kind  string
	Time  int64
	Stage int
	At    int64 // steps that stood before it
	Text  string
}

// timeline keeps the first and the last events, and how many there were.
type timeline struct {
	first, last []event
	counts      map[string]int64
	left        int64 // out
}

func (t *timeline) add(e event) {
	if t.counts == nil {
		t.counts = map[string]int64{}
	}
	t.counts[e.Kind]++
	if len(t.first) < maxEvents/2 {
		t.first = append(t.first, e)
		return
	}
	if len(t.last) == maxEvents/2 {
		t.last = t.last[1:]
		t.left++
	}
	t.last = append(t.last, e)
}

func (t *timeline) all() []event { return slices.Concat(t.first, t.last) }

// reset forgets what was read.
func (r *run) reset() {
	r.table.free()
	r.forget(func(int, tableAt[*record.Routing]) bool { return true })
	r.known = known{table: r.table, polled: r.polled}
}

// take folds an entry in.
func (r *run) take(e *record.Entry) error {
	if r.entries > 0 {
		if len(r.gaps) == keptGaps {
			r.gaps = r.gaps[1:]
		}
		r.gaps = append(r.gaps, e.Time-r.time)
	}
	r.entries, r.time = e.Index, e.Time
	switch b := e.Body.(type) {
	case *record.Step:
		r.takeStep(e, b)
	case *record.Stage:
		r.takeStage(b)
	case *record.Begin:
		r.begin = b
	case *record.Evaluation:
		if len(r.evaluations) == maxEvaluations { // thin out the middle
			r.evaluations = slices.Delete(r.evaluations, maxEvaluations/2, maxEvaluations/2+1)
		}
		r.evaluations = append(r.evaluations, evaluation{*b, r.at(b.Stage, b.Step), e.Time})
	case *record.Rollout:
		r.rollout = b
	case *record.Recovery:
		r.recover(b)
	case *record.Routing:
		r.keep(tableAt[*record.Routing]{r.at(b.Stage, b.From), r.at(b.Stage, b.To), b})
	case *record.Times:
		r.times = &tableAt[*record.Times]{r.at(b.Stage, b.From), r.at(b.Stage, b.To), b}
	case *record.Pause:
		r.pause = b
	case *record.End:
		r.end = b
	}
	if e.Kind != "step" && e.Kind != "routing" && e.Kind != "times" {
		r.totals.Count(e.Kind)
		stage, at := r.place(e.Body)
		r.events.add(event{e.Index, e.Kind, e.Time, stage, at, describe(e.Body)})
	}
	if e.Kind != "pause" && e.Kind != "note" && e.Kind != "end" {
		r.pause = nil
	}
	return nil
}

// keep adds a routing table. Where there are many, or memory is short, every
// other older one goes.
func (r *run) keep(next tableAt[*record.Routing]) {
	for len(r.routing) >= maxTables || !r.table.budget.take(routingBytes(next)) {
		if len(r.routing) < 2 { // the last is always there
			r.forget(func(int, tableAt[*record.Routing]) bool { return true })
			r.table.budget.force(routingBytes(next))
			break
		}
		n := len(r.routing)
		r.forget(func(i int, _ tableAt[*record.Routing]) bool { return (n-1-i)%2 == 1 })
	}
	r.routing = append(r.routing, next)
}

// forget drops routing tables.
func (r *run) forget(gone func(i int, t tableAt[*record.Routing]) bool) {
	var left []tableAt[*record.Routing]
	for i, t := range r.routing {
		if gone(i, t) {
			r.table.budget.give(routingBytes(t))
		} else {
			left = append(left, t)
		}
	}
	r.routing = left
}

// routingBytes is what a table takes.
func routingBytes(t tableAt[*record.Routing]) int64 {
	n := int64(0)
	for _, row := range t.Body.Counts {
		n += int64(24 + 8*len(row))
	}
	return n
}

// at is how many steps of the run stand when step steps of a stage do.
func (r *run) at(stage int, step int64) int64 {
	for _, s := range r.stages {
		if s.Stage.Stage == stage {
			return s.Before + step
		}
	}
	return r.table.steps
}

// place is where an event stands: its own stage and step if it names them.
func (r *run) place(b record.Body) (stage int, at int64) {
	switch b := b.(type) {
	case *record.Checkpoint:
		return b.Stage, r.at(b.Stage, b.Step)
	case *record.Fault:
		return b.Stage, r.at(b.Stage, b.Step)
	case *record.Evaluation:
		return b.Stage, r.at(b.Stage, b.Step)
	case *record.Recovery:
		return b.Stage, r.at(b.Stage, b.Step)
	case *record.Stage:
		return b.Stage, r.at(b.Stage, b.From)
	case *record.Rollout:
		return b.Stage, r.at(b.Stage, b.Step)
	}
	if n := len(r.stages); n > 0 {
		stage = r.stages[n-1].Stage.Stage
	}
	return stage, r.table.steps
}

// takeStage opens a stage, or continues it.
func (r *run) takeStage(b *record.Stage) {
	for _, s := range r.stages {
		if s.Stage.Stage == b.Stage {
			s.Stage = *b
			return
		}
	}
	if len(r.stages) < maxStages {
		r.stages = append(r.stages, &stage{*b, max(r.table.steps-b.From, 0)})
	}
}

// recover takes back the steps that are taken again, and what was measured
// between them.
func (r *run) recover(b *record.Recovery) {
	left := r.table.steps - b.Again
	if slices.ContainsFunc(r.stages, func(s *stage) bool { return s.Stage.Stage == b.Stage }) {
		left = r.at(b.Stage, b.Step)
	}
	left = min(max(left, 0), r.table.steps)
	r.table.cut(left)
	r.stages = slices.DeleteFunc(r.stages, func(s *stage) bool { return s.Stage.Stage > b.Stage })
	r.evaluations = slices.DeleteFunc(r.evaluations, func(e evaluation) bool { return e.At > left })
	r.forget(func(_ int, t tableAt[*record.Routing]) bool { return t.To > left })
	if r.times != nil && r.times.To > left {
		r.times = nil
	}
	if left == 0 {
		r.passed()
	}
}

// passed counts the last step in the totals of what came before.
func (r *run) passed() {
	if r.step != nil {
		r.totals.Add(r.step.Body.(*record.Step))
		r.step = nil
	}
}

// takeStep adds a step to the numbers.
func (r *run) takeStep(e *record.Entry, b *record.Step) {
	if len(r.stages) == 0 || r.stages[len(r.stages)-1].Stage.Stage != b.Stage {
		r.takeStage(&record.Stage{Stage: b.Stage, From: b.Step})
	}
	r.passed()
	r.step = e
	var vs []value
	put := func(name string, k kind, v float64) { vs = append(vs, value{name, k, v}) }
	for _, name := range slices.Sorted(maps.Keys(b.Losses)) {
		put("loss:"+cutText(name, 40), spread, b.Losses[name])
	}
	put("grad_norm", spread, b.GradNorm)
	put("lr", spread, b.LR)
	wall := time.Duration(b.Time.Wall).Seconds()
	if wall > 0 {
		put("tokens_per_second", spread, float64(b.Tokens)/wall)
	}
	if b.MFU > 0 {
		put("mfu", spread, b.MFU)
	}
	if b.Load != nil {
		put("overload", spread, b.Load.Max)
		put("overload_mean", spread, b.Load.Mean)
	}
	if b.Memory > 0 {
		put("memory", spread, float64(b.Memory))
	}
	for _, p := range parts(&b.Time) {
		if p.v > 0 {
			put("time:"+p.name, total, p.v)
		}
	}
	r.table.add(b.Tokens, e.Time, mark(r.table.steps, b), vs)
	if b.Skipped != "" {
		r.events.add(event{e.Index, "skipped", e.Time, b.Stage, r.table.steps, cutText(b.Skipped, maxText)})
	}
}

// parts are the parts of a split in seconds, in the order they are drawn.
func parts(s *record.Split) []value {
	var out []value
	for _, p := range []struct {
		name string
		ns   int64
	}{
		{"forward", s.Forward},
		{"backward", s.Backward},
		{"model", s.Model},
		{"optimizer", s.Optimizer},
		{"communication", s.Communication},
		{"bubble", s.Bubble},
		{"data", s.Data},
		{"checkpoint", s.Checkpoint},
		{"stall", s.Stall},
		{"other", s.Other},
	} {
		out = append(out, value{p.name, total, time.Duration(p.ns).Seconds()})
	}
	return out
}

// mark is a fingerprint of what a step was computed from and came to, 0 where
// it has no digests.
func mark(number int64, b *record.Step) uint64 {
	if b.Batch == "" && b.Parameters == "" {
		return 0
	}
	h := fnv.New64a()
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(number)))
	h.Write([]byte(b.Batch + "\x00" + b.Parameters))
	m := h.Sum64()
	if m == 0 || m == unknownMark {
		return 1
	}
	return m
}
