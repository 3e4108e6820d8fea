package figure

import "math"

// Spots shows an error against a quantity, with the median of each value of
// the quantity that many points share.
type Spots struct {
	Title, Subtitle string
	X, Y            Axis
	Reference       float64
	Bands           []Band
	Series          []Series
	Medians         []Point // of all series together; drawn as short bars
}

// SVG draws the figure.
func (s *Spots) SVG() []byte {
	const width, height, left, right, top, bottom = 980.0, 440.0, 84.0, 690.0, 76.0, 380.0
	c := newCanvas(width, height, s.Title)
	c.heading(s.Title, s.Subtitle)
	var xs, ys []float64
	var entries []Entry
	for _, one := range s.Series {
		entries = append(entries, Entry{one.Name, one.Remark})
		for _, p := range one.Points {
			xs, ys = append(xs, p.X), append(ys, p.Y)
		}
	}
	p := newPanel(c, s.X.fit(xs), s.Y.fit(ys), left, top, right, bottom)
	p.level(s.Reference, s.Bands)
	p.axes(true)
	for i, one := range s.Series {
		for k, pt := range one.Points {
			p.mark(styleOf(i), p.x.at(pt.X)+spreadOut(k), p.y.at(pt.Y), 3.6)
		}
	}
	for _, m := range s.Medians {
		x, y := p.x.at(m.X), p.y.at(m.Y)
		p.line(x-16, y, x+16, y, ink, 2.4, "")
	}
	c.legend(720, top+14, entries)
	return c.bytes()
}

// spreadOut moves point k of many at the same place sideways, by the golden
// ratio's low-discrepancy sequence.
func spreadOut(k int) float64 {
	_, part := math.Modf(float64(k) * 0.6180339887498949)
	return float64(18*part) - 9
}
