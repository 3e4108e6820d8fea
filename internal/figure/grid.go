package figure

import (
	"fmt"
	"math"
)

// Grid is a table of numbers as shades, for a page: each cell tells a pointer
// what it holds.
type Grid struct {
	// Title and Desc are what a screen reader says.
	Title, Desc string
	// Rows are the names beside the rows, shown as room allows.
	Rows []string
	// Columns is under the grid: what stands next to each other.
	Columns string
	Cells   [][]Cell
	// Low, Middle and High say what the ends of the scale and its middle mean.
	Low, Middle, High string
}

// Cell is a shade, from -1 (orange) over 0 (pale) to 1 (blue), NaN for none, and
// what a pointer is told.
type Cell struct {
	Shade float64
	Name  string
}

// SVG draws the grid.
func (g *Grid) SVG() []byte {
	const width, left, right, top = plotWideWidth, 150.0, 1048.0, 34.0
	columns := 1
	for _, r := range g.Cells {
		columns = max(columns, len(r))
	}
	n := len(g.Cells)
	row := math.Max(6, math.Min(22, 420/math.Max(1, float64(n))))
	bottom := top + float64(row*float64(n))
	c := newCanvas(width, bottom+28, g.Title)
	c.describe(g.Title, g.Desc)
	g.legend(c, left)
	w := (right - left) / float64(columns)
	every := max(1, int(math.Ceil(13/row)))
	for i, cells := range g.Cells {
		y := top + float64(row*float64(i))
		if i%every == 0 && i < len(g.Rows) {
			c.text(left-8, y+row/2+4, end, muted, ` font-size="11"`, short(g.Rows[i], 22))
		}
		fmt.Fprintf(&c.b, `<g transform="translate(%s %s)">`, px(left), px(y))
		for j, cell := range cells {
			light := "#ffffff"
			if !math.IsNaN(cell.Shade) {
				light, _ = shadeOf(int(math.Round(shades * math.Max(-1, math.Min(1, cell.Shade)))))
			}
			gap := math.Min(0.6, w/10)
			fmt.Fprintf(&c.b, `<rect x="%s" width="%s" height="%s" fill="%s"><title>%s</title></rect>`, px1(w*float64(j)), px1(w-gap), px1(row-gap), light, escape(cell.Name))
		}
		c.b.WriteString("</g>\n")
	}
	c.text((left+right)/2, bottom+20, middle, ink, ` font-size="12"`, g.Columns)
	return c.bytes()
}

// legend draws the scale on top.
func (g *Grid) legend(c *canvas, x float64) {
	for _, e := range []struct {
		step int
		name string
	}{{-shades, g.Low}, {0, g.Middle}, {shades, g.High}} {
		if e.name == "" {
			continue
		}
		light, _ := shadeOf(e.step)
		c.rect(x, 6, 15, 15, light, ` stroke="`+frame+`" stroke-width="0.6"`)
		c.text(x+21, 18, start, ink, ` font-size="11.5"`, e.name)
		x += 46 + float64(6.2*float64(len([]rune(e.name))))
	}
}

// px1 is px to a tenth of a pixel: a grid has many of them.
func px1(x float64) string { return px(math.Round(10*x) / 10) }
