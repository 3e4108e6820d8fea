package render

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/temper-ml/temper/internal/figure"
	"github.com/temper-ml/temper/internal/unit"
)

// timeline is a figure for each run, and what happened in it as a table.
func (v *view) timeline() []part {
	var out []part
	for k, r := range v.runs {
		if len(v.spans[k]) == 0 {
			out = append(out, silent("Timeline of "+v.names[k], "Times"))
			continue
		}
		out = append(out, part{Caption: "Timeline of " + v.names[k], Note: v.lasted(k), SVG: svg(v.lanes(k, r).SVG()), Wide: true, Table: v.spent(k), Folded: true})
	}
	return append(out, whole(v.events("Events in order", Begin, StageBegin, End, Pause, Resume, InitStart, InitStop, Ranks, Fault, Recovery)))
}

func (v *view) lasted(k int) string {
	return fmt.Sprintf("%s, %s", clock(v.summary[k].Started), unit.Duration(v.good[k].Wall))
}

// lanes are a run's stages, what its time was spent on, and its incidents.
func (v *view) lanes(k int, r *Run) *figure.Timeline {
	spans, g := v.spans[k], &v.good[k]
	t := &figure.Timeline{Title: "Timeline of " + v.names[k], From: spans[0].From, To: spans[len(spans)-1].To}
	stages := figure.Lane{Name: "stage"}
	for i := range r.Stages[:min(len(r.Stages), maxStages)] {
		if s, ok := stageSpan(spans, i); ok {
			stages.Spans = append(stages.Spans, figure.Span{From: s.From, To: s.To, Color: i, Name: fmt.Sprintf("%s, %s", r.stageName(i), unit.Duration(duration(s.To-s.From)))})
		}
	}
	t.Lanes = append(t.Lanes, stages)
	for i, kind := range Spent {
		lane := figure.Lane{Name: kind, Color: i}
		for _, s := range spans {
			if s.Kind == kind {
				lane.Spans = append(lane.Spans, figure.Span{From: s.From, To: s.To, Name: spanName(r, &s)})
			}
		}
		if len(lane.Spans) > 0 {
			lane.Remark = fmt.Sprintf("%s, %s", share(g.By[kind], g.Wall), unit.Duration(g.By[kind]))
			t.Desc += fmt.Sprintf("%s %s. ", kind, lane.Remark)
			t.Lanes = append(t.Lanes, lane)
		}
	}
	incidents := figure.Lane{Name: "incidents", Color: 1}
	for i := range r.Events {
		if e := &r.Events[i]; e.Time > 0 && slices.Contains([]string{Fault, Recovery, Pause, Resume, Ranks}, e.Kind) {
			incidents.Marks = append(incidents.Marks, figure.Mark{At: e.Time, Name: fmt.Sprintf("%s, %s: %s", e.Kind, clock(e.Time), e.Text)})
		}
	}
	incidents.Remark = plural(int64(len(incidents.Marks)), "mark", "marks")
	t.Lanes = append(t.Lanes, incidents)
	return t
}

// stageSpan is from the first to the last step of a stage.
func stageSpan(spans []Span, stage int) (Span, bool) {
	var out Span
	found := false
	for _, s := range spans {
		if s.Stage == stage && s.Kind != Preparing {
			if !found {
				out, found = s, true
			}
			out.To = s.To
		}
	}
	return out, found
}

func spanName(r *Run, s *Span) string {
	took := unit.Duration(duration(s.To - s.From))
	switch {
	case (s.Kind == Training || s.Kind == TakenAgain) && s.First == s.Last:
		return fmt.Sprintf("%s, step %d of %s, %s", s.Kind, s.First, r.stageName(s.Stage), took)
	case s.Kind == Training || s.Kind == TakenAgain:
		return fmt.Sprintf("%s, steps %d to %d of %s, %s", s.Kind, s.First, s.Last, r.stageName(s.Stage), took)
	}
	return fmt.Sprintf("%s, %s", s.Kind, took)
}

func share(d, of time.Duration) string {
	if of <= 0 {
		return notRecorded
	}
	return fmt.Sprintf("%.1f %%", 100*float64(d)/float64(of))
}

