package render

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"time"

	"github.com/temper-ml/temper/internal/figure"
)

// view computes what a page shows of its runs.
type view struct {
	runs  []*Run
	names []string
}

func newView(runs []*Run) *view {
	v := &view{runs: runs}
	seen := map[string]int{}
	for _, r := range runs {
		name := r.Name
		if name == "" {
			name = "unnamed"
		}
		seen[name]++
		if n := seen[name]; n > 1 {
			name += " (" + strconv.Itoa(n) + ")"
		}
		v.names = append(v.names, name)
	}
	return v
}

func (v *view) sections() []section {
	return []section{
		{"answers", "What is on record", "Questions that the announcement of a training run should answer, and where this page answers them.", []part{{Table: v.answers()}}},
		{"summary", "Summary", "", []part{{Table: v.compare("Runs in numbers", v.summary)}}},
		{"training", "Training", "Losses, learning rate, gradient norm and expert overload by step, counted over all stages.", v.training()},
		{"speed", "Throughput and utilization", "Utilization is model operations over the time spent in steps over the peak. Conventions count the same work differently, so a figure without its convention and peak means nothing.", v.speed()},
		{"time", "Where the time went", "", v.time()},
		{"experts", "Expert load", "Routed tokens of each expert over the mean of its block, in the last step that recorded them.", v.experts()},
		{"timeline", "Timeline and checkpoints", "", []part{{Table: v.timeline(Begin, End, Pause, Resume, Checkpoint, InitStart, InitStop, "ranks", "rollout")}}},
		{"incidents", "Incidents", "Faults, recoveries, skipped steps and notes.", []part{{Table: v.incidents()}}},
		{"evaluation", "Evaluation", "First is before any step of the stage, if it was measured then.", []part{{Table: v.evaluation()}}},
		{"hardware", "Hardware", "", []part{{Table: v.facts("Hardware", func(r *Run) []Fact { return r.Hardware })}}},
		{"interconnect", "Interconnect", "", []part{{Table: v.facts("Interconnect", func(r *Run) []Fact { return r.Interconnect })}}},
		{"software", "Software", "", v.software()},
		{"data", "Data", "Files and what was made of them.", []part{{Table: v.data()}}},
	}
}

// svg takes a figure into the page. Package figure escapes every text it draws.
func svg(b []byte) template.HTML { return template.HTML(b) }

// chart is a value by step of each run, with its numbers below.
type chart struct {
	title, subtitle, axis string
	lines                 []chartLine
}

type chartLine struct {
	name   string
	run    int
	values func(i int) float64 // of step i; NaN: none
}

// draw is the chart and its numbers, or a row that says that there are none.
func (v *view) draw(c chart) []part {
	f := &figure.Lines{Title: c.title, Subtitle: c.subtitle, X: figure.Axis{Label: "step"}, Y: figure.Axis{Label: c.axis}}
	t := &table{Caption: c.title + " in numbers", Head: []string{"step"}}
	longest := 0
	var kept []chartLine
	for _, l := range c.lines {
		s := figure.Series{Name: l.name}
		last := math.NaN()
		for i := range v.runs[l.run].Steps {
			y := l.values(i)
			s.Points = append(s.Points, figure.Point{X: float64(i), Y: y})
			if !math.IsNaN(y) {
				last = y
			}
		}
		if math.IsNaN(last) {
			continue
		}
		s.Remark = "last " + short(last)
		f.Series = append(f.Series, s)
		t.Head = append(t.Head, l.name)
		kept = append(kept, l)
		longest = max(longest, len(s.Points))
	}
	if len(kept) == 0 {
		return []part{{Table: &table{Caption: c.title, Rows: [][]string{{c.title, notRecorded}}}}}
	}
	f.Rules = v.rules()
	for _, i := range spaced(longest, 40) {
		row := []string{strconv.Itoa(i)}
		for _, l := range kept {
			cell := ""
			if i < len(v.runs[l.run].Steps) {
				if cell = short(l.values(i)); cell == "NaN" {
					cell = "–"
				}
			}
			row = append(row, cell)
		}
		t.Rows = append(t.Rows, row)
	}
	return []part{{SVG: svg(f.SVG()), Table: t, Folded: true}}
}

