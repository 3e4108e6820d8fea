package render

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/temper-ml/temper/internal/figure"
)

// view computes what a page shows of its runs.
type view struct {
	runs    []*Run
	names   []string
	spans   [][]Span
	good    []Goodput
	summary []*Summary
}

func newView(runs []*Run) *view {
	v := &view{runs: runs}
	seen := map[string]int{}
	for _, r := range runs {
		name := r.Name
		if name == "" {
			name = "unnamed"
		}
		if r.Title != "" && r.Title != r.Name {
			name = r.Title + " (" + name + ")"
		}
		seen[name]++
		if n := seen[name]; n > 1 {
			name += " (" + strconv.Itoa(n) + ")"
		}
		v.names = append(v.names, name)
		spans := r.Spans()
		good := r.goodputOf(spans)
		v.spans, v.good, v.summary = append(v.spans, spans), append(v.good, good), append(v.summary, r.summary(good))
	}
	return v
}

// alone says that the page is about one run.
func (v *view) alone() bool { return len(v.runs) == 1 }

// sections are the page from top to bottom.
func (v *view) sections() []section {
	out := []section{
		{"summary", "Summary", "", v.summaries()},
		{"answers", "What is on record", "Questions that the announcement of a training run should answer, and where this page answers them.", []part{whole(v.answers())}},
		{"verification", "Verification", "Form: the record is whole, signed and unchanged. Arithmetic: its numbers follow from each other and from the recipe. Replay: another machine takes steps again and gets the same bits.", v.verification()},
		{"timeline", "Timeline", "Every moment from the start of the program belongs to one lane; marks are incidents. Times are those of the run’s own clock.", v.timeline()},
		{"training", "Training", "By step, counted over all stages.", v.training()},
		{"speed", "Throughput", "", v.speed()},
		{"utilization", "Utilization", "Model operations over the time spent in steps over the peak (MFU). Conventions count the same work differently, so a figure without its convention and its peak means nothing.", v.utilization()},
		{"comparison", "Against other hardware", "Derived from the run’s own operations and measured utilization, and from data sheets: it says how the peaks compare, not what another machine would reach. What the planner predicts for a step is below it.", v.comparison()},
		{"time", "Where the time went", "", v.time()},
		{"experts", "Expert load", "Routed tokens of each expert over the mean of its block.", v.experts()},
		{"memory", "Memory", "", v.memory()},
		{"goodput", "Checkpoints and goodput", "Goodput is the share of all time from the start of the program that went into steps that stand, and into generating for them.", v.goodput()},
		{"incidents", "Incidents", "Faults, recoveries, pauses, skipped steps and notes.", []part{whole(v.incidents())}},
		{"evaluation", "Evaluation before and after", "First is before any step of the stage, if it was measured then.", v.evaluation()},
		{"hardware", "Hardware", "", []part{whole(v.facts("Hardware", func(r *Run) []Fact { return r.Hardware }))}},
		{"interconnect", "Interconnect", "", []part{whole(v.facts("Interconnect", func(r *Run) []Fact { return r.Interconnect }))}},
		{"software", "Software", "", v.software()},
		{"data", "Data", "Files and what was made of them. A digest names its content; whoever has the file can check it.", []part{whole(v.data())}},
		{"recipe", "Recipe", "", v.recipes()},
	}
	if v.alone() {
		out[len(out)-1].Intro = "The complete recipe, defaults included."
	}
	return out
}

// svg takes a figure into the page. Package figure escapes every text it draws.
func svg(b []byte) template.HTML { return template.HTML(b) }

// chart is a value by step of each run, with its numbers below.
type chart struct {
	title, note, axis string
	lines             []chartLine
	// again draws the steps taken again with of, where there is one run.
	again func(s *Step) float64
	// from0 begins the axis at zero; wide is over all columns.
	from0, wide bool
}

// chartLine is a value by position: of every step, or at given ones.
type chartLine struct {
	name   string
	run    int
	values func(i int) float64 // of step i; NaN: none
	at     []figure.Point      // instead of values
}

// points are the line's, in the plot's coordinates.
func (v *view) points(l *chartLine) []figure.Point {
	if l.values == nil {
		return l.at
	}
	steps := v.runs[l.run].Steps
	points := make([]figure.Point, 0, len(steps)+8)
	for i := range steps {
		if i > 0 && steps[i].Stage != steps[i-1].Stage { // nothing joins two stages
			points = append(points, figure.Point{X: float64(i), Y: math.NaN()})
		}
		points = append(points, figure.Point{X: float64(i), Y: l.values(i)})
	}
	return points
}

