package figure

// Point is one measurement; Low to High is the interval of Y, equal where
// there is none.
type Point struct{ X, Y, Low, High float64 }

// Series is a set of points that belong together.
type Series struct {
	Name, Remark string
	Points       []Point
}

// Scatter shows predicted against measured, and below it the same points with
// their intervals as a share of the measured value, where errors can be seen.
type Scatter struct {
	Title, Subtitle string
	X, Y            Axis
	Ratio           Axis // of the lower panel; no label: no lower panel
	Bands           []Band
	Series          []Series
}

// SVG draws the figure.
func (s *Scatter) SVG() []byte {
	const width, left, right, top, side = 980.0, 84.0, 690.0, 76.0, 720.0
	bottom := 500.0
	height := bottom + 60
	ratio := s.Ratio.Label != ""
	if ratio {
		height = bottom + 290
	}
	c := newCanvas(width, height, s.Title)
	c.heading(s.Title, s.Subtitle)
	x, y := s.X.fit(s.values(true)), s.Y.fit(s.values(false))
	p := newPanel(c, x, y, left, top, right, bottom)
	p.diagonal(s.Bands)
	p.axes(!ratio)
	p.points(s.Series, func(pt Point) Point { return pt })
	var entries []Entry
	for _, one := range s.Series {
		entries = append(entries, Entry{one.Name, one.Remark})
	}
	c.legend(side, top+14, entries)
	if ratio {
		q := newPanel(c, x, s.Ratio.fit(s.ratios()), left, bottom+30, right, bottom+230)
		q.level(1, s.Bands)
		q.axes(true)
		q.points(s.Series, share)
	}
	return c.bytes()
}

// share is a point as predicted over measured.
func share(p Point) Point { return Point{p.X, p.Y / p.X, p.Low / p.X, p.High / p.X} }

// points draws all series, intervals below marks.
func (p *panel) points(series []Series, view func(Point) Point) {
	for i, s := range series {
		color := styleOf(i).color
		for _, pt := range s.Points {
			if v := view(pt); v.High > v.Low {
				p.line(p.x.at(v.X), p.y.at(v.Low), p.x.at(v.X), p.y.at(v.High), color, 1, ` stroke-opacity="0.38"`)
			}
		}
	}
	for i, s := range series {
		for _, pt := range s.Points {
			v := view(pt)
			p.mark(styleOf(i), p.x.at(v.X), p.y.at(v.Y), 4.2)
		}
	}
}

// values are the extents of all points in one direction. A square plot shows
// both on the same range.
func (s *Scatter) values(bool) []float64 {
	var out []float64
	for _, one := range s.Series {
		for _, p := range one.Points {
			out = append(out, p.X, p.Y)
		}
	}
	return out
}

func (s *Scatter) ratios() []float64 {
	var out []float64
	for _, one := range s.Series {
		for _, p := range one.Points {
			out = append(out, p.Y/p.X)
		}
	}
	return out
}
