package figure

import (
	"fmt"
	"math"
)

// Stack shows how a whole divides into parts, a bar for each row, for a page.
type Stack struct {
	// Title and Desc are what a screen reader says.
	Title, Desc string
	Parts       []string
	Rows        []Row
}

// Row is a bar of a Stack: the shares of its parts, which add up to 1 or less.
type Row struct {
	Name, Remark string
	Shares       []float64
}

// SVG draws the figure.
func (s *Stack) SVG() []byte {
	const width, left, right, top = plotWideWidth, 190.0, 860.0, 8.0
	bottom := top + float64(40*float64(max(len(s.Rows), 1)))
	c := newCanvas(width, math.Max(bottom+44, top+float64(22*float64(len(s.Parts)))+12), s.Title)
	c.describe(s.Title, s.Desc)
	p := newPanel(c, Axis{Label: "share of the time", Hi: 1, Format: func(v float64) string { return fmt.Sprintf("%.0f %%", 100*v) }},
		Axis{Hi: 1, Ticks: []float64{}}, left, top, right, bottom)
	p.axes(true)
	for i, r := range s.Rows {
		y := top + float64(40*float64(i))
		p.text(left-8, y+17, end, ink, "", r.Name)
		p.text(left-8, y+31, end, muted, ` font-size="11"`, r.Remark)
		from := 0.0
		for j, share := range r.Shares {
			if share > 0 {
				a, b := p.x.at(from), p.x.at(from+share)
				p.titled(a, y+6, b-a, 26, palette[j%len(palette)], fmt.Sprintf("%s, %s: %.1f %%", r.Name, s.Parts[j%len(s.Parts)], 100*share))
				if b-a > 44 {
					p.text((a+b)/2, y+23, middle, onColor[j%len(palette)], ` font-size="11" pointer-events="none"`, fmt.Sprintf("%.1f %%", 100*share))
				}
				from += share
			}
		}
	}
	for j, name := range s.Parts {
		y := top + float64(22*float64(j))
		c.rect(right+30, y+2, 13, 13, palette[j%len(palette)], "")
		c.text(right+51, y+13, start, ink, "", name)
	}
	return c.bytes()
}