// spent is what the time of a run went into.
func (v *view) spent(k int) *table {
	t := &table{Caption: "What the time of " + v.names[k] + " went into", Head: []string{"what", "seconds", "share"}}
	g := &v.good[k]
	for _, kind := range Spent {
		if d, ok := g.By[kind]; ok {
			t.Rows = append(t.Rows, []string{kind, short(d.Seconds()), share(d, g.Wall)})
		}
	}
	return t
}

// goodput compares runs by what their time went into, and lists checkpoints.
func (v *view) goodput() []part {
	t := v.compare("Goodput", func(r *Run) []Fact {
		k := slices.Index(v.runs, r)
		g, s := &v.good[k], v.summary[k]
		if g.Wall <= 0 {
			return []Fact{{"goodput", ""}}
		}
		out := []Fact{{"goodput", percent(g.Useful())}, {"all time", g.Wall.Round(time.Millisecond).String()}}
		for _, kind := range Spent {
			if d, ok := g.By[kind]; ok {
				out = append(out, Fact{kind, fmt.Sprintf("%s, %s", share(d, g.Wall), d.Round(time.Millisecond))})
			}
		}
		return append(out, Fact{"recoveries", itoa(g.Recoveries)}, Fact{"steps taken again", itoa(g.Again)},
			Fact{"checkpoints", fmt.Sprintf("%d, %s in all", s.Checkpoints, unit.Bytes(s.CheckpointBytes))})
	})
	checkpoints := v.events("Checkpoints", Checkpoint)
	if len(checkpoints.Rows) == 0 {
		checkpoints = &table{Caption: "Checkpoints", Rows: [][]string{{"checkpoints", "none on record"}}}
	}
	return []part{whole(t), {Table: checkpoints, Folded: len(checkpoints.Rows) > 12, Wide: true}}
}

// time shows where the wall time of the steps of each stage went, and of each
// rank.
func (v *view) time() []part {
	f := &figure.Stack{Title: "Where the time of steps went"}
	t := &table{Caption: "Where the time of steps went, in seconds", Head: []string{"stage", "wall"}}
	bars, labels := v.bars(f)
	bars = bars[:min(len(bars), maxStages*len(v.runs))]
	t.Head = append(t.Head, f.Parts...)
	for j, b := range bars {
		row := figure.Row{Name: labels[j], Remark: b.wall.Round(time.Millisecond).String()}
		cells := []string{labels[j], short(b.wall.Seconds())}
		for _, p := range f.Parts {
			share := 0.0
			if b.wall > 0 {
				share = float64(b.parts[p]) / float64(b.wall)
			}
			row.Shares = append(row.Shares, share)
			if share > 0 {
				f.Desc += fmt.Sprintf("%s %s %.1f %%. ", labels[j], p, 100*share)
			}
			cells = append(cells, short(b.parts[p].Seconds()))
		}
		f.Rows = append(f.Rows, row)
		t.Rows = append(t.Rows, cells)
	}
	if len(f.Parts) == 0 {
		return []part{silent("Time", "Split of the step time")}
	}
	out := []part{{Caption: "Where the time of steps went", Note: "share of the wall time of all steps of a stage", SVG: svg(f.SVG()), Table: t, Folded: true, Wide: true}}
	return append(out, v.ranks()...)
}

// bar is the time of the steps of a stage.
type bar struct {
	wall  time.Duration
	parts map[string]time.Duration
}

// bars adds up the steps of each stage, and names the parts.
func (v *view) bars(f *figure.Stack) (bars []bar, labels []string) {
	at := map[string]bool{}
	for k, r := range v.runs {
		by := map[int]int{}
		for i := range r.Steps {
			s := &r.Steps[i]
			j, ok := by[s.Stage]
			if !ok {
				j = len(bars)
				by[s.Stage] = j
				bars = append(bars, bar{parts: map[string]time.Duration{}})
				label := r.stageName(s.Stage)
				if !v.alone() {
					label = v.names[k] + ": " + label
				}
				labels = append(labels, label)
			}
			bars[j].wall += s.Wall
			for _, p := range s.Split {
				if !at[p.Name] && len(f.Parts) < mostNames {
					at[p.Name] = true
					f.Parts = append(f.Parts, p.Name)
				}
				bars[j].parts[p.Name] += p.Took
			}
		}
	}
	return bars, labels
}

