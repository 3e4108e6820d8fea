package render

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/temper-ml/temper/internal/figure"
)

// compare is a table of facts with a column for each run.
func (v *view) compare(caption string, of func(r *Run) []Fact) *table {
	t := &table{Caption: caption, Head: append([]string{""}, v.names...)}
	at := map[string]int{}
	for k, r := range v.runs {
		for _, f := range of(r) {
			i, ok := at[f.Name]
			if !ok {
				i = len(t.Rows)
				at[f.Name] = i
				row := make([]string, 1+len(v.runs))
				row[0] = f.Name
				for c := 1; c < len(row); c++ {
					row[c] = notRecorded
				}
				t.Rows = append(t.Rows, row)
			}
			if f.Value != "" {
				t.Rows[i][1+k] = f.Value
			}
		}
	}
	return t
}

// facts is compare for what a manifest says, a row even where all are silent.
func (v *view) facts(caption string, of func(r *Run) []Fact) *table {
	t := v.compare(caption+" of the runs", of)
	if len(t.Rows) == 0 {
		row := []string{caption}
		for range v.runs {
			row = append(row, notRecorded)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// answers says for each question whether the run's entries answer it.
func (v *view) answers() *table {
	yes := func(ok bool, what string) string {
		if !ok {
			return notRecorded
		}
		return what
	}
	return v.compare("Questions and answers", func(r *Run) []Fact {
		timed := slices.ContainsFunc(r.Events, func(e Event) bool { return e.Time > 0 })
		used := len(r.Steps) > 0 && slices.ContainsFunc(r.Conventions, func(Convention) bool { return !math.IsNaN(r.MFU(&r.Steps[0], 0)) })
		evaluated := slices.ContainsFunc(r.Events, func(e Event) bool { return e.Kind == Evaluation })
		bad := 0
		for _, s := range r.Steps {
			if s.Skipped {
				bad++
			}
		}
		for _, e := range r.Events {
			if e.Kind == Fault || e.Kind == Recovery {
				bad++
			}
		}
		against := "none: this page is about one run"
		if len(v.runs) > 1 {
			against = "the runs beside it: see Summary, Hardware"
		}
		timeline := yes(len(r.Steps) > 0, "steps and their durations, without dates: see Timeline")
		if timed {
			timeline = "dated: see Timeline"
		}
		return []Fact{
			{"Against which other hardware is it compared?", against},
			{"How long did it take, and when?", timeline},
			{"How well was the hardware used?", yes(used, fmt.Sprintf("conventions: %d, see Throughput and utilization", len(r.Conventions)))},
			{"On what hardware?", yes(len(r.Hardware) > 0, "see Hardware")},
			{"With which software?", yes(len(r.Software) > 0, "see Software")},
			{"Over which interconnect?", yes(len(r.Interconnect) > 0, "see Interconnect")},
			{"On what data?", yes(len(r.Data) > 0, "see Data")},
			{"How good is the result, before and after?", yes(evaluated, "see Evaluation")},
			{"What went wrong?", yes(len(r.Steps)+len(r.Events) > 0, fmt.Sprintf("incidents on record: %d, see Incidents", bad))},
			{"Who checked it?", verdictOf("", r.Verdict).Result},
		}
	})
}

func (v *view) summary(r *Run) []Fact {
	var tokens, supervised, memory int64
	var wall time.Duration
	for i := range r.Steps {
		s := &r.Steps[i]
		tokens, supervised, wall = tokens+s.Tokens, supervised+s.Supervised, wall+s.Wall
		memory = max(memory, s.Memory)
	}
	out := []Fact{
		{"steps", itoa(int64(len(r.Steps)))},
		{"tokens", itoa(tokens)},
		{"supervised tokens", itoa(supervised)},
		{"time in steps", wall.Round(time.Millisecond).String()},
	}
	if wall > 0 {
		out = append(out, Fact{"tokens per second", short(float64(tokens) / wall.Seconds())})
	}
	for _, name := range lossNames(r) {
		first, last := find(r.Steps[0].Losses, name), find(r.Steps[len(r.Steps)-1].Losses, name)
		out = append(out, Fact{"loss " + name + ", first and last", short(first) + " → " + short(last)})
	}
	for c, by := range r.Conventions {
		out = append(out, Fact{"MFU, " + by.Name, percent(r.mean(c))})
	}
	peak := ""
	if r.Peak > 0 {
		peak = short(r.Peak) + " FLOP/s"
		if r.PeakBasis != "" {
			peak += ", " + r.PeakBasis
		}
	}
	out = append(out, Fact{"peak", peak})
	if memory > 0 {
		out = append(out, Fact{"memory peak", itoa(memory) + " bytes"})
	}
	ended := "no end on record: running or interrupted"
	if i := slices.IndexFunc(r.Events, func(e Event) bool { return e.Kind == End }); i >= 0 {
		ended = "ended " + r.Events[i].Text
	}
	return append(out, Fact{"state", ended}, Fact{"verification", verdictOf("", r.Verdict).Result})
}

// mean is the utilization over all steps.
func (r *Run) mean(c int) float64 {
	var possible float64
	for i := range r.Steps {
		s := &r.Steps[i]
		possible += float64(s.Wall.Seconds() * r.peakOf(s))
	}
	flops := r.flops(c)
	if !(flops > 0) || possible <= 0 {
		return math.NaN()
	}
	return flops / possible
}

func (v *view) conventions() *table {
	t := &table{Caption: "Operations and utilization by convention", Head: []string{"convention", "run", "operations", "MFU over all steps", "what it counts"}}
	for k, r := range v.runs {
		for c, by := range r.Conventions {
			var flops float64
			for i := range r.Steps {
				if c < len(r.Steps[i].FLOPs) {
					flops += r.Steps[i].FLOPs[c]
				}
			}
			t.Rows = append(t.Rows, []string{by.Name, v.names[k], short(flops), percent(r.mean(c)), by.Basis})
		}
	}
	return t
}

// time shows where the wall time of each stage went.
func (v *view) time() []part {
	f := &figure.Stack{Title: "Where the time went", Subtitle: "share of the wall time of all steps of a stage"}
	at := map[string]int{}
	type bar struct {
		wall  time.Duration
		parts map[string]time.Duration
	}
	t := &table{Caption: "Where the time went, in seconds", Head: []string{"stage", "wall"}}
	var bars []bar
	var labels []string
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
				if len(v.runs) > 1 {
					label = v.names[k] + ": " + label
				}
				labels = append(labels, label)
			}
			bars[j].wall += s.Wall
			for _, p := range s.Split {
				if _, ok := at[p.Name]; !ok {
					at[p.Name] = len(f.Parts)
					f.Parts = append(f.Parts, p.Name)
				}
				bars[j].parts[p.Name] += p.Took
			}
		}
	}
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
			cells = append(cells, short(b.parts[p].Seconds()))
		}
		f.Rows = append(f.Rows, row)
		t.Rows = append(t.Rows, cells)
	}
	if len(f.Parts) == 0 {
		return []part{{Table: &table{Caption: "Time", Rows: [][]string{{"Split of the step time", notRecorded}}}}}
	}
	return []part{{SVG: svg(f.SVG()), Table: t, Folded: true}}
}

