package dashboard

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/render"
)

// pageView is the page of a run.
type pageView struct {
	Row       row
	Tiles     []tile
	Charts    []chart
	Time      *rankTimes
	TimeParts []string
	Routing   *routingView
	Timeline  timelineView
	Scores    grid
	Stages    grid
	Facts     []grid
	Data      grid
	Recipe    string
	Notes     []event
	Dropped   int
}

// tile is one number of the head of a page.
type tile struct{ Name, Value, Remark string }

// chart is a drawing of columns, what it shows in a sentence, and numbers.
type chart struct {
	ID, Title string
	Unit      string // "", "percent", "bytes", "rate", "lr"
	Columns   string // names, separated by spaces
	Names     string // of the lines, separated by spaces
	Log       bool
	Says      string
	Numbers   grid
}

// grid is a table of texts, its first column the names of rows.
type grid struct {
	Caption string
	Head    []string
	Rows    [][]string
	Numbers bool // all cells but the first are numbers
	Quiet   bool // the caption is for screen readers
}

// runPage shows one run.
func (s *Server) runPage(w http.ResponseWriter, r *http.Request) {
	x := s.hub.find(r.PathValue("id"))
	if x == nil {
		s.nothing(w, r)
		return
	}
	v := x.page(s.hub.now(), spanOf(r))
	s.page(w, r, http.StatusOK, "run", layout{Title: v.Row.Name, Live: x.id, Body: v})
}

// page shows the run, and routing up to the step span.
func (r *run) page(now time.Time, span int64) *pageView {
	v := &pageView{Row: r.row(now)}
	r.mu.RLock()
	defer r.mu.RUnlock()
	v.Tiles = r.tiles(now, &v.Row)
	v.Charts = r.charts()
	for _, p := range partNames {
		if _, ok := r.table.at["time:"+p]; ok {
			v.TimeParts = append(v.TimeParts, p)
		}
	}
	if r.times != nil {
		v.Time = viewTimes(*r.times)
	}
	v.Routing = r.viewRouting(span)
	v.Timeline = r.viewTimeline()
	v.Scores, v.Stages = r.scores(), r.stageTable()
	for _, e := range r.events.all() {
		if e.Kind == "note" {
			v.Notes = append(v.Notes, e)
		}
	}
	if n := len(v.Notes); n > 100 {
		v.Notes = v.Notes[n-100:]
	}
	if r.facts != nil {
		v.Facts = []grid{factTable("Hardware", r.facts.Hardware), factTable("Software", r.facts.Software), factTable("Interconnect", r.facts.Interconnect)}
		v.Data = dataTable(r.facts.Data)
		v.Recipe = r.facts.Recipe
	}
	v.Dropped = r.table.dropped
	return v
}

// tiles are the numbers a reader wants first.
func (r *run) tiles(now time.Time, row *row) []tile {
	var out []tile
	add := func(name, value, remark string) { out = append(out, tile{name, value, remark}) }
	if row.Stage != "" {
		add("Step", count(row.Step), fmt.Sprintf("of %s in %s", count(row.Steps), row.Stage))
	}
	if row.LossName != "" {
		remark := row.LossName
		if e, ok := r.table.extremes("loss:" + row.LossName); ok {
			remark = fmt.Sprintf("%s, least %s", row.LossName, short(e.Least))
		}
		add("Loss", row.Loss, remark)
	}
	if row.rate == row.rate {
		add("Tokens/s", row.Rate, "last step")
	}
	if row.mfu == row.mfu {
		convention := "convention not named"
		if c := r.step.Body.(*record.Step).Convention; c != "" {
			convention = "convention " + cutText(c, 20)
		}
		add("MFU", row.MFU, convention)
	}
	if n := len(r.table.tokens); n > 0 {
		add("Tokens", scaled(float64(r.table.tokens[n-1])), "in "+count(r.table.steps)+" steps")
	}
	if start := r.started(); start > 0 && r.time >= start {
		took := time.Duration(r.time-start) * time.Millisecond
		add("Elapsed", lasting(took), "since "+clock(start))
		if left, ok := r.left(); ok && row.State == Live {
			add("Stage left", lasting(left), "at the pace of the last steps")
		}
	}
	if m := r.table.last("memory"); m == m {
		add("Memory", bytesText(int64(m)), "peak of one rank")
	}
	return out
}

