package render

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/guptarohit/asciigraph"

	"github.com/temper-ml/temper/internal/unit"
)

// The widths that Text draws for.
const (
	leastWidth = 80
	mostWidth  = 160
	labelWidth = 12
)

// Text writes what a terminal of a width in columns holds of one run, or of
// several side by side.
func Text(w io.Writer, width int, runs ...*Run) error {
	width = min(max(width, leastWidth), mostWidth)
	v := newView(runs)
	for i := range v.names {
		v.names[i] = plain(v.names[i])
	}
	t := &terminal{width: width}
	if v.alone() {
		t.one(v)
	} else {
		t.several(v)
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

// terminal collects lines.
type terminal struct {
	b     strings.Builder
	width int
}

// row is a label and a text that goes on below itself where it is too long.
func (t *terminal) row(label, text string) {
	if text == "" {
		text = notRecorded
	}
	for i, l := range wrap(plain(text), t.width-labelWidth) {
		if i > 0 {
			label = ""
		}
		fmt.Fprintf(&t.b, "%-*s%s\n", labelWidth, label, l)
	}
}

// one is a screen about one run.
func (t *terminal) one(v *view) {
	r, s, g := v.runs[0], v.summary[0], &v.good[0]
	head := fmt.Sprintf("%s: %s, %s, %s tokens", v.names[0], state(s), plural(s.Steps, "step", "steps"), strings.TrimSpace(unit.Count(s.Tokens).String()))
	if g.Wall > 0 {
		head += " in " + unit.Duration(g.Wall)
	}
	t.row("run", head)
	t.row("verified", verdictText(r.Verdict))
	if s.Last > 0 {
		t.row("time", clock(s.Started)+" to "+clock(s.Last))
	}
	if s.Parameters > 0 {
		t.row("model", fmt.Sprintf("%s parameters, %s for each token", unit.Count(s.Parameters), unit.Count(s.Active)))
	}
	t.b.WriteString("\n")
	t.stages(v)
	t.curve(r)
	t.b.WriteString("\n")
	t.speed(r, s)
	if g.Wall > 0 {
		t.row("time spent", spentText(g))
		t.row("goodput", fmt.Sprintf("%s; %s, %s, %s taken again", percent(g.Useful()), plural(s.Faults, "fault", "faults"), plural(s.Recoveries, "recovery", "recoveries"), plural(s.Again, "step", "steps")))
	}
	t.row("checkpoints", fmt.Sprintf("%d, %v", s.Checkpoints, unit.Bytes(s.CheckpointBytes)))
	t.row("experts", expertText(r))
	t.row("hardware", r.hardwareText())
	t.row("links", linksText(r.Interconnect))
	t.row("software", softwareText(r))
	t.row("data", dataText(r))
	if s.Weights != "" { // in one piece, to be copied
		t.b.WriteString("weights " + plain(s.Weights) + "\n")
	}
}

// verdictText is a verification in a sentence.
func verdictText(v *Verdict) string {
	l := verdictOf("", v)
	if l.Text == "" {
		return l.Result
	}
	return l.Result + ": " + l.Text
}

// stages is a table of the stages with what was measured.
func (t *terminal) stages(v *view) {
	s := v.summary[0]
	if len(s.Stages) == 0 {
		return
	}
	name := 5
	for _, o := range s.Stages {
		name = min(max(name, utf8.RuneCountInString(plain(o.Name))), 14)
	}
	left := name + 46
	fmt.Fprintf(&t.b, "%-*s  %-8s %7s %8s  %-16s %s\n", name, "stage", "method", "steps", "tokens", "loss", "before → after")
	for i, o := range s.Stages {
		if i == maxStages {
			fmt.Fprintf(&t.b, "and %d more\n", len(s.Stages)-i)
			break
		}
		var measured []string
		for _, m := range o.Measures {
			measured = append(measured, strings.ReplaceAll(m.Name, "_", " ")+" "+v.runs[0].change(&m))
		}
		lines := wrap(plain(strings.Join(measured, ", ")), max(t.width-left, 20))
		for i, l := range lines {
			if i == 0 {
				fmt.Fprintf(&t.b, "%-*s  %-8s %7d %8s  %-16s %s\n", name, fit(plain(o.Name), name), fit(plain(o.Method), 8), o.Steps, unit.Count(o.Tokens), change(o.LossFirst, o.LossLast), l)
			} else {
				fmt.Fprintf(&t.b, "%*s%s\n", left, "", l)
			}
		}
	}
}

// change is a value before and after.
func change(from, to *float64) string {
	say := func(x *float64) string {
		if x == nil {
			return "–"
		}
		return fmt.Sprintf("%.4g", *x)
	}
	return say(from) + " → " + say(to)
}

// change is a measure before and after: a share where it counts samples.
func (r *Run) change(m *Measure) string {
	n, counted := r.Samples[m.Name]
	if !counted || m.First == nil || m.Last == nil {
		return change(m.First, m.Last)
	}
	return fmt.Sprintf("%.1f %% → %.1f %% of %d", 100**m.First, 100**m.Last, n)
}

// curve plots the loss of all steps, the mean of each column.
func (t *terminal) curve(r *Run) {
	width := t.width - 10
	n := len(r.Steps)
	columns := min(width, n)
	if columns < 3 {
		return
	}
	var points []float64
	for c := range columns {
		sum, count := 0.0, 0
		for i := c * n / columns; i < (c+1)*n/columns; i++ {
			if x := r.Steps[i].Loss(); math.Abs(x) < 1e9 { // false for NaN; beyond, there is nothing to see
				sum, count = sum+x, count+1
			}
		}
		if count > 0 {
			points = append(points, sum/float64(count))
		}
	}
	if len(points) < 3 {
		return
	}
	if least := slices.Min(points); slices.Max(points)-least < 1e-9 { // nothing to see, and the plot divides by it
		for i := range points {
			points[i] = least
		}
	}
	fmt.Fprintf(&t.b, "\n%s\n", asciigraph.Plot(points, asciigraph.Height(7), asciigraph.Precision(2), asciigraph.Caption("loss of "+plural(int64(n), "step", "steps"))))
}

// speed is throughput, memory and utilization by convention.
func (t *terminal) speed(r *Run, s *Summary) {
	speed := notRecorded
	if s.TokensPerSecond != nil {
		speed = fmt.Sprintf("%s tokens/s in steps", short(*s.TokensPerSecond))
	}
	if s.Memory > 0 {
		speed += fmt.Sprintf(", memory peak %v", unit.Bytes(s.Memory))
	}
	t.row("throughput", speed)
	var mfu []string
	for c, by := range r.Conventions {
		if m := r.mean(c); !math.IsNaN(m) {
			mfu = append(mfu, fmt.Sprintf("%s %.1f %%", by.Name, 100*m))
		}
	}
	if len(mfu) > 0 {
		t.row("MFU", fmt.Sprintf("%s; of %s (%s)", strings.Join(mfu, ", "), rate(r.Peak), r.PeakBasis))
	} else {
		t.row("MFU", "")
	}
}

// spentText is what the time went into, most first.
func spentText(g *Goodput) string {
	kinds := slices.Clone(Spent)
	slices.SortStableFunc(kinds, func(a, b string) int { return int(min(max(g.By[b]-g.By[a], -1), 1)) })
	var out []string
	for _, kind := range kinds {
		if d := g.By[kind]; d > g.Wall/2000 || d > 0 && len(out) == 0 {
			out = append(out, fmt.Sprintf("%s %s", kind, share(d, g.Wall)))
		}
	}
	return strings.Join(out, ", ")
}

// expertText is the busiest expert of the last stage that tells.
func expertText(r *Run) string {
	routing := r.routing()
	if len(routing) == 0 {
		return ""
	}
	last := &routing[len(routing)-1]
	worst, block, expert, unused := 0.0, 0, 0, 0
	for b, load := range last.Counts {
		row, total := relative(load)
		for e, x := range row {
			if total > 0 && x > worst {
				worst, block, expert = x, b, e
			}
			if load[e] == 0 {
				unused++
			}
		}
	}
	return fmt.Sprintf("busiest has %.3g × the mean (block %d, expert %d), %d unused, in stage %s", worst, block, expert, unused, r.stageName(last.Stage))
}

// hardwareText is what a run computed on, in a line.
func (r *Run) hardwareText() string {
	var out []string
	if r.Ranks > 0 {
		out = append(out, plural(r.Ranks, "rank", "ranks"))
	}
	for _, want := range []string{"host", "host, processor", "host, cores", "device"} {
		for _, f := range r.Hardware {
			if f.Name == want && f.Value != "" && !slices.Contains(out, f.Value) {
				value := f.Value
				if want == "host, cores" {
					value += " cores"
				}
				out = append(out, value)
			}
		}
	}
	return strings.Join(out, ", ")
}

// linksText is what is known of the interconnect, in a line.
func linksText(facts []Fact) string {
	var out []string
	for _, f := range facts[:min(2, len(facts))] {
		switch {
		case f.Name == "links measured":
			out = append(out, f.Value+" links")
		case strings.HasPrefix(f.Name, "slowest"):
			out = append(out, f.Name+" "+f.Value)
		default:
			out = append(out, f.Value)
		}
	}
	return strings.Join(out, "; ")
}

func softwareText(r *Run) string {
	var out []string
	for _, f := range r.Software {
		if f.Value != "" && (f.Name == "temper" || f.Name == "revision" || f.Name == "Go") {
			out = append(out, f.Name+" "+f.Value)
		}
	}
	return strings.Join(out, ", ")
}

func dataText(r *Run) string {
	var bytes int64
	for i := range r.Data {
		bytes += r.Data[i].Bytes
	}
	if len(r.Data) == 0 {
		return ""
	}
	return fmt.Sprintf("%s, %v, each with its digest", plural(int64(len(r.Data)), "file", "files"), unit.Bytes(bytes))
}

// leastColumn is the narrowest column of a run.
const leastColumn = 14

// several is a table with a column for each run, and another below it where the
// terminal has no room for all.
func (t *terminal) several(v *view) {
	table := v.compare("", v.inNumbers)
	label := 0
	for _, row := range table.Rows {
		label = min(max(label, utf8.RuneCountInString(row[0])), 26)
	}
	differ := v.differences()
	most := max((t.width-label)/(leastColumn+2), 1)
	for from := 0; from < len(v.runs); from += most {
		to := min(from+most, len(v.runs))
		c := layout{label: label, width: (t.width-label)/(to-from) - 2}
		cells := func(row []string) []string { return append([]string{row[0]}, row[1+from:1+to]...) }
		if from > 0 {
			t.b.WriteString("\n")
		}
		c.line(&t.b, append([]string{"run"}, v.names[from:to]...))
		for _, row := range table.Rows {
			c.line(&t.b, cells(row))
		}
		if len(differ.Head) == 0 {
			continue
		}
		t.b.WriteString("\nfields in which the recipes differ\n")
		for _, row := range differ.Rows[:min(len(differ.Rows), 20)] {
			c.line(&t.b, cells(row))
		}
		if n := len(differ.Rows) - 20; n > 0 {
			fmt.Fprintf(&t.b, "and %d more: see the page (--html)\n", n)
		}
	}
}

// layout is a label and columns of one width.
type layout struct{ label, width int }

// line writes cells below each other where they are too long, of each at most
// three lines.
func (c layout) line(b *strings.Builder, cells []string) {
	parts := [][]string{wrap(plain(cells[0]), c.label)}
	height := len(parts[0])
	for _, cell := range cells[1:] {
		p := wrap(plain(cell), c.width)
		if len(p) > 3 {
			p = append(p[:2:2], fit(p[2]+"…", c.width))
		}
		parts = append(parts, p)
		height = max(height, len(p))
	}
	for h := range height {
		var l strings.Builder
		for i, p := range parts {
			cell, wide := "", c.width+2
			if h < len(p) {
				cell = p[h]
			}
			if i == 0 {
				wide = c.label + 2
			}
			l.WriteString(cell + strings.Repeat(" ", max(wide-utf8.RuneCountInString(cell), 1)))
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
}

// wrap breaks a text at spaces into lines of at most width characters, and
// words that are longer where they must be.
func wrap(s string, width int) []string {
	var out []string
	line := ""
	for _, word := range strings.Fields(s) {
		for utf8.RuneCountInString(word) > width {
			if line != "" {
				out, line = append(out, line), ""
			}
			r := []rune(word)
			out, word = append(out, string(r[:width])), string(r[width:])
		}
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			out, line = append(out, line), word
		}
	}
	return append(out, line)
}

// fit cuts a text to n characters.
func fit(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// plain replaces what a terminal would act on: texts are from files.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f {
			return '·'
		}
		return r
	}, strings.ToValidUTF8(s, "·"))
}