// experts shows the load of each expert in the last step that recorded it.
func (v *view) experts() []part {
	var out []part
	for k, r := range v.runs {
		last := -1
		for i := range r.Steps {
			if len(r.Steps[i].Load) > 0 {
				last = i
			}
		}
		if last < 0 {
			out = append(out, part{Table: &table{Caption: "Expert load of " + v.names[k], Rows: [][]string{{"Tokens per expert", notRecorded}}}})
			continue
		}
		h := &figure.Heat{
			Title: "Expert load, " + v.names[k], Subtitle: "step " + strconv.Itoa(last), RowName: "block", ColName: "expert", Scale: "× mean", Reference: 1, ReferenceCaption: "(balanced)",
		}
		t := &table{Caption: "Expert load of " + v.names[k] + " in numbers", Head: []string{"block", "tokens", "least loaded, × mean", "most loaded, × mean"}}
		for b, load := range r.Steps[last].Load {
			row, total := relative(load)
			h.Cells = append(h.Cells, row)
			least, most := math.NaN(), math.NaN()
			if len(row) > 0 {
				least, most = slices.Min(row), slices.Max(row)
			}
			t.Rows = append(t.Rows, []string{strconv.Itoa(b), itoa(total), short(least), short(most)})
		}
		out = append(out, part{SVG: svg(h.SVG()), Table: t, Folded: true})
	}
	return out
}