// rules mark stages and incidents of a run that is shown alone.
func (v *view) rules() []figure.Rule {
	if len(v.runs) > 1 {
		return nil
	}
	r := v.runs[0]
	var out []figure.Rule
	for i := range r.Steps {
		if i > 0 && r.Steps[i].Stage != r.Steps[i-1].Stage {
			out = append(out, figure.Rule{X: float64(i), Name: r.stageName(r.Steps[i].Stage)})
		}
	}
	for i := range r.Events {
		if e := &r.Events[i]; (e.Kind == Fault || e.Kind == Recovery) && len(out) < 24 {
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
func (v *view) each(of func(r *Run, s *Step) float64) []chartLine {
	var out []chartLine
	for k, r := range v.runs {
		out = append(out, chartLine{v.names[k], k, func(i int) float64 { return of(r, &r.Steps[i]) }})
	}
	return out
}

func (v *view) training() []part {
	var losses []chartLine
	for k, r := range v.runs {
		for _, name := range lossNames(r) {
			label := name
			if len(v.runs) > 1 {
				label = v.names[k] + ": " + name
			}
			losses = append(losses, chartLine{label, k, func(i int) float64 { return find(r.Steps[i].Losses, name) }})
			if len(v.runs) > 1 {
				break // the first loss of each, the others are in its own report
			}
		}
	}
	out := v.draw(chart{title: "Loss", subtitle: "of each step", axis: "loss", lines: losses})
	out = append(out, v.draw(chart{title: "Learning rate", axis: "learning rate", lines: v.each(func(_ *Run, s *Step) float64 { return s.LR })})...)
	out = append(out, v.draw(chart{title: "Gradient norm", subtitle: "before clipping", axis: "norm", lines: v.each(func(_ *Run, s *Step) float64 { return s.GradNorm })})...)
	return append(out, v.draw(chart{
		title: "Expert overload", subtitle: "largest relative overload of an expert, over all blocks", axis: "max violation",
		lines: v.each(func(_ *Run, s *Step) float64 { return s.MaxViolation }),
	})...)
}

// lossNames are the losses of a run in order of appearance.
func lossNames(r *Run) []string {
	var out []string
	seen := map[string]bool{}
	for i := range r.Steps {
		for _, l := range r.Steps[i].Losses {
			if !seen[l.Name] {
				seen[l.Name] = true
				out = append(out, l.Name)
			}
		}
	}
	return out
}

func find(values []Value, name string) float64 {
	for _, v := range values {
		if v.Name == name {
			return v.Value
		}
	}
	return math.NaN()
}

func (v *view) speed() []part {
	out := v.draw(chart{title: "Throughput", subtitle: "tokens per second of each step", axis: "tokens/s", lines: v.each(func(_ *Run, s *Step) float64 { return s.TokensPerSecond() })})
	var mfu []chartLine
	for k, r := range v.runs {
		for c, by := range r.Conventions {
			label := by.Name
			if len(v.runs) > 1 {
				label = v.names[k] + ": " + label
			}
			mfu = append(mfu, chartLine{label, k, func(i int) float64 { return r.MFU(&r.Steps[i], c) }})
			if len(v.runs) > 1 {
				break
			}
		}
	}
	out = append(out, v.draw(chart{title: "Utilization (MFU)", subtitle: "by convention", axis: "MFU", lines: mfu})...)
	out = append(out, part{Table: v.conventions()})
	return append(out, v.draw(chart{title: "Memory", subtitle: "peak of each step", axis: "MiB", lines: v.each(func(_ *Run, s *Step) float64 {
		if s.Memory <= 0 {
			return math.NaN()
		}
		return float64(s.Memory) / (1 << 20)
	})})...)
}

// short prints a number as a person reads it.
func short(x float64) string {
	return strconv.FormatFloat(x, 'g', 5, 64)
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
