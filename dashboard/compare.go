package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/temper-ml/temper/report/render"
)

// maxCompared is how many runs are laid over each other.
const maxCompared = 8

// compareView is several runs side by side.
type compareView struct {
	Rows     []row
	Charts   []chart
	Agree    []string
	Tables   []diffTable
	Same     int // rows that are left out because all runs agree
	All      bool
	AllLink  string
	Recipes  []recipeDiff
	TooMany  bool
	Missing  int
	Together string // identifiers, separated by spaces
}

// diffTable is a table with a column for each run.
type diffTable struct {
	Caption string
	Rows    []diffRow
}

// diffRow is one fact of all runs.
type diffRow struct {
	Name    string
	Cells   []string
	Differs bool
}

// recipeDiff is the recipe of a run against that of the first.
type recipeDiff struct {
	A, B  string
	Lines []diffLine
	Same  bool
}

// comparePage shows runs over each other, or says how to choose them.
func (s *Server) comparePage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	v := compareView{All: q.Get("all") == "1"}
	var runs []*run
	for _, id := range q["run"] {
		x := s.hub.find(id)
		switch {
		case x == nil:
			v.Missing++
		case slices.Contains(runs, x):
		case len(runs) == maxCompared:
			v.TooMany = true
		default:
			runs = append(runs, x)
		}
	}
	if len(runs) > 0 {
		v.fill(runs, s.hub.now())
	}
	link := url.Values{"run": q["run"]}
	if !v.All {
		link.Set("all", "1")
	}
	v.AllLink = "/compare?" + link.Encode()
	s.page(w, r, http.StatusOK, "compare", layout{Title: "Compare", Live: v.Together, Body: v})
}

func (v *compareView) fill(runs []*run, now time.Time) {
	var ids []string
	for _, x := range runs {
		v.Rows = append(v.Rows, x.row(now))
		ids = append(ids, x.id)
	}
	v.Together = strings.Join(ids, " ")
	for i, x := range runs[1:] {
		v.Agree = append(v.Agree, agreement(runs[0], x, v.Rows[0].Name, v.Rows[i+1].Name))
	}
	var summaries, hardware, software, settings, data [][]render.Fact
	var recipes []string
	for i, x := range runs {
		x.mu.RLock()
		summaries = append(summaries, x.summary(now, &v.Rows[i]))
		settings = append(settings, x.settings())
		facts := x.facts
		if facts == nil {
			facts = &render.Run{}
		}
		hardware, software = append(hardware, facts.Hardware), append(software, facts.Software)
		var files []render.Fact
		for _, f := range facts.Data {
			files = append(files, render.Fact{Name: f.Path, Value: f.Digest})
		}
		data = append(data, files)
		recipes = append(recipes, facts.Recipe)
		v.overlay(x)
		x.mu.RUnlock()
	}
	for _, t := range []struct {
		caption string
		of      [][]render.Fact
	}{{"Summary", summaries}, {"Stages", settings}, {"Hardware", hardware}, {"Software", software}, {"Data", data}} {
		v.table(t.caption, t.of)
	}
	for i := range runs[1:] {
		d := recipeDiff{A: v.Rows[0].Name, B: v.Rows[i+1].Name, Same: recipes[0] == recipes[i+1]}
		if !d.Same {
			d.Lines = diffTexts(recipes[0], recipes[i+1])
		}
		v.Recipes = append(v.Recipes, d)
	}
}

// overlay adds the charts that a run has numbers for.
func (v *compareView) overlay(x *run) {
	for _, c := range x.charts() {
		known := slices.ContainsFunc(v.Charts, func(o chart) bool { return o.ID == c.ID })
		if known || c.ID == "parts" || c.ID == "memory" {
			continue
		}
		column, _, _ := strings.Cut(c.Columns, " ")
		v.Charts = append(v.Charts, chart{ID: c.ID, Title: c.Title, Unit: c.Unit, Log: c.Log, Columns: column})
	}
}

