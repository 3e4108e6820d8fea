package figure

import (
	"fmt"
	"math"
	"strings"
)

// Rule marks a place on the x axis.
type Rule struct {
	X    float64
	Name string
}

// maxPoints is the most points drawn of a series: more cannot be seen.
const maxPoints = 600

func drawable(y float64) bool { return math.Abs(y) < 1e300 } // false for NaN

// spread is fit for data that may not vary at all.
func (a Axis) spread(xs []float64) Axis {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, x := range xs {
		lo, hi = math.Min(lo, x), math.Max(hi, x)
	}
	if same := 1e-6 * math.Max(math.Abs(lo), math.Abs(hi)); lo <= hi && hi-lo <= same && !a.Log && a.Lo == 0 && a.Hi == 0 {
		d := math.Max(math.Abs(hi)/10, 1e-6)
		a.Lo, a.Hi = lo-d, hi+d
	}
	return a.fit(xs)
}

// join draws a line through points, and a mark at each where there are few.
func (p *panel) join(s style, points []Point) {
	var d strings.Builder
	pen := "M"
	for _, pt := range points {
		if !drawable(pt.Y) {
			pen = "M"
			continue
		}
		d.WriteString(pen + px(p.x.at(pt.X)) + " " + px(p.y.at(pt.Y)))
		pen = "L"
	}
	if d.Len() > 0 {
		fmt.Fprintf(&p.canvas.b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.6" stroke-linejoin="round"/>`+"\n", d.String(), s.color)
	}
	if len(points) <= 40 {
		for _, pt := range points {
			if drawable(pt.Y) {
				p.mark(s, p.x.at(pt.X), p.y.at(pt.Y), 3.2)
			}
		}
	}
}

// thin keeps the least and the greatest of each bucket of points, in order, so
// that spikes survive.
func thin(points []Point, most int) []Point {
	if len(points) <= most {
		return points
	}
	out := make([]Point, 0, most)
	buckets := most / 2
	for b := range buckets {
		part := points[b*len(points)/buckets : (b+1)*len(points)/buckets]
		lo, hi := 0, 0
		for i, p := range part {
			if p.Y < part[lo].Y || !drawable(p.Y) {
				lo = i
			}
			if p.Y > part[hi].Y {
				hi = i
			}
		}
		out = append(out, part[min(lo, hi)])
		if lo != hi {
			out = append(out, part[max(lo, hi)])
		}
	}
	return out
}
