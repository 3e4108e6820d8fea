package figure

import (
	"fmt"
	"math"
	"strings"
)

// Lines shows series over a common axis, joined point by point. A point whose Y
// is not finite breaks its line. Rules are vertical lines with names.
type Lines struct {
	Title, Subtitle string
	X, Y            Axis
	Series          []Series
	Rules           []Rule
}

// Rule marks a place on the x axis.
type Rule struct {
	X    float64
	Name string
}

// maxPoints is the most points drawn of a series: more cannot be seen.
const maxPoints = 600

// SVG draws the figure.
func (l *Lines) SVG() []byte {
	const width, left, right, top, bottom = 980.0, 104.0, 690.0, 76.0, 300.0
	height := math.Max(bottom+56, top+float64(36*float64(len(l.Series)))+20)
	c := newCanvas(width, height, l.Title)
	c.heading(l.Title, l.Subtitle)
	var xs, ys []float64
	for _, s := range l.Series {
		for _, p := range s.Points {
			if drawable(p.Y) {
				xs, ys = append(xs, p.X), append(ys, p.Y)
			}
		}
	}
	y := l.Y.spread(ys)
	y.Label = "" // drawn here, further out: ticks may be long
	p := newPanel(c, l.X.spread(xs), y, left, top, right, bottom)
	p.axes(true)
	c.text(26, (top+bottom)/2, middle, ink, ` font-size="12.5" transform="rotate(-90 26 `+px((top+bottom)/2)+`)"`, l.Y.Label)
	for i, r := range l.Rules {
		at := p.x.at(r.X)
		p.line(at, top, at, bottom, muted, 1, ` stroke-dasharray="2 3"`)
		p.text(at+4, top+11+float64(12*float64(i%4)), start, muted, ` font-size="10.5"`, r.Name)
	}
	var entries []Entry
	for i, s := range l.Series {
		p.join(styleOf(i), thin(s.Points, maxPoints))
		entries = append(entries, Entry{s.Name, s.Remark})
	}
	c.legend(720, top+14, entries)
	return c.bytes()
}

func drawable(y float64) bool { return math.Abs(y) < 1e300 } // false for NaN

// spread is fit for data that may not vary at all.
func (a Axis) spread(xs []float64) Axis {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, x := range xs {
		lo, hi = math.Min(lo, x), math.Max(hi, x)
	}
	if same := 1e-6 * math.Max(math.Abs(lo), math.Abs(hi)); lo <= hi && hi-lo <= same && !a.Log && a.Lo == 0 && a.Hi == 0 {
		d := math.Max(math.Abs(hi)/10, 1e-6)
		a.Lo, a.Hi = lo-d, hi+d
	}
	return a.fit(xs)
}

// join draws a line through points, and a mark at each where there are few.
func (p *panel) join(s style, points []Point) {
	var d strings.Builder
	pen := "M"
	for _, pt := range points {
		if !drawable(pt.Y) {
			pen = "M"
			continue
		}
		d.WriteString(pen + px(p.x.at(pt.X)) + " " + px(p.y.at(pt.Y)))
		pen = "L"
	}
	if d.Len() > 0 {
		fmt.Fprintf(&p.canvas.b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.6" stroke-linejoin="round"/>`+"\n", d.String(), s.color)
	}
	if len(points) <= 40 {
		for _, pt := range points {
			if drawable(pt.Y) {
				p.mark(s, p.x.at(pt.X), p.y.at(pt.Y), 3.2)
			}
		}
	}
}

// thin keeps the least and the greatest of each bucket of points, in order, so
// that spikes survive.
func thin(points []Point, most int) []Point {
	if len(points) <= most {
		return points
	}
	out := make([]Point, 0, most)
	buckets := most / 2
	for b := range buckets {
		part := points[b*len(points)/buckets : (b+1)*len(points)/buckets]
		lo, hi := 0, 0
		for i, p := range part {
			if p.Y < part[lo].Y || !drawable(p.Y) {
				lo = i
			}
			if p.Y > part[hi].Y {
				hi = i
			}
		}
		out = append(out, part[min(lo, hi)])
		if lo != hi {
			out = append(out, part[max(lo, hi)])
		}
	}
	return out
}
