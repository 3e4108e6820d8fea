package figure

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The neutral tones of every figure.
const (
	ink   = "#1f2933" // titles and numbers
	muted = "#616e7c" // labels and captions
	faint = "#e4e7eb" // grid
	frame = "#9aa5b1" // axes
)

// canvas collects the elements of one drawing.
type canvas struct {
	b             strings.Builder
	width, height float64
}

// newCanvas opens a drawing; title is what a screen reader says.
func newCanvas(width, height float64, title string) *canvas {
	c := &canvas{width: width, height: height}
	fmt.Fprintf(&c.b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%s" height="%s" role="img" aria-label="%s" `+
		`font-family="Inter, 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif" font-size="12">`+"\n",
		px(width), px(height), px(width), px(height), escape(title))
	fmt.Fprintf(&c.b, `<rect width="%s" height="%s" fill="#ffffff"/>`+"\n", px(width), px(height))
	return c
}

// describe adds the name and the description that screen readers say, and that
// are of no length for everybody else.
func (c *canvas) describe(title, desc string) {
	fmt.Fprintf(&c.b, "<title>%s</title>\n", escape(title))
	if desc != "" {
		fmt.Fprintf(&c.b, "<desc>%s</desc>\n", escape(desc))
	}
}

// bytes closes the drawing.
func (c *canvas) bytes() []byte {
	return []byte(c.b.String() + "</svg>\n")
}

// px prints a coordinate to a hundredth of a pixel, without trailing zeros.
func px(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		x = 0
	}
	s := strconv.FormatFloat(x, 'f', 2, 64)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" {
		return "0"
	}
	return s
}

var escapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

// escape makes text safe inside an element or an attribute.
func escape(s string) string {
	return escapes.Replace(s)
}

func (c *canvas) line(x1, y1, x2, y2 float64, stroke string, width float64, extra string) {
	fmt.Fprintf(&c.b, `<line x1="%s" y1="%s" x2="%s" y2="%s" stroke="%s" stroke-width="%s"%s/>`+"\n",
		px(x1), px(y1), px(x2), px(y2), stroke, px(width), extra)
}

func (c *canvas) rect(x, y, w, h float64, fill, extra string) {
	fmt.Fprintf(&c.b, `<rect x="%s" y="%s" width="%s" height="%s" fill="%s"%s/>`+"\n", px(x), px(y), px(w), px(h), fill, extra)
}

func (c *canvas) polygon(fill string, xy ...float64) {
	c.b.WriteString(`<polygon points="`)
	for i := 0; i+1 < len(xy); i += 2 {
		if i > 0 {
			c.b.WriteByte(' ')
		}
		c.b.WriteString(px(xy[i]) + "," + px(xy[i+1]))
	}
	fmt.Fprintf(&c.b, `" fill="%s"/>`+"\n", fill)
}

// anchor says which point of a text stands at its coordinates.
type anchor string

const (
	start  anchor = "start"
	middle anchor = "middle"
	end    anchor = "end"
)

// text writes s; style is appended to the element's attributes.
func (c *canvas) text(x, y float64, a anchor, fill, style, s string) {
	fmt.Fprintf(&c.b, `<text x="%s" y="%s" text-anchor="%s" fill="%s"%s>%s</text>`+"\n", px(x), px(y), a, fill, style, escape(s))
}

// heading writes a figure's title and the sentence under it.
func (c *canvas) heading(title, subtitle string) {
	c.text(24, 34, start, ink, ` font-size="17" font-weight="600"`, title)
	c.text(24, 54, start, muted, ` font-size="12.5"`, subtitle)
}
