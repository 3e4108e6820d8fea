package execution

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Point is a loss at a number of steps taken.
type Point struct {
	Step int64
	Loss float64
}

// Curve is the loss of one stage of a run.
type Curve struct {
	Name string
	// Train is the loss of each step, at the number of steps taken before it;
	// HeldOut that of the held-out rows.
	Train, HeldOut []Point
}

// Curves reads the loss curves of a run directory, stage by stage, from its record.
func Curves(dir string) ([]Curve, error) {
	_, s, err := read(dir)
	if err != nil {
		return nil, err
	}
	cs := make([]Curve, len(s.stages))
	for i := range cs {
		cs[i].Name = s.stages[i].Name
	}
	for _, t := range s.steps {
		if !t.skipped {
			cs[t.stage].Train = append(cs[t.stage].Train, Point{t.step, t.loss})
		}
	}
	for _, e := range s.evaluations {
		if e.HeldOut != nil && e.Stage < len(cs) {
			cs[e.Stage].HeldOut = append(cs[e.Stage].HeldOut, Point{e.Step, e.HeldOut.Loss})
		}
	}
	return cs, nil
}

// CSV writes the curve as lines of step, series and loss.
func (c *Curve) CSV(w io.Writer) error {
	var b strings.Builder
	b.WriteString("step,series,loss\n")
	for _, s := range c.series() {
		for _, p := range s.points {
			fmt.Fprintf(&b, "%d,%s,%.6f\n", p.Step, s.name, p.Loss)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type series struct {
	name, colour string
	width        float64
	points       []Point
}

func (c *Curve) series() []series {
	all := []series{{"train", "#7a9cc6", 1, c.Train}, {"held out", "#b03030", 2, c.HeldOut}}
	return slices.DeleteFunc(all, func(s series) bool { return len(s.points) == 0 })
}

// SVG draws the curve, for a browser or a page of documentation.
func (c *Curve) SVG(w io.Writer, title string) error {
	const left, right, top, bottom = 60.0, 680.0, 40.0, 320.0
	last, least, most := int64(1), 0.0, 0.0
	first := true
	for _, s := range c.series() {
		for _, p := range s.points {
			last = max(last, p.Step)
			if first {
				least, most, first = p.Loss, p.Loss, false
			}
			least, most = min(least, p.Loss), max(most, p.Loss)
		}
	}
	if most == least {
		most = least + 1
	}
	x := func(step float64) float64 { return left + float64((right-left)*step/float64(last)) }
	y := func(loss float64) float64 { return bottom - float64((bottom-top)*(loss-least)/(most-least)) }
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 370" font-family="sans-serif" font-size="12">` + "\n")
	fmt.Fprintf(&b, `<title>%[1]s</title><rect width="700" height="370" fill="white"/><text x="60" y="20" font-size="14">%[1]s</text>`+"\n", escape(title))
	for i := range 5 {
		v := least + float64((most-least)*float64(i)/4)
		fmt.Fprintf(&b, `<line x1="%g" x2="%g" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="52" y="%.1f" text-anchor="end">%.2f</text>`+"\n", left, right, y(v), y(v), y(v)+4, v)
		step := float64(last) * float64(i) / 4
		fmt.Fprintf(&b, `<text x="%.1f" y="340" text-anchor="middle">%.0f</text>`+"\n", x(step), step)
	}
	b.WriteString(`<text x="370" y="360" text-anchor="middle">optimizer steps; loss in nats per token</text>` + "\n")
	for i, s := range c.series() {
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="%g" points="`, s.colour, s.width)
		for _, p := range s.points {
			fmt.Fprintf(&b, "%.1f,%.1f ", x(float64(p.Step)), y(p.Loss))
		}
		fmt.Fprintf(&b, `"/><text x="675" y="%d" text-anchor="end" fill="%s">%s</text>`+"\n", 55+18*i, s.colour, s.name)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// escape makes text safe inside SVG: names of runs come from files.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}
