package figure

import (
	"fmt"
	"math"
)

// Bars is a histogram of signed errors: one set filled, the other outlined
// over it, so that the two shapes can be compared.
type Bars struct {
	Title, Subtitle string
	XLabel          string
	Width           float64 // of a bin
	Limit           float64 // bins from -Limit to +Limit; what is beyond counts in the last
	Filled, Lined   Series  // Points' Y is the error
	Bands           []Band
	Format          func(float64) string
}

// SVG draws the figure.
func (h *Bars) SVG() []byte {
	const width, height, left, right, top, bottom = 980.0, 400.0, 84.0, 690.0, 76.0, 340.0
	c := newCanvas(width, height, h.Title)
	c.heading(h.Title, h.Subtitle)
	filled, lined := h.count(h.Filled), h.count(h.Lined)
	most := 1.0
	for i := range filled {
		most = math.Max(most, math.Max(filled[i], lined[i]))
	}
	p := newPanel(c, Axis{Label: h.XLabel, Lo: -h.Limit, Hi: h.Limit, Format: h.Format}, Axis{Label: "rows", Lo: 0, Hi: most * 1.08}, left, top, right, bottom)
	for _, b := range h.Bands {
		p.rect(p.x.at(-b.Share), top, p.x.at(b.Share)-p.x.at(-b.Share), bottom-top, fillOf(b), "")
		p.text(p.x.at(b.Share)-4, top+12, end, muted, ` font-size="10.5"`, b.Name)
	}
	p.axes(true)
	for i, n := range filled {
		if n > 0 {
			l, r := p.x.at(h.edge(i)), p.x.at(h.edge(i+1))
			p.rect(l+0.5, p.y.at(n), r-l-1, bottom-p.y.at(n), palette[0], ` fill-opacity="0.75"`)
		}
	}
	h.contour(p, lined)
	p.line(p.x.at(0), top, p.x.at(0), bottom, ink, 1, ` stroke-dasharray="3 3"`)
	c.rect(720, top+4, 13, 13, palette[0], ` fill-opacity="0.75"`)
	c.text(741, top+15, start, ink, "", h.Filled.Name)
	c.text(741, top+30, start, muted, ` font-size="11"`, h.Filled.Remark)
	c.rect(720, top+46, 13, 13, "none", fmt.Sprintf(` stroke="%s" stroke-width="2"`, palette[1]))
	c.text(741, top+57, start, ink, "", h.Lined.Name)
	c.text(741, top+72, start, muted, ` font-size="11"`, h.Lined.Remark)
	return c.bytes()
}

// bins is the number of bins.
func (h *Bars) bins() int { return int(math.Round(2 * h.Limit / h.Width)) }

// edge is the lower edge of bin i.
func (h *Bars) edge(i int) float64 { return -h.Limit + float64(float64(i)*h.Width) }

// count puts the errors of a series into bins.
func (h *Bars) count(s Series) []float64 {
	n := make([]float64, h.bins())
	for _, p := range s.Points {
		i := int(math.Floor((p.Y + h.Limit) / h.Width))
		n[min(max(i, 0), len(n)-1)]++
	}
	return n
}

// contour draws the outline of all bins.
func (h *Bars) contour(p *panel, counts []float64) {
	d := fmt.Sprintf("M%s %s", px(p.x.at(-h.Limit)), px(p.b))
	for i, n := range counts {
		d += fmt.Sprintf("L%s %sL%s %s", px(p.x.at(h.edge(i))), px(p.y.at(n)), px(p.x.at(h.edge(i+1))), px(p.y.at(n)))
	}
	d += fmt.Sprintf("L%s %s", px(p.x.at(h.Limit)), px(p.b))
	fmt.Fprintf(&p.canvas.b, `<path d="%s" fill="none" stroke="%s" stroke-width="2" stroke-linejoin="round"/>`+"\n", d, palette[1])
}