// relative is each load over the mean, and the sum of all.
func relative(load []int64) (row []float64, total int64) {
	for _, n := range load {
		total += n
	}
	for _, n := range load {
		x := math.NaN()
		if total > 0 {
			x = float64(n) * float64(len(load)) / float64(total)
		}
		row = append(row, x)
	}
	return row, total
}

// timeline lists events of some kinds; a long list of checkpoints keeps its ends.
func (v *view) timeline(kinds ...string) *table {
	t := &table{Caption: "Events in order", Head: []string{"event", "run", "time", "stage", "steps taken", "what"}}
	for k, r := range v.runs {
		var mine [][]string
		for i := range r.Events {
			if e := &r.Events[i]; slices.Contains(kinds, e.Kind) {
				mine = append(mine, v.eventRow(k, e))
			}
		}
		if len(mine) > 200 {
			left := len(mine) - 200
			mine = slices.Concat(mine[:100], [][]string{{fmt.Sprintf("%d more", left), v.names[k], "", "", "", "left out here"}}, mine[len(mine)-100:])
		}
		t.Rows = append(t.Rows, mine...)
	}
	return t
}

func (v *view) eventRow(run int, e *Event) []string {
	return []string{e.Kind, v.names[run], clock(e.Time), v.runs[run].stageName(e.Stage), itoa(e.Steps), e.Text}
}

func (v *view) incidents() *table {
	t := v.timeline(Fault, Recovery, Note)
	t.Caption = "Incidents in order"
	for k, r := range v.runs {
		shown := 0
		for i := range r.Steps {
			if s := &r.Steps[i]; s.Skipped && shown < 100 {
				t.Rows = append(t.Rows, []string{"skipped step", v.names[k], clock(s.Time), r.stageName(s.Stage), itoa(s.Number), "not finite, changed nothing"})
				shown++
			}
		}
	}
	if len(t.Rows) == 0 {
		t.Rows = [][]string{{"none on record", "", "", "", "", ""}}
	}
	return t
}

// evaluation lists first and last value of each measure of each stage.
func (v *view) evaluation() *table {
	t := &table{Caption: "First and last value of each measure", Head: []string{"measure", "run", "stage", "first", "at step", "last", "at step"}}
	for k, r := range v.runs {
		at := map[string]int{}
		for i := range r.Events {
			e := &r.Events[i]
			if e.Kind != Evaluation {
				continue
			}
			for _, x := range e.Values {
				key := strconv.Itoa(e.Stage) + "/" + x.Name
				row, ok := at[key]
				if !ok {
					row = len(t.Rows)
					at[key] = row
					t.Rows = append(t.Rows, []string{x.Name, v.names[k], r.stageName(e.Stage), short(x.Value), itoa(e.Steps), "", ""})
				}
				t.Rows[row][5], t.Rows[row][6] = short(x.Value), itoa(e.Steps)
			}
		}
	}
	if len(t.Rows) == 0 {
		t.Rows = [][]string{{"evaluations", notRecorded}}
	}
	return t
}

func (v *view) software() []part {
	out := []part{{Table: v.facts("Software", func(r *Run) []Fact { return r.Software })}}
	for k, r := range v.runs {
		if r.Recipe != "" {
			out = append(out, part{Text: &textPart{"Recipe of " + v.names[k], r.Recipe}})
		}
	}
	return out
}

func (v *view) data() *table {
	t := &table{Caption: "Sources of data", Head: []string{"source", "run", "digest", "bytes", "rows", "examples", "tokens", "supervised", "left out"}}
	count := func(n int64) string {
		if n <= 0 {
			return notRecorded
		}
		return itoa(n)
	}
	for k, r := range v.runs {
		for _, f := range r.Data {
			digest := f.Digest
			if digest == "" {
				digest = notRecorded
			}
			t.Rows = append(t.Rows, []string{f.Path, v.names[k], digest, count(f.Bytes), count(f.Rows), count(f.Examples), count(f.Tokens), count(f.Supervised), itoa(f.Excluded)})
		}
	}
	if len(t.Rows) == 0 {
		t.Rows = [][]string{{"data", notRecorded}}
	}
	return t
}
