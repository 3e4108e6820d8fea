package figure

import (
	"fmt"
	"math"
	"strings"
)

// Plot shows series over a common axis for a page: narrow enough to stand beside
// another, without a heading (the page has one), with the legend on top. A point
// whose Y is not finite breaks its line. Rules are vertical lines with names.
type Plot struct {
	// Title and Desc are what a screen reader says.
	Title, Desc string
	X, Y        Axis
	Series      []Series
	// Faint are drawn thin, dashed and grey behind the others, with one entry
	// of the legend for all: FaintName.
	Faint     []Series
	FaintName string
	Rules     []Rule
	// Wide gives the plot the whole width of a page.
	Wide bool
}

// The sizes of a Plot.
const (
	plotWidth     = 520.0
	plotWideWidth = 1060.0
	plotHeight    = 200.0 // of the panel
	legendRow     = 20.0
)

// SVG draws the plot.
func (l *Plot) SVG() []byte {
	width := plotWidth
	if l.Wide {
		width = plotWideWidth
	}
	const left, margin = 66.0, 12.0
	items := l.legendItems()
	perRow := max(1, min(len(items), int((width-left)/legendWidth(items))))
	top := 14 + float64(legendRow*math.Ceil(float64(len(items))/float64(perRow)))
	bottom := top + plotHeight
	c := newCanvas(width, bottom+44, l.Title)
	c.describe(l.Title, l.Desc)
	x, y := l.extent()
	label := y.Label
	y.Label = ""
	p := newPanel(c, x, y, left, top, width-margin, bottom)
	p.axes(true)
	c.text(13, (top+bottom)/2, middle, muted, ` font-size="11.5" transform="rotate(-90 13 `+px((top+bottom)/2)+`)"`, label)
	for i, r := range l.Rules {
		at := p.x.at(r.X)
		p.line(at, top, at, bottom, muted, 1, ` stroke-dasharray="2 3"`)
		if at < width-60 {
			p.text(at+3, top+11+float64(12*float64(i%4)), start, muted, ` font-size="10.5"`, short(r.Name, 18))
		}
	}
	for _, s := range l.Faint {
		p.trace(s.Points, frame, ` stroke-width="1.2" stroke-dasharray="3 3"`)
	}
	for i, s := range l.Series {
		p.join(styleOf(i), thin(s.Points, maxPoints))
	}
	column := (width - left) / float64(perRow)
	for i, it := range items {
		at, down := left+float64(column*float64(i%perRow)), 14+float64(legendRow*float64(i/perRow))
		it.draw(c, at, down)
	}
	return c.bytes()
}

// extent is both axes, wide enough for all series.
func (l *Plot) extent() (x, y Axis) {
	var xs, ys []float64
	for _, group := range [][]Series{l.Series, l.Faint} {
		for _, s := range group {
			for _, p := range s.Points {
				if drawable(p.Y) {
					xs, ys = append(xs, p.X), append(ys, p.Y)
				}
			}
		}
	}
	return l.X.spread(xs), l.Y.spread(ys)
}

// trace draws a line without marks.
func (p *panel) trace(points []Point, color, style string) {
	var d strings.Builder
	pen := "M"
	for _, pt := range thin(points, maxPoints) {
		if !drawable(pt.Y) {
			pen = "M"
			continue
		}
		d.WriteString(pen + px(p.x.at(pt.X)) + " " + px(p.y.at(pt.Y)))
		pen = "L"
	}
	if d.Len() > 0 {
		fmt.Fprintf(&p.canvas.b, `<path d="%s" fill="none" stroke="%s"%s/>`+"\n", d.String(), color, style)
	}
}

// legendItem is one entry of a legend on top.
type legendItem struct {
	Entry
	draw func(c *canvas, x, y float64)
}

func (l *Plot) legendItems() []legendItem {
	var out []legendItem
	for i, s := range l.Series {
		e := Entry{short(s.Name, 26), s.Remark}
		out = append(out, legendItem{e, func(c *canvas, x, y float64) {
			c.mark(styleOf(i), x+6, y-4, 4.5)
			e.beside(c, x+17, y)
		}})
	}
	if len(l.Faint) > 0 {
		e := Entry{l.FaintName, ""}
		out = append(out, legendItem{e, func(c *canvas, x, y float64) {
			c.line(x, y-4, x+14, y-4, frame, 1.4, ` stroke-dasharray="3 3"`)
			e.beside(c, x+19, y)
		}})
	}
	return out
}

// beside writes name and remark in one line.
func (e Entry) beside(c *canvas, x, y float64) {
	fmt.Fprintf(&c.b, `<text x="%s" y="%s" fill="%s">%s`, px(x), px(y), ink, escape(e.Name))
	if e.Remark != "" {
		fmt.Fprintf(&c.b, `<tspan fill="%s" dx="6">%s</tspan>`, muted, escape(e.Remark))
	}
	c.b.WriteString("</text>\n")
}

// legendWidth is the pixels that the longest entry needs.
func legendWidth(items []legendItem) float64 {
	most := 0
	for _, it := range items {
		most = max(most, len([]rune(it.Name))+len([]rune(it.Remark))+2)
	}
	return 34 + float64(6.6*float64(most))
}

// short cuts a text to n characters.
func short(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
