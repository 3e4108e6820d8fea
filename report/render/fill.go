package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/temper-ml/temper/internal/unit"
	"github.com/temper-ml/temper/report/record"
)

// Filler makes a Run of a record: its manifest, then its entries in order. What
// it keeps grows with the steps and the events, not with the ranks or experts of
// each entry.
type Filler struct {
	run  Run
	last int     // stage
	peak float64 // of the devices now, 0 when it is the run's
	// perToken remembers operations per token by convention and length.
	perToken map[perToken]float64
}

// Run is what was filled in so far.
func (f *Filler) Run() *Run { return &f.run }

// Add takes the next entry. Steps that a recovery takes again do not stand:
// they and the evaluations among them leave the run, the recovery tells of them.
func (f *Filler) Add(e *record.Entry) error {
	switch b := e.Body.(type) {
	case *record.Begin:
		f.begin(e, b)
	case *record.Stage:
		f.stage(e, b)
	case *record.Step:
		f.step(e, b)
	case *record.Evaluation:
		f.evaluation(e, b)
	case *record.Checkpoint:
		ev := f.event(e, b.Stage, b.Step, fmt.Sprintf("%s, %v", b.Path, unit.Bytes(b.Bytes)))
		ev.Took, ev.Bytes = time.Duration(b.Took), b.Bytes
	case *record.Fault:
		f.event(e, b.Stage, b.Step, fmt.Sprintf("%s on rank %d: %s", b.Fault, b.Rank, b.Evidence))
	case *record.Recovery:
		return f.recovery(e, b)
	case *record.Ranks:
		f.event(e, f.last, 0, fmt.Sprintf("%d ranks from here, %d joined, %d left: %s", b.Ranks, len(b.Joined), len(b.Left), b.Reason))
		f.devices("after entry "+itoa(e.Index), b.Devices)
	case *record.Rollout:
		f.rollout(e, b)
	case *record.Pause:
		f.event(e, b.Stage, b.Step, b.Reason)
	case *record.Resume:
		f.event(e, b.Stage, b.Step, "on "+b.Host.Name)
		f.devices("after entry "+itoa(e.Index), b.Devices)
	case *record.Note:
		f.event(e, f.last, 0, b.Text)
	case *record.End:
		ev := f.event(e, f.last, b.Steps, strings.TrimSpace(b.Status+" with weights "+orNone(string(b.Weights))+" "+b.Reason))
		ev.Status, ev.Weights = b.Status, string(b.Weights)
	case *record.Routing:
		f.routing(b)
	case *record.Times:
		f.times(b)
	default:
		return fmt.Errorf("entry %d: kind %q has no place in a report", e.Index, e.Kind)
	}
	return nil
}

func (f *Filler) rollout(e *record.Entry, b *record.Rollout) {
	ev := f.event(e, b.Stage, b.Step, "")
	ev.Took = time.Duration(b.Took)
	ev.Values = []Value{{"reward", b.Reward}, {"prompts", float64(b.Prompts)}, {"generations", float64(b.Generations)}, {"tokens", float64(b.Tokens)}}
	if b.Longest > 0 {
		n := float64(b.Generations)
		ev.Values = append(ev.Values, Value{"length", float64(b.Tokens) / n}, Value{"longest", float64(b.Longest)}, Value{"truncated", float64(b.Truncated) / n}, Value{"failed", float64(b.Failed) / n})
	}
	for _, name := range slices.Sorted(maps.Keys(b.Rules)) {
		ev.Values = append(ev.Values, Value{"rule/" + name, b.Rules[name]})
	}
}

func (f *Filler) event(e *record.Entry, stage int, steps int64, text string) *Event {
	f.last = stage
	f.run.Events = append(f.run.Events, Event{
		Index: e.Index, Kind: e.Kind, Time: e.Time, Stage: stage, Steps: steps, After: len(f.run.Steps), Text: text,
	})
	return &f.run.Events[len(f.run.Events)-1]
}

