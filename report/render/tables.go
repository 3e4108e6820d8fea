package render

import (
	"math"
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

// software splits off the modules, of which there are many.
func (v *view) software() []part {
	modules := func(want bool) func(r *Run) []Fact {
		return func(r *Run) []Fact {
			var out []Fact
			for _, f := range r.Software {
				if isModule(f.Name) == want {
					out = append(out, f)
				}
			}
			return out
		}
	}
	out := []part{whole(v.facts("Software", modules(false)))}
	if t := v.compare("Modules that the program was built from, with their sums", modules(true)); len(t.Rows) > 0 {
		out = append(out, part{Table: t, Folded: true, Wide: true})
	}
	return out
}

func isModule(name string) bool {
	return len(name) > len(modulePrefix) && name[:len(modulePrefix)] == modulePrefix
}

// modulePrefix begins the names of facts about modules.
const modulePrefix = "module "

func (v *view) data() *table {
	t := &table{Caption: "Sources of data", PerRun: true, Head: []string{"source", "run", "digest", "bytes", "rows", "examples", "tokens", "supervised", "left out"}}
	for k, r := range v.runs {
		for _, f := range r.Data {
			t.Rows = append(t.Rows, []string{
				f.Path, v.names[k], orNotRecorded(f.Digest), countOr(f.Bytes), countOr(f.Rows), countOr(f.Examples), countOr(f.Tokens), countOr(f.Supervised), itoa(f.Excluded),
			})
		}
		for i := range r.Stages {
			s := &r.Stages[i]
			if s.Data != "" {
				t.Rows = append(t.Rows, []string{"rows of stage " + r.stageName(i), v.names[k], s.Data, "–", countOr(s.Rows), "–", countOr(s.Tokens), countOr(s.Supervised), "–"})
			}
			if s.Order != "" {
				t.Rows = append(t.Rows, []string{"order of stage " + r.stageName(i), v.names[k], s.Order, "–", "–", "–", "–", "–", "–"})
			}
		}
	}
	if len(t.Rows) == 0 {
		return &table{Caption: t.Caption, Rows: [][]string{{"data", notRecorded}}}
	}
	return t
}

// Bounds of what a record may make long: rows of a table, stages in figures and
// ledgers.
const (
	maxRows   = 500
	maxStages = 24
)

// capped keeps the beginning of a long table and says how much is left out.
func capped(t *table) *table {
	if more := len(t.Rows) - maxRows; more > 0 {
		row := make([]string, len(t.Rows[0]))
		row[0] = grouped(int64(more)) + " more, left out here"
		t.Rows = append(t.Rows[:maxRows:maxRows], row)
	}
	return t
}

// recipes are the recipe of each run, and of several what they differ in.
func (v *view) recipes() []part {
	var out []part
	if !v.alone() {
		out = append(out, whole(v.differences()))
	}
	for k, r := range v.runs {
		if r.Recipe != "" {
			out = append(out, part{Text: &textPart{"Recipe of " + v.names[k], r.Recipe}, Wide: true})
		}
	}
	if len(out) == 0 {
		out = append(out, silent("Recipe", "recipe"))
	}
	return out
}

// differences are the fields of the recipes in which runs differ.
func (v *view) differences() *table {
	fields := make([]map[string]string, len(v.runs))
	var order []string
	seen := map[string]bool{}
	for k, r := range v.runs {
		fields[k] = map[string]string{}
		for _, f := range flatten(r.Recipe) {
			fields[k][f.Name] = f.Value
			if !seen[f.Name] {
				seen[f.Name] = true
				order = append(order, f.Name)
			}
		}
	}
	t := &table{Caption: "Fields in which the recipes differ", Head: append([]string{"field"}, v.names...)}
	for _, name := range order {
		row, differ := []string{name}, false
		for k := range v.runs {
			value, ok := fields[k][name]
			if !ok {
				value = "–"
			}
			row = append(row, value)
			differ = differ || value != row[1]
		}
		if differ && len(t.Rows) < maxRows {
			t.Rows = append(t.Rows, row)
		}
	}
	if len(t.Rows) == 0 {
		return &table{Caption: t.Caption, Rows: [][]string{{"recipes", "no field differs"}}}
	}
	return t
}