// events lists events of some kinds; a long list keeps its ends.
func (v *view) events(caption string, kinds ...string) *table {
	t := &table{Caption: caption, PerRun: true, Head: []string{"event", "run", "time", "stage", "steps taken", "took", "what"}}
	for k, r := range v.runs {
		var mine [][]string
		for i := range r.Events {
			if e := &r.Events[i]; slices.Contains(kinds, e.Kind) {
				mine = append(mine, v.eventRow(k, e))
			}
		}
		if len(mine) > 200 {
			left := len(mine) - 200
			mine = slices.Concat(mine[:100], [][]string{{fmt.Sprintf("%d more", left), v.names[k], "", "", "", "", "left out here"}}, mine[len(mine)-100:])
		}
		t.Rows = append(t.Rows, mine...)
	}
	return t
}

func (v *view) eventRow(run int, e *Event) []string {
	took := "–"
	if e.Took > 0 {
		took = unit.Duration(e.Took)
	}
	return []string{e.Kind, v.names[run], clock(e.Time), v.runs[run].stageName(e.Stage), itoa(e.Steps), took, e.Text}
}

func (v *view) incidents() *table {
	t := v.events("Incidents in order", Fault, Recovery, Pause, Resume, Ranks, Note)
	for k, r := range v.runs {
		shown, more := 0, 0
		for i := range r.Steps {
			switch s := &r.Steps[i]; {
			case s.Skipped && shown < 100:
				t.Rows = append(t.Rows, []string{"skipped step", v.names[k], clock(s.Time), r.stageName(s.Stage), itoa(s.Number), "–", "not finite, changed nothing"})
				shown++
			case s.Skipped:
				more++
			}
		}
		if more > 0 {
			t.Rows = append(t.Rows, []string{strconv.Itoa(more) + " more", v.names[k], "", "", "", "", "skipped steps, left out here"})
		}
	}
	if len(t.Rows) == 0 {
		return &table{Caption: t.Caption, Rows: [][]string{{"incidents", "none on record"}}}
	}
	return t
}

// evaluation lists first and last value of each measure of each stage.
func (v *view) evaluation() []part {
	t := &table{Caption: "First and last value of each measure", PerRun: true, Head: []string{"measure", "run", "stage", "first", "after step", "last", "after step", "change"}}
	for k, r := range v.runs {
		for i, o := range v.summary[k].Stages {
			for _, m := range o.Measures {
				first, last, change := notRecorded, notRecorded, "–"
				if m.First != nil {
					first = short(*m.First)
				}
				if m.Last != nil {
					last = short(*m.Last)
				}
				if m.First != nil && m.Last != nil && m.LastStep > m.FirstStep {
					change = fmt.Sprintf("%+.4g", *m.Last-*m.First)
				}
				t.Rows = append(t.Rows, []string{m.Name, v.names[k], r.stageName(i), first, itoa(m.FirstStep), last, itoa(m.LastStep), change})
			}
		}
	}
	if len(t.Rows) == 0 {
		return []part{silent("Evaluation", "evaluations")}
	}
	return append([]part{whole(t)}, v.measures()...)
}

// measures are charts of what was measured more than once, but for the loss,
// which stands among the losses.
func (v *view) measures() []part {
	var names []string
	seen := map[string]bool{}
	for _, s := range v.summary {
		for _, o := range s.Stages {
			for _, m := range o.Measures {
				if !seen[m.Name] && (!v.alone() || m.Name != "held_out_loss") {
					seen[m.Name] = true
					names = append(names, m.Name)
				}
			}
		}
	}
	var out []part
	for _, name := range names[:min(len(names), 8)] {
		c := chart{title: name, note: "by steps taken", axis: "value"}
		most := 0
		for k, r := range v.runs {
			label := name
			if !v.alone() {
				label = v.names[k]
			}
			points := r.measured(name)
			most = max(most, len(points))
			c.lines = append(c.lines, chartLine{name: label, run: k, at: points})
		}
		if most > 1 {
			out = append(out, v.draw(c))
		}
	}
	return out
}