// draw is the chart and its numbers, or a row that says that there are none.
func (v *view) draw(c chart) part {
	f := &figure.Plot{Title: c.title, X: figure.Axis{Label: "step"}, Y: figure.Axis{Label: c.axis, Format: short}, Wide: c.wide}
	var kept []chartLine
	var points [][]figure.Point
	longest := 0
	for _, l := range c.lines {
		ps := v.points(&l)
		first, last := math.NaN(), math.NaN()
		for _, p := range ps {
			if !math.IsNaN(p.Y) {
				if last = p.Y; math.IsNaN(first) {
					first = p.Y
				}
			}
		}
		if math.IsNaN(last) {
			continue
		}
		f.Desc += fmt.Sprintf("%s goes from %s to %s. ", l.name, short(first), short(last))
		f.Series = append(f.Series, figure.Series{Name: l.name, Remark: short(first) + " → " + short(last), Points: ps})
		kept, points = append(kept, l), append(points, ps)
		if l.values != nil {
			longest = max(longest, len(v.runs[l.run].Steps))
		}
	}
	if len(kept) == 0 {
		return silent(c.title, c.title)
	}
	if c.from0 {
		f.Y = from0(f.Y, points)
	}
	if v.alone() {
		f.Rules = v.rules()
		if c.again != nil {
			f.Faint, f.FaintName = v.faint(c.again), "steps taken again"
		}
	}
	return part{Caption: c.title, Note: c.note, SVG: svg(f.SVG()), Wide: c.wide, Table: v.chartTable(c.title, kept, points, longest), Folded: true}
}

// from0 is an axis from zero to a little above the greatest value.
func from0(a figure.Axis, lines [][]figure.Point) figure.Axis {
	most := 0.0
	for _, ps := range lines {
		for _, p := range ps {
			if p.Y > most && !math.IsInf(p.Y, 0) {
				most = p.Y
			}
		}
	}
	if most > 0 {
		a.Hi = 1.06 * most
	}
	return a
}

// chartTable has the numbers of a chart at forty steps, and those of lines that
// have few at their own.
func (v *view) chartTable(title string, lines []chartLine, points [][]figure.Point, longest int) *table {
	t := &table{Caption: title + " in numbers", Head: []string{"step"}}
	want := spaced(longest, 40)
	by := make([]map[int]float64, len(lines))
	for k := range lines {
		t.Head = append(t.Head, lines[k].name)
		if lines[k].values != nil {
			continue
		}
		by[k] = map[int]float64{}
		for _, j := range spaced(len(points[k]), 40) {
			i := int(points[k][j].X)
			by[k][i] = points[k][j].Y
			want = append(want, i)
		}
	}
	slices.Sort(want)
	for _, i := range slices.Compact(want) {
		row := []string{strconv.Itoa(i)}
		for k := range lines {
			y := math.NaN()
			if by[k] != nil {
				if at, ok := by[k][i]; ok {
					y = at
				}
			} else if i < len(v.runs[lines[k].run].Steps) {
				y = lines[k].values(i)
			}
			row = append(row, orDash(y))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// orDash is a number, or a dash for none.
func orDash(x float64) string {
	if math.IsNaN(x) {
		return "–"
	}
	return short(x)
}

// faint are the steps taken again of the only run, a line for each recovery.
func (v *view) faint(of func(s *Step) float64) []figure.Series {
	var out []figure.Series
	again := v.runs[0].Again
	for i := range again {
		if i == 0 || again[i].At != again[i-1].At+1 {
			if len(out) == 50 {
				break
			}
			out = append(out, figure.Series{})
		}
		s := &out[len(out)-1]
		s.Points = append(s.Points, figure.Point{X: float64(again[i].At), Y: of(&again[i].Step)})
	}
	return out
}

// rules mark stages and incidents of a run that is shown alone.
func (v *view) rules() []figure.Rule {
	r := v.runs[0]
	var out []figure.Rule
	for i := range r.Steps {
		if i > 0 && r.Steps[i].Stage != r.Steps[i-1].Stage && len(out) < 12 {
			out = append(out, figure.Rule{X: float64(i), Name: r.stageName(r.Steps[i].Stage)})
		}
	}
	for i := range r.Events {
		if e := &r.Events[i]; (e.Kind == Fault || e.Kind == Recovery) && len(out) < 24 {
			if n := len(out); n > 0 && out[n-1].X == float64(e.After) {
				continue
			}
			out = append(out, figure.Rule{X: float64(e.After), Name: e.Kind})
		}
	}
	return out
}

// spaced is at most n of the numbers below length, the first and last among them.
func spaced(length, n int) []int {
	var out []int
	for k := range min(length, n) {
		if length <= n {
			out = append(out, k)
		} else {
			out = append(out, k*(length-1)/(n-1))
		}
	}
	return out
}

// each makes a line for every run.
func (v *view) each(name string, of func(r *Run, s *Step) float64) []chartLine {
	var out []chartLine
	for k, r := range v.runs {
		label := name
		if !v.alone() {
			label = v.names[k]
		}
		out = append(out, chartLine{name: label, run: k, values: func(i int) float64 { return of(r, &r.Steps[i]) }})
	}
	return out
}

// short prints a number as a person reads it: four digits, or all of a large
// whole one, in groups.
func short(x float64) string {
	if a := math.Abs(x); a >= 1e4 && a < 1e15 {
		return grouped(int64(math.Round(x)))
	}
	return strconv.FormatFloat(x, 'g', 4, 64)
}

// grouped prints a whole number in groups of three digits.
func grouped(n int64) string {
	s := itoa(n)
	first := len(s) % 3
	if n < 0 {
		first = (len(s)-1)%3 + 1
	}
	var b strings.Builder
	for i, d := range s {
		if i > 0 && i%3 == first%3 && s[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// clock prints a time in UTC.
func clock(ms int64) string {
	if ms <= 0 {
		return notRecorded
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05 UTC")
}

func percent(x float64) string {
	if math.IsNaN(x) {
		return notRecorded
	}
	return fmt.Sprintf("%.2f %%", 100*x)
}