// begin also ends what prepared the run, which the manifest says when it began.
func (f *Filler) begin(e *record.Entry, b *record.Begin) {
	f.run.Total, f.run.Active = b.Total, b.Active
	if f.run.Started > 0 {
		f.event(e, 0, 0, "").Kind = InitStop
	}
	f.event(e, f.last, 0, fmt.Sprintf("%s parameters, %s for each token", unit.Count(b.Total), unit.Count(b.Active)))
}

func (f *Filler) stage(e *record.Entry, b *record.Stage) {
	how := fmt.Sprintf("%s, %s, %d steps", b.Name, b.Method, b.Steps)
	if b.From > 0 {
		how += fmt.Sprintf(", from step %d", b.From)
	}
	f.event(e, b.Stage, b.From, how)
	if b.Stage != len(f.run.Stages) { // a stage that goes on after a resume
		return
	}
	r := &f.run
	r.Stages = append(r.Stages, Stage{
		Name: b.Name, Method: b.Method, Steps: b.Steps, Rows: b.Rows, HeldOut: b.HeldOut, Tokens: b.Tokens, Supervised: b.Supervised,
		Batch: b.Batch, Micro: b.Micro, Accumulation: b.Accumulation, Sequence: b.Sequence, Optimizer: b.Optimizer, LR: b.LR,
		MTP: b.MTP, Indexer: b.Indexer, Data: string(b.Data), Order: string(b.Order),
	})
	r.TrainSamples += b.Rows
	r.Accumulation = max(r.Accumulation, b.Accumulation)
	r.EvalSamples = max(r.EvalSamples, b.HeldOut)
}

// mostStages bounds the stages of which routing and ranks are kept.
const mostStages = 256

// ofStage returns the element of a stage, appended as blank if there is none yet;
// nil beyond mostStages.
func ofStage[T any](all *[]T, blank T, same func(T) bool) *T {
	at := slices.IndexFunc(*all, same)
	if at < 0 {
		if len(*all) == mostStages {
			return nil
		}
		at = len(*all)
		*all = append(*all, blank)
	}
	return &(*all)[at]
}

// routing adds to what the stage's tokens were routed to so far.
func (f *Filler) routing(b *record.Routing) {
	r := ofStage(&f.run.Routing, Routing{Stage: b.Stage}, func(r Routing) bool { return r.Stage == b.Stage })
	if r == nil {
		return
	}
	r.Steps += b.To - b.From
	for i, counts := range b.Counts {
		if i == len(r.Counts) {
			r.Counts = append(r.Counts, make([]int64, len(counts)))
		}
		for j, n := range counts {
			if j == len(r.Counts[i]) {
				r.Counts[i] = append(r.Counts[i], 0)
			}
			r.Counts[i][j] += n
		}
	}
}

// times adds to where the ranks' time went so far; both lists ascend.
func (f *Filler) times(b *record.Times) {
	r := ofStage(&f.run.RankTimes, RankTimes{Stage: b.Stage}, func(r RankTimes) bool { return r.Stage == b.Stage })
	if r == nil {
		return
	}
	r.Steps += b.To - b.From
	merged := make([]record.RankTime, 0, max(len(r.Ranks), len(b.Ranks)))
	old := r.Ranks
	for _, n := range b.Ranks {
		for len(old) > 0 && old[0].Rank < n.Rank {
			merged, old = append(merged, old[0]), old[1:]
		}
		if len(old) > 0 && old[0].Rank == n.Rank {
			n.Split = sum(old[0].Split, n.Split)
			old = old[1:]
		}
		merged = append(merged, n)
	}
	r.Ranks = append(merged, old...)
}

