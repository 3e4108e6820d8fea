package figure

import "fmt"

// palette is Okabe and Ito's, darkest first, without its yellow, which white
// paper swallows.
var palette = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7a5195", "#8c6d31", "#5f6b6d"}

// onColor is the text on each of the palette: white on the dark ones.
var onColor = []string{"#ffffff", black, "#ffffff", black, black, black, "#ffffff", "#ffffff", "#ffffff", "#ffffff"}

// black is that of a text on a colour, on any paper.
const black = "#111111"

// shapes are told apart without colour.
var shapes = []string{"circle", "square", "triangle", "diamond", "down", "ring", "cross", "bar", "box", "plus"}

// style is how series i is drawn.
type style struct{ color, shape string }

func styleOf(i int) style { return style{palette[i%len(palette)], shapes[i%len(shapes)]} }

// mark draws one point of half width r.
func (c *canvas) mark(s style, x, y, r float64) {
	solid := fmt.Sprintf(` fill="%s" fill-opacity="0.82" stroke="#ffffff" stroke-width="0.7"`, s.color)
	hollow := fmt.Sprintf(` fill="#ffffff" stroke="%s" stroke-width="1.6"`, s.color)
	stroke := fmt.Sprintf(` fill="none" stroke="%s" stroke-width="2"`, s.color)
	switch s.shape {
	case "circle":
		fmt.Fprintf(&c.b, `<circle cx="%s" cy="%s" r="%s"%s/>`+"\n", px(x), px(y), px(r), solid)
	case "ring":
		fmt.Fprintf(&c.b, `<circle cx="%s" cy="%s" r="%s"%s/>`+"\n", px(x), px(y), px(r-0.5), hollow)
	case "square":
		c.outline(solid, x, y, 0.9*r, -1, -1, 1, -1, 1, 1, -1, 1)
	case "box":
		c.outline(hollow, x, y, 0.8*r, -1, -1, 1, -1, 1, 1, -1, 1)
	case "triangle":
		c.outline(solid, x, y, r, 0, -1.2, 1.1, 0.8, -1.1, 0.8)
	case "down":
		c.outline(solid, x, y, r, 0, 1.2, 1.1, -0.8, -1.1, -0.8)
	case "diamond":
		c.outline(solid, x, y, 1.25*r, 0, -1, 1, 0, 0, 1, -1, 0)
	case "bar":
		c.outline(solid, x, y, r, -1.3, -0.5, 1.3, -0.5, 1.3, 0.5, -1.3, 0.5)
	case "plus":
		c.outline(stroke, x, y, r, 0, 0, 0, -1, 0, 1, 0, 0, 1, 0, -1, 0)
	default: // cross
		c.outline(stroke, x, y, 0.8*r, 0, 0, -1, -1, 1, 1, 0, 0, 1, -1, -1, 1)
	}
}

// outline draws a closed path through the points (x + r dx, y + r dy).
func (c *canvas) outline(attrs string, x, y, r float64, d ...float64) {
	c.b.WriteString(`<path d="M`)
	for i := 0; i+1 < len(d); i += 2 {
		if i > 0 {
			c.b.WriteByte('L')
		}
		c.b.WriteString(px(x+float64(r*d[i])) + " " + px(y+float64(r*d[i+1])))
	}
	fmt.Fprintf(&c.b, `z"%s/>`+"\n", attrs)
}

// Entry is one line of a legend: a name and a remark in grey.
type Entry struct{ Name, Remark string }

// legend writes one entry below the other.
func (c *canvas) legend(x, y float64, entries []Entry) {
	for i, e := range entries {
		at := y + float64(float64(i)*36)
		c.mark(styleOf(i), x+6, at-4, 5)
		c.text(x+20, at, start, ink, "", e.Name)
		c.text(x+20, at+15, start, muted, ` font-size="11"`, e.Remark)
	}
}
