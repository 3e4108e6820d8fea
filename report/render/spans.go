package render

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// What a run spent its time on. Together the kinds make up all time from the
// first moment on record to the last.
const (
	Preparing  = "preparing"   // from the start of the program, or a stop, to the first step or evaluation
	Training   = "training"    // steps that stand
	TakenAgain = "taken again" // steps that a recovery had taken again
	Evaluating = "evaluating"
	Saving     = "saving" // checkpoints, outside of steps
	Generating = "generating"
	Stopped    = "stopped" // from a pause, or from the last sign of life, to the recovery
	Elsewhere  = "other"   // between entries, in none of these
)

// Spent are the kinds in the order in which they are shown.
var Spent = []string{Training, Generating, Evaluating, Saving, Preparing, TakenAgain, Stopped, Elsewhere}

// Span is a time that a run spent on one thing, milliseconds since the epoch.
type Span struct {
	Kind     string
	Stage    int
	From, To int64
	// First and Last are the numbers of the steps of a span of steps, in their stage.
	First, Last int64
}

// moment is an entry with a duration, whatever it is.
type moment struct {
	index, at, took int64
	kind            string
	stage           int
	step            int64
}

// Spans divides a run's time from its first moment on record to the last among
// the things that it was spent on; neighbours of one kind are one span. No time
// belongs to two: an entry gets what is left of its duration after the entry
// before it. A run without times has no spans.
func (r *Run) Spans() []Span {
	var out []Span
	cursor := int64(0)
	put := func(m *moment, kind string, from, to int64) {
		if to <= from {
			return
		}
		if n := len(out); n > 0 {
			if last := &out[n-1]; last.Kind == kind && last.Stage == m.stage && last.To == from {
				last.To, last.Last = to, m.step
				return
			}
		}
		out = append(out, Span{kind, m.stage, from, to, m.step, m.step})
	}
	prepared := false // since the last stop
	moments := r.moments()
	stops := stopping(moments)
	for i, m := range moments {
		if cursor == 0 {
			cursor = m.at - m.took
			if m.took == 0 {
				cursor = m.at
				continue
			}
		}
		if m.at <= cursor {
			continue
		}
		from := max(cursor, m.at-m.took)
		gap := Elsewhere
		switch {
		case stops[i]:
			gap = Stopped
		case !prepared:
			gap = Preparing
		}
		put(&m, gap, cursor, from)
		put(&m, spentOn(m.kind), from, m.at)
		prepared = !stops[i] && (prepared || m.took > 0)
		cursor = m.at
	}
	return out
}

// stopping says of each entry whether it is the end of a stop or leads up to it:
// a recovery or resume, and what is told before it since the last that took time.
func stopping(moments []moment) []bool {
	out := make([]bool, len(moments))
	ahead := false
	for i := len(moments) - 1; i >= 0; i-- {
		switch m := &moments[i]; {
		case m.kind == Recovery || m.kind == Resume:
			ahead = true
		case m.took > 0:
			ahead = false
		}
		out[i] = ahead
	}
	return out
}

// spentOn is what the duration of an entry is counted as.
func spentOn(kind string) string {
	switch kind {
	case Evaluation:
		return Evaluating
	case Checkpoint:
		return Saving
	case Rollout:
		return Generating
	}
	return kind
}

// moments are all entries that have a time, in the order of the record.
func (r *Run) moments() []moment {
	out := make([]moment, 0, len(r.Steps)+len(r.Again)+len(r.Events))
	step := func(s *Step, kind string) {
		if s.Time > 0 {
			out = append(out, moment{s.Index, s.Time, milliseconds(s.Wall), kind, s.Stage, s.Number})
		}
	}
	for i := range r.Steps {
		step(&r.Steps[i], Training)
	}
	for i := range r.Again {
		step(&r.Again[i].Step, TakenAgain)
	}
	for i := range r.Events {
		if e := &r.Events[i]; e.Time > 0 {
			out = append(out, moment{e.Index, e.Time, milliseconds(e.Took), e.Kind, e.Stage, e.Steps})
		}
	}
	slices.SortStableFunc(out, func(a, b moment) int { return cmp.Compare(a.index, b.index) })
	return out
}

// milliseconds rounds up: what an entry does not say of its last millisecond is
// no time of its own.
func milliseconds(d time.Duration) int64 {
	ms := d.Milliseconds()
	if d > time.Duration(ms)*time.Millisecond {
		ms++
	}
	return ms
}

// Goodput tells how much of a run's time went into steps that stand.
type Goodput struct {
	// Wall is from the first moment on record to the last, By the time of each
	// kind of span.
	Wall time.Duration
	By   map[string]time.Duration
	// Again are steps taken again, Recoveries how often.
	Again, Recoveries int64
}

// Useful is the share of time in steps that stand and in generating for them, 0
// without times.
func (g *Goodput) Useful() float64 {
	if g.Wall <= 0 {
		return 0
	}
	return float64(g.By[Training]+g.By[Generating]) / float64(g.Wall)
}

// Goodput adds up the spans.
func (r *Run) Goodput() Goodput { return r.goodputOf(r.Spans()) }

func (r *Run) goodputOf(spans []Span) Goodput {
	g := Goodput{By: map[string]time.Duration{}, Again: int64(len(r.Again))}
	by, all := map[string]int64{}, int64(0)
	for _, s := range spans {
		by[s.Kind] += s.To - s.From
		all += s.To - s.From
	}
	for kind, ms := range by {
		g.By[kind] = duration(ms)
	}
	g.Wall = duration(all)
	for i := range r.Events {
		if r.Events[i].Kind == Recovery {
			g.Recoveries++
		}
	}
	return g
}

// duration is at most what a time.Duration holds: times of a record may be anything.
func duration(ms int64) time.Duration {
	return time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}