// sum adds two splits part by part.
func sum(a, b record.Split) record.Split {
	return record.Split{
		Wall: a.Wall + b.Wall, Data: a.Data + b.Data, Forward: a.Forward + b.Forward, Backward: a.Backward + b.Backward, Model: a.Model + b.Model,
		Communication: a.Communication + b.Communication, Bubble: a.Bubble + b.Bubble, Optimizer: a.Optimizer + b.Optimizer,
		Checkpoint: a.Checkpoint + b.Checkpoint, Stall: a.Stall + b.Stall, Other: a.Other + b.Other,
	}
}

func (f *Filler) step(e *record.Entry, b *record.Step) {
	s := Step{
		Index: e.Index, Stage: b.Stage, Number: b.Step, Time: e.Time, Examples: b.Examples, Tokens: b.Tokens, Supervised: b.Supervised,
		GradNorm: b.GradNorm, LR: b.LR, Wall: time.Duration(b.Time.Wall), Memory: b.Memory, Skipped: b.Skipped != "",
		Energy: b.Energy, Peak: f.peak,
	}
	for _, name := range slices.Sorted(maps.Keys(b.Losses)) {
		s.Losses = append(s.Losses, Value{name, b.Losses[name]})
	}
	if b.Load != nil {
		s.MaxViolation = b.Load.Max
	}
	s.Split = split(&b.Time)
	f.flops(&s, b)
	f.run.Steps = append(f.run.Steps, s)
}

// split lists the parts of a step's time that took any.
func split(t *record.Split) []Part {
	var out []Part
	for _, p := range []Part{
		{"data", time.Duration(t.Data)},
		{"forward", time.Duration(t.Forward)},
		{"backward", time.Duration(t.Backward)},
		{"model", time.Duration(t.Model)},
		{"communication", time.Duration(t.Communication)},
		{"bubble", time.Duration(t.Bubble)},
		{"optimizer", time.Duration(t.Optimizer)},
		{"checkpoint", time.Duration(t.Checkpoint)},
		{"stall", time.Duration(t.Stall)},
		{"other", time.Duration(t.Other)},
	} {
		if p.Took > 0 {
			out = append(out, p)
		}
	}
	return out
}

func (f *Filler) evaluation(e *record.Entry, b *record.Evaluation) {
	ev := f.event(e, b.Stage, b.Step, "")
	ev.Took = time.Duration(b.Took)
	if b.HeldOut != nil {
		ev.Values = append(ev.Values, Value{"held_out_loss", b.HeldOut.Loss})
	}
	for _, name := range slices.Sorted(maps.Keys(b.Suites)) {
		if s := b.Suites[name]; s.Total > 0 {
			ev.Values = append(ev.Values, Value{name, float64(s.Right) / float64(s.Total)})
			f.run.Samples[name] = s.Total
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.Metrics)) {
		ev.Values = append(ev.Values, Value{name, b.Metrics[name].Value})
	}
}

func (f *Filler) recovery(e *record.Entry, b *record.Recovery) error {
	r := &f.run
	if b.Again < 0 || b.Again > int64(len(r.Steps)) {
		return fmt.Errorf("entry %d (recovery): again: %d steps, %d are before it", e.Index, b.Again, len(r.Steps))
	}
	left := len(r.Steps) - int(b.Again)
	for i := left; i < len(r.Steps); i++ {
		r.Again = append(r.Again, Retaken{r.Steps[i], i})
	}
	r.Steps = r.Steps[:left]
	first := len(r.Events) // those after the steps that stand: they are last
	for first > 0 && r.Events[first-1].After > left {
		first--
		r.Events[first].After = left
	}
	stand := r.Events[:first]
	for _, e := range r.Events[first:] {
		if e.Kind != Evaluation {
			stand = append(stand, e)
		}
	}
	r.Events = stand
	ev := f.event(e, b.Stage, b.Step, fmt.Sprintf("%s taken again, from step %d: %s", plural(b.Again, "step is", "steps are"), b.Step, b.Cause))
	ev.Values = []Value{{"again", float64(b.Again)}}
	f.devices("after entry "+itoa(e.Index), b.Devices)
	return nil
}
