package figure

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Timeline shows what happened when, a lane for each kind of thing.
type Timeline struct {
	// Title and Desc are what a screen reader says.
	Title, Desc string
	// From and To are the ends of the axis in milliseconds since the epoch.
	From, To int64
	Lanes    []Lane
}

// Lane is a row of a Timeline.
type Lane struct {
	Name, Remark string
	// Color is the index of a colour of the palette.
	Color int
	Spans []Span
	// Marks are moments.
	Marks []Mark
}

// Span is a time from From to To with what a pointer is told of it.
type Span struct {
	From, To int64
	Name     string
	Color    int // added to the lane's
}

// Mark is a moment with what a pointer is told of it.
type Mark struct {
	At   int64
	Name string
}

// maxMarks is the most moments of a lane drawn one by one.
const maxMarks = 200

// SVG draws the timeline.
func (t *Timeline) SVG() []byte {
	const width, left, right, top, row = plotWideWidth, 150.0, 1048.0, 8.0, 34.0
	bottom := top + float64(row*float64(max(len(t.Lanes), 1)))
	c := newCanvas(width, bottom+44, t.Title)
	c.describe(t.Title, t.Desc)
	from, to := t.From, max(t.To, t.From+1)
	ticks, format := timeTicks(from, to)
	x := Axis{Lo: float64(from), Hi: float64(to), Ticks: ticks, Format: format}
	p := newPanel(c, x, Axis{Hi: 1, Ticks: []float64{}}, left, top, right, bottom)
	p.axes(true)
	p.text(left, bottom+36, start, muted, ` font-size="11"`, "UTC, from "+time.UnixMilli(from).UTC().Format("2006-01-02 15:04:05"))
	for i, l := range t.Lanes {
		y := top + float64(row*float64(i))
		p.text(left-8, y+15, end, ink, "", short(l.Name, 22))
		p.text(left-8, y+28, end, muted, ` font-size="10"`, l.Remark)
		for _, s := range p.merge(l.Spans) {
			a := p.x.at(float64(s.From))
			p.titled(a, y+5, math.Max(p.x.at(float64(s.To))-a, 1), row-10, palette[(l.Color+s.Color)%len(palette)], s.Name)
		}
		step := (len(l.Marks) + maxMarks - 1) / maxMarks
		for k := 0; k < len(l.Marks); k += step {
			m := l.Marks[k]
			fmt.Fprintf(&c.b, `<g><title>%s</title>`, escape(m.Name))
			c.mark(styleOf(l.Color), p.x.at(float64(m.At)), y+row/2, 5)
			c.b.WriteString("</g>\n")
		}
	}
	return c.bytes()
}

// titled is a rectangle that tells a pointer what it is.
func (c *canvas) titled(x, y, w, h float64, fill, title string) {
	fmt.Fprintf(&c.b, `<rect x="%s" y="%s" width="%s" height="%s" fill="%s"><title>%s</title></rect>`+"\n", px(x), px(y), px(w), px(h), fill, escape(title))
}

// merge joins spans of one name and colour that no eye could tell apart, so
// that a lane has no more of them than pixels.
func (p *panel) merge(spans []Span) []Span {
	spans = slices.Clone(spans)
	slices.SortStableFunc(spans, func(a, b Span) int { return int(min(max(a.From-b.From, -1), 1)) })
	var out []Span
	joined := 1
	for _, s := range spans {
		if n := len(out); n > 0 {
			last := &out[n-1]
			if gap := p.x.at(float64(s.From)) - p.x.at(float64(last.To)); last.Color == s.Color && (gap < 0.1 || gap < 0.75 && p.x.at(float64(s.To))-p.x.at(float64(last.From)) < 3) {
				last.To = max(last.To, s.To)
				if joined++; s.Name != last.Name {
					base, _, _ := strings.Cut(last.Name, " (and ")
					last.Name = fmt.Sprintf("%s (and %d more)", base, joined-1)
				}
				continue
			}
		}
		joined = 1
		out = append(out, s)
	}
	return out
}

// timeTicks are four to nine moments that a person would choose, and how to
// write them.
func timeTicks(from, to int64) ([]float64, func(float64) string) {
	steps := []time.Duration{
		time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
		100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
		10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour,
		24 * time.Hour, 48 * time.Hour, 96 * time.Hour, 7 * 24 * time.Hour, 14 * 24 * time.Hour, 28 * 24 * time.Hour,
	}
	step := (to-from)/9 + 1
	for _, s := range steps {
		if s.Milliseconds() >= step {
			step = s.Milliseconds()
			break
		}
	}
	layout := "15:04:05"
	switch {
	case step > 300*24*3600*1000:
		layout = "2006"
	case step >= 24*3600*1000:
		layout = "Jan 2"
	case step >= 60*1000 && to-from > 20*3600*1000:
		layout = "Jan 2 15:04"
	case step >= 60*1000:
		layout = "15:04"
	case step < 1000:
		layout = "15:04:05.000"
	}
	var ticks []float64
	for t := from + (step-from%step)%step; t >= from && t <= to; t += step { // below from: beyond int64
		ticks = append(ticks, float64(t))
	}
	return ticks, func(x float64) string { return time.UnixMilli(int64(x)).UTC().Format(layout) }
}
