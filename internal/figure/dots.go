package figure

import "math"

// Dots has one line per name with a dot per measure, joined: how one number
// changes from one condition to another.
type Dots struct {
	Title, Subtitle string
	X               Axis
	Measures        []Entry // the conditions, in the order of Line.Values
	Lines           []Line
	Goal            float64 // drawn as a vertical line; 0: none
	GoalName        string
}

// Line is one name with its values; NaN draws no dot.
type Line struct {
	Name, Remark string
	Values       []float64
}

// SVG draws the figure.
func (d *Dots) SVG() []byte {
	const width, left, right, top, step = 980.0, 330.0, 940.0, 104.0, 34.0
	bottom := top + float64(step*float64(len(d.Lines)))
	c := newCanvas(width, bottom+56, d.Title)
	c.heading(d.Title, d.Subtitle)
	var all []float64
	for _, l := range d.Lines {
		all = append(all, l.Values...)
	}
	x := d.X.fit(append(all, 0))
	if d.X.Lo == 0 && d.X.Hi == 0 {
		x.Lo = 0
	}
	p := newPanel(c, x, Axis{Lo: 0, Hi: 1}, left, top-8, right, bottom)
	for _, t := range x.ticks() {
		at := p.x.at(t)
		p.line(at, p.t, at, p.b, faint, 1, "")
		p.text(at, p.b+16, middle, muted, ` font-size="11"`, x.label(t))
	}
	p.text((left+right)/2, p.b+38, middle, ink, ` font-size="12.5"`, x.Label)
	if d.Goal > 0 {
		p.line(p.x.at(d.Goal), p.t, p.x.at(d.Goal), p.b, ink, 1, ` stroke-dasharray="3 3"`)
		p.text(p.x.at(d.Goal)+5, p.t+2, start, muted, ` font-size="10.5"`, d.GoalName)
	}
	for i, l := range d.Lines {
		d.draw(p, l, top+float64(step*(float64(i)+0.5)))
	}
	at := left
	for i, m := range d.Measures {
		c.mark(styleOf(i), at+6, 78, 5)
		c.text(at+18, 82, start, ink, "", m.Name)
		at += 40 + float64(6.6*float64(len(m.Name)))
	}
	return c.bytes()
}

// draw puts one line's name and dots at height y.
func (d *Dots) draw(p *panel, l Line, y float64) {
	p.text(p.l-14, y-1, end, ink, "", l.Name)
	p.text(p.l-14, y+12, end, muted, ` font-size="10.5"`, l.Remark)
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range l.Values {
		if !math.IsNaN(v) {
			lo, hi = math.Min(lo, v), math.Max(hi, v)
		}
	}
	p.line(p.l, y, p.r, y, faint, 1, "")
	if lo < hi {
		p.line(p.x.at(lo), y, p.x.at(hi), y, frame, 2, "")
	}
	for i, v := range l.Values {
		if !math.IsNaN(v) {
			p.mark(styleOf(i), p.x.at(v), y, 5)
		}
	}
}