// started is when the run began, 0 if that is not on record.
func (r *run) started() int64 {
	if r.manifest.Started > 0 {
		return r.manifest.Started
	}
	if len(r.table.time) > 0 {
		return r.table.time[0]
	}
	return 0
}

// left is how long the stage goes on at the pace of the last rows.
func (r *run) left() (time.Duration, bool) {
	n := len(r.table.time)
	if n < 3 || len(r.stages) == 0 {
		return 0, false
	}
	s := r.stages[len(r.stages)-1]
	from := max(n-20, 0)
	steps := int64(n-1-from) * r.table.width
	per := float64(r.table.time[n-1]-r.table.time[from]) / float64(steps)
	remaining := s.Steps - (r.table.steps - s.Before)
	if remaining <= 0 || per <= 0 {
		return 0, false
	}
	return time.Duration(per*float64(remaining)) * time.Millisecond, true
}

// charts are the curves that the run has numbers for.
func (r *run) charts() []chart {
	var losses, others []string
	main := r.mainLoss()
	for _, c := range r.table.columns {
		if strings.HasPrefix(c.name, "loss:") && c.name != main {
			others = append(others, c.name)
		}
	}
	slices.Sort(others)
	if main != "" {
		losses = []string{main}
	}
	var out []chart
	for _, c := range []struct {
		id, title, unit string
		columns         []string
	}{
		{"loss", "Loss", "", losses},
		{"parts", "Other losses", "", others},
		{"grad", "Gradient norm, before clipping", "", []string{"grad_norm"}},
		{"lr", "Learning rate", "lr", []string{"lr"}},
		{"rate", "Throughput, tokens a second", "rate", []string{"tokens_per_second"}},
		{"mfu", "Model FLOP utilization", "percent", []string{"mfu"}},
		{"overload", "Expert overload, busiest over mean less 1", "", []string{"overload", "overload_mean"}},
		{"memory", "Memory peak of one rank", "bytes", []string{"memory"}},
	} {
		var has, names []string
		for _, name := range c.columns {
			if _, ok := r.table.at[name]; ok && !strings.ContainsAny(name, " \t\n\r\f") {
				has = append(has, name)
				names = append(names, lineName(name))
			}
		}
		if len(has) == 0 {
			continue
		}
		ch := chart{ID: c.id, Title: c.title, Unit: c.unit, Columns: strings.Join(has, " "), Names: strings.Join(names, " "), Log: c.id == "loss" || c.id == "parts" || c.id == "grad"}
		ch.Says, ch.Numbers = r.numbers(has, names, c.unit)
		ch.Numbers.Caption = strings.Trim(c.title+", "+ch.Numbers.Caption, ", ")
		ch.Numbers.Quiet = ch.Numbers.Caption == c.title
		out = append(out, ch)
	}
	return out
}

// lineNames are the names of lines that are not called as their columns.
var lineNames = map[string]string{
	"overload": "largest", "overload_mean": "mean", "grad_norm": "norm", "lr": "rate", "tokens_per_second": "tokens/s", "mfu": "MFU",
}

func lineName(column string) string {
	if name, ok := lineNames[column]; ok {
		return name
	}
	return strings.TrimPrefix(column, "loss:")
}

// numbers are columns in a sentence and in a table of a few rows.
func (r *run) numbers(columns, names []string, unit string) (says string, g grid) {
	var parts []string
	for i, c := range columns {
		if e, ok := r.table.extremes(c); ok {
			parts = append(parts, fmt.Sprintf("%s from %s to %s, least %s at step %s, most %s at step %s", names[i],
				inUnit(e.First, unit), inUnit(e.Last, unit), inUnit(e.Least, unit), count(e.LeastAt), inUnit(e.Most, unit), count(e.MostAt)))
		}
	}
	s := r.table.view(0, r.table.steps, 16)
	g = grid{Head: append([]string{"step"}, names...), Numbers: true}
	if s.Width > 1 {
		g.Caption = fmt.Sprintf("means of %s steps each", count(s.Width))
	}
	for i, step := range s.Step {
		row := []string{count(step)}
		for _, c := range columns {
			row = append(row, inUnit(float64(s.Columns[c].Mean[i]), unit))
		}
		g.Rows = append(g.Rows, row)
	}
	return strings.Join(parts, "; "), g
}

