package figure

import (
	"fmt"
	"math"
	"strings"
)

// Stack shows how a whole divides into parts, a bar for each row.
type Stack struct {
	Title, Subtitle string
	Parts           []string
	Rows            []Row
	// Plain leaves the heading to the page that the figure is on, and takes its width.
	Plain bool
}

// Row is a bar of a Stack: the shares of its parts, which add up to 1 or less.
type Row struct {
	Name, Remark string
	Shares       []float64
}

// SVG draws the figure.
func (s *Stack) SVG() []byte {
	const left = 190.0
	width, right, top := 980.0, 690.0, 76.0
	if s.Plain {
		width, right, top = plotWideWidth, 860.0, 8.0
	}
	bottom := top + float64(40*float64(max(len(s.Rows), 1)))
	c := newCanvas(width, math.Max(bottom+44, top+float64(22*float64(len(s.Parts)))+12), s.Title)
	if s.Plain {
		c.describe(s.Title, s.Subtitle)
	} else {
		c.heading(s.Title, s.Subtitle)
	}
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

// Heat shows a number for each cell of a table of rows and columns, as shades
// from white (zero) to blue (the greatest) with the scale beside it.
type Heat struct {
	Title, Subtitle  string
	RowName, ColName string
	Cells            [][]float64
	Scale            string // what a cell's number is
	Reference        float64
	ReferenceCaption string
}

// SVG draws the figure. Values below the reference are shades of orange, above
// it of blue, so that the reference itself is white.
func (h *Heat) SVG() []byte {
	const width, left, right, top = 980.0, 96.0, 690.0, 76.0
	columns, far := 1, 0.0
	for _, r := range h.Cells {
		columns = max(columns, len(r))
		for _, v := range r {
			if drawable(v) {
				far = math.Max(far, math.Abs(v-h.Reference))
			}
		}
	}
	row := math.Max(3, math.Min(22, 360/math.Max(1, float64(len(h.Cells)))))
	bottom := top + float64(row*float64(len(h.Cells)))
	c := newCanvas(width, math.Max(bottom+48, top+110), h.Title)
	c.heading(h.Title, h.Subtitle)
	cell := (right - left) / float64(columns)
	for i, r := range h.Cells {
		for j, v := range r {
			c.rect(left+float64(cell*float64(j)), top+float64(row*float64(i)), cell, row, h.shade(v, far), "")
		}
	}
	c.rect(left, top, right-left, bottom-top, "none", ` stroke="`+frame+`"`)
	c.text((left+right)/2, bottom+22, middle, ink, "", fmt.Sprintf("%s 0 to %d", h.ColName, columns-1))
	c.text(left-10, top+12, end, ink, "", h.RowName+" 0")
	if len(h.Cells) > 1 {
		c.text(left-10, bottom-4, end, ink, "", fmt.Sprintf("%d", len(h.Cells)-1))
	}
	for i, v := range []float64{h.Reference + far, h.Reference, h.Reference - far} {
		y := top + float64(26*float64(i))
		c.rect(720, y, 18, 18, h.shade(v, far), ` stroke="`+frame+`"`)
		name := fmt.Sprintf("%.3g %s", v, h.Scale)
		if i == 1 {
			name = strings.TrimSpace(name + " " + h.ReferenceCaption)
		}
		c.text(746, y+13, start, ink, "", name)
	}
	return c.bytes()
}

// shade is the colour of v, at most far from the reference.
func (h *Heat) shade(v, far float64) string {
	if !drawable(v) || far == 0 {
		return "#ffffff"
	}
	t := (v - h.Reference) / far
	to := [3]float64{0x00, 0x72, 0xb2}
	if t < 0 {
		t, to = -t, [3]float64{0xd5, 0x5e, 0x00}
	}
	part := func(x float64) int { return int(math.Round(255 + float64(t*(x-255)))) }
	return fmt.Sprintf("#%02x%02x%02x", part(to[0]), part(to[1]), part(to[2]))
}
