package figure

import "math"

// Band shades where predicted over measured is within a factor, or where y is
// within a distance of the reference, with its name at the right edge.
type Band struct {
	Name  string
	Share float64 // 0.1 is ten percent on either side
	Fill  string  // "": the light grey
}

// panel is a frame with two scales.
type panel struct {
	*canvas
	x, y       scale
	l, t, r, b float64 // edges in pixels
}

// newPanel sets the scales into the frame.
func newPanel(c *canvas, x, y Axis, l, t, r, b float64) *panel {
	return &panel{canvas: c, x: scale{x, l, r}, y: scale{y, b, t}, l: l, t: t, r: r, b: b}
}

// axes draws grid, ticks and labels. Without ends, the x axis keeps its ticks
// but not its numbers: the panel below carries them.
func (p *panel) axes(numbers bool) {
	for _, t := range p.y.ticks() {
		at := p.y.at(t)
		p.line(p.l, at, p.r, at, faint, 1, "")
		p.text(p.l-8, at+4, end, muted, ` font-size="11"`, p.y.label(t))
	}
	for _, t := range p.x.ticks() {
		at := p.x.at(t)
		p.line(at, p.t, at, p.b, faint, 1, "")
		if numbers {
			p.text(at, p.b+16, middle, muted, ` font-size="11"`, p.x.label(t))
		}
	}
	p.line(p.l, p.b, p.r, p.b, frame, 1, "")
	p.line(p.l, p.t, p.l, p.b, frame, 1, "")
	if numbers {
		p.text((p.l+p.r)/2, p.b+36, middle, ink, ` font-size="12.5"`, p.x.Label)
	}
	middleY := (p.t + p.b) / 2
	p.text(p.l-50, middleY, middle, ink, ` font-size="12.5" transform="rotate(-90 `+px(p.l-50)+" "+px(middleY)+`)"`, p.y.Label)
}

// diagonal draws the line y = x and the bands around it.
func (p *panel) diagonal(bands []Band) {
	lo, hi := math.Max(p.x.Lo, p.y.Lo), math.Min(p.x.Hi, p.y.Hi)
	for _, b := range bands {
		up := 1 + b.Share
		var xy []float64
		const steps = 24
		for i := 0; i <= steps; i++ {
			v := p.between(lo, hi, float64(i)/steps)
			xy = append(xy, p.x.at(v), p.y.at(v*up))
		}
		for i := steps; i >= 0; i-- {
			v := p.between(lo, hi, float64(i)/steps)
			xy = append(xy, p.x.at(v), p.y.at(v/up))
		}
		p.polygon(fillOf(b), xy...)
	}
	p.line(p.x.at(lo), p.y.at(lo), p.x.at(hi), p.y.at(hi), frame, 1.2, "")
}

// between is the value a share of the way along the x axis.
func (p *panel) between(lo, hi, part float64) float64 {
	if p.x.Log {
		return lo * math.Pow(hi/lo, part)
	}
	return lo + float64(part*(hi-lo))
}

// level draws the line y = reference and the bands around it.
func (p *panel) level(reference float64, bands []Band) {
	for _, b := range bands {
		top, bottom := reference+b.Share, reference-b.Share
		if p.y.Log {
			top, bottom = reference*(1+b.Share), reference/(1+b.Share)
		}
		p.rect(p.l, p.y.at(top), p.r-p.l, p.y.at(bottom)-p.y.at(top), fillOf(b), "")
		if b.Name != "" {
			p.text(p.r-6, p.y.at(top)+12, end, muted, ` font-size="10.5"`, b.Name)
		}
	}
	at := p.y.at(reference)
	p.line(p.l, at, p.r, at, frame, 1.2, "")
}

func fillOf(b Band) string {
	if b.Fill == "" {
		return "#f0f3f7"
	}
	return b.Fill
}