// agreement says up to which step two runs are known to be the same.
func agreement(a, b *run, nameA, nameB string) string {
	first, second := a, b
	if a.path > b.path { // always in one order
		first, second = b, a
	}
	first.mu.RLock()
	second.mu.RLock()
	agree, width, found := parting(a.table, b.table)
	second.mu.RUnlock()
	first.mu.RUnlock()
	names := fmt.Sprintf("%s and %s", nameA, nameB)
	switch {
	case found && agree == 0:
		return fmt.Sprintf("%s differ from the beginning (digests of batches and parameters).", names)
	case found && width == 1:
		return fmt.Sprintf("%s are the same for %s steps (digests of batches and parameters); step %s is the first that differs.", names, count(agree), count(agree+1))
	case found:
		return fmt.Sprintf("%s are the same for %s steps (digests of batches and parameters); the first that differs is among the %s after them.", names, count(agree), count(width))
	case agree > 0:
		return fmt.Sprintf("%s are the same for all %s steps that both have digests of.", names, count(agree))
	}
	return fmt.Sprintf("Whether %s begin alike is not on record: no digests of the same steps.", names)
}

// summary is the run in numbers.
func (r *run) summary(now time.Time, row *row) []render.Fact {
	out := []render.Fact{{Name: "state", Value: string(row.State)}, {Name: "steps", Value: count(r.table.steps)}}
	for _, t := range r.tiles(now, row) {
		switch t.Name {
		case "Loss", "Tokens", "Elapsed", "Memory":
			out = append(out, render.Fact{Name: strings.ToLower(t.Name[:1]) + t.Name[1:], Value: t.Value})
		}
	}
	mean := r.table.view(0, r.table.steps, 1)
	for _, c := range []struct{ name, column, unit string }{{"mean tokens/s", "tokens_per_second", "rate"}, {"mean MFU", "mfu", "percent"}} {
		if l, ok := mean.Columns[c.column]; ok && len(l.Mean) > 0 {
			out = append(out, render.Fact{Name: c.name, Value: inUnit(float64(l.Mean[0]), c.unit)})
		}
	}
	if name := r.mainLoss(); name != "" {
		if e, ok := r.table.extremes(name); ok {
			out = append(out, render.Fact{Name: "least loss", Value: fmt.Sprintf("%s at step %s", short(e.Least), count(e.LeastAt))})
		}
	}
	if n := len(r.evaluations); n > 0 {
		last := &r.evaluations[n-1].Evaluation
		out = append(out, render.Fact{Name: "last evaluation", Value: describeEvaluation(last)})
	}
	for _, k := range []string{"fault", "recovery", "checkpoint", "skipped"} {
		if n := r.events.counts[k]; n > 0 {
			out = append(out, render.Fact{Name: "events: " + k, Value: count(n)})
		}
	}
	return append(out, render.Fact{Name: "signed by", Value: row.Key})
}

// settings are what the stages are made of.
func (r *run) settings() []render.Fact {
	var out []render.Fact
	t := r.stageTable()
	for _, cells := range t.Rows {
		for i := 1; i < len(cells); i++ {
			out = append(out, render.Fact{Name: cells[0] + ": " + t.Head[i], Value: cells[i]})
		}
	}
	return out
}

// table adds facts side by side, without those that all runs share unless all
// are wanted.
func (v *compareView) table(caption string, of [][]render.Fact) {
	t := diffTable{Caption: caption}
	at := map[string]int{}
	for i, facts := range of {
		for _, f := range facts {
			row, ok := at[f.Name]
			if !ok {
				row = len(t.Rows)
				at[f.Name] = row
				t.Rows = append(t.Rows, diffRow{Name: cutText(f.Name, 200), Cells: slices.Repeat([]string{none}, len(of))})
			}
			t.Rows[row].Cells[i] = or(cutText(f.Value, 500))
		}
	}
	kept := t.Rows[:0]
	for _, row := range t.Rows {
		row.Differs = len(slices.Compact(slices.Clone(row.Cells))) > 1
		switch {
		case !row.Differs && !v.All:
			v.Same++
		case len(kept) < 400:
			kept = append(kept, row)
		}
	}
	if t.Rows = kept; len(kept) > 0 {
		v.Tables = append(v.Tables, t)
	}
}