func inUnit(v float64, unit string) string {
	switch unit {
	case "percent":
		return percent(v)
	case "bytes":
		if v == v && !math.IsInf(v, 0) {
			return bytesText(int64(v))
		}
	case "rate":
		return scaled(v)
	case "lr":
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return short(v)
}

// scores are all evaluations.
func (r *run) scores() grid {
	names := map[string]bool{}
	held := false
	for _, e := range r.evaluations {
		held = held || e.HeldOut != nil
		for name := range e.Suites {
			if len(names) < 24 {
				names[name] = true
			}
		}
		for name := range e.Metrics {
			if len(names) < 24 {
				names[name] = true
			}
		}
	}
	suites := slices.Sorted(maps.Keys(names))
	g := grid{Caption: "Evaluations", Quiet: true, Head: []string{"stage", "step"}}
	if held {
		g.Head = append(g.Head, "held-out loss")
	}
	for _, n := range suites {
		g.Head = append(g.Head, cutText(n, 40))
	}
	g.Head = append(g.Head, "took")
	for _, e := range r.evaluations {
		row := []string{r.stageTitle(e.Stage), count(e.Step)}
		if held {
			text := none
			if e.HeldOut != nil {
				text = short(e.HeldOut.Loss)
			}
			row = append(row, text)
		}
		for _, n := range suites {
			text := none
			if s, ok := e.Suites[n]; ok && s.Total > 0 {
				text = fmt.Sprintf("%s (%d/%d)", percent(float64(s.Right)/float64(s.Total)), s.Right, s.Total)
			} else if m, ok := e.Metrics[n]; ok {
				text = short(m.Value)
			}
			row = append(row, text)
		}
		g.Rows = append(g.Rows, append(row, lasting(time.Duration(e.Took))))
	}
	if n := len(g.Rows); n > 200 {
		g.Rows = g.Rows[n-200:]
		g.Caption, g.Quiet = "the last 200 of "+count(int64(n))+" evaluations", false
	}
	return g
}

func (r *run) stageTitle(number int) string {
	for _, s := range r.stages {
		if s.Stage.Stage == number {
			return s.title()
		}
	}
	return fmt.Sprintf("stage %d", number)
}

// stageTable says what the stages are made of.
func (r *run) stageTable() grid {
	g := grid{Caption: "Stages", Quiet: true, Head: []string{"stage", "method", "steps", "rows a step", "tokens a row", "rows of an epoch", "optimizer", "learning rate"}}
	for _, s := range r.stages {
		lr := none
		if s.LR.Kind != "" {
			lr = fmt.Sprintf("%s, peak %s, final %s, warmup %s", s.LR.Kind, short(s.LR.Peak), short(s.LR.Final), count(s.LR.Warmup))
		}
		g.Rows = append(g.Rows, []string{
			s.title(), or(cutText(s.Method, 60)), count(s.Steps), positive(s.Batch), positive(s.Sequence), positive(s.Rows), or(cutText(s.Optimizer, 60)), lr,
		})
	}
	return g
}

func or(s string) string {
	if s == "" {
		return none
	}
	return s
}

func positive(n int64) string {
	if n <= 0 {
		return none
	}
	return count(n)
}

func factTable(caption string, facts []render.Fact) grid {
	g := grid{Caption: caption, Quiet: true}
	for _, f := range facts {
		if len(g.Rows) == 300 {
			g.Rows = append(g.Rows, []string{"and", fmt.Sprintf("%d more", len(facts)-300)})
			break
		}
		g.Rows = append(g.Rows, []string{cutText(f.Name, 200), or(cutText(f.Value, maxText))})
	}
	return g
}

func dataTable(files []render.File) grid {
	g := grid{Caption: "Data", Quiet: true, Head: []string{"file", "bytes", "rows", "digest"}}
	for _, f := range files {
		if len(g.Rows) == 200 {
			g.Rows = append(g.Rows, []string{fmt.Sprintf("and %d more", len(files)-200), "", "", ""})
			break
		}
		g.Rows = append(g.Rows, []string{cutText(f.Path, 300), positive(f.Bytes), positive(f.Rows), or(cutText(f.Digest, 200))})
	}
	return g
}
