package figure

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var out = flag.String("figures", "", "write the test's figures to this folder")

// examples are figures of invented data, one of each kind.
func examples() map[string][]byte {
	var series []Series
	for i, name := range []string{"Megatron on A100", "torchtitan on H100", "SimuMax on B200", "MindSpeed on 910C", "a <fifth> & more", "sixth", "seventh", "eighth", "ninth", "tenth"} {
		s := Series{Name: name, Remark: "12 steps, 5.1 % off"}
		for k := 0; k < 12; k++ {
			x := math.Exp(float64(k)/3 + float64(i)/4 - 1)
			y := x * (1 + float64(0.15*math.Sin(float64(3*k+i))))
			s.Points = append(s.Points, Point{x, y, y * 0.88, y * 1.13})
		}
		series = append(series, s)
	}
	percent := func(x float64) string { return px(100*x) + " %" }
	errs := Series{Name: "fitted", Remark: "184 rows"}
	left := Series{Name: "left out", Remark: "184 rows"}
	for k := 0; k < 184; k++ {
		errs.Points = append(errs.Points, Point{Y: 0.08 * math.Sin(float64(k*k))})
		left.Points = append(left.Points, Point{Y: 0.2 * math.Sin(float64(k*k+1))})
	}
	spots := make([]Series, 3)
	for i := range spots {
		spots[i] = Series{Name: series[i].Name, Remark: series[i].Remark}
		for k := 0; k < 30; k++ {
			spots[i].Points = append(spots[i].Points, Point{X: math.Pow(2, float64(3+(k*7+i)%8)), Y: 1 + float64(0.1*math.Sin(float64(k+i)))})
		}
	}
	bands := []Band{{Name: "±10 %", Share: 0.1}}
	return map[string][]byte{
		"scatter.svg": (&Scatter{
			Title: "Predicted against measured", Subtitle: "one mark per published step; bars are the 90 % interval",
			X: Axis{Label: "measured step, s", Log: true}, Y: Axis{Label: "predicted step, s", Log: true},
			Ratio: Axis{Label: "predicted / measured", Log: true, Lo: 0.7, Hi: 1.4, Ticks: []float64{0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.4}}, Bands: bands, Series: series,
		}).SVG(),
		"bars.svg": (&Bars{
			Title: "Errors", Subtitle: "of all rows", XLabel: "predicted over measured", Width: 0.02, Limit: 0.3, Filled: errs, Lined: left, Bands: bands, Format: percent,
		}).SVG(),
		"dots.svg": (&Dots{
			Title: "By system", Subtitle: "mean absolute error", X: Axis{Label: "mean absolute error", Format: percent}, Goal: 0.07, GoalName: "goal 7 %",
			Measures: []Entry{{Name: "fitted"}, {Name: "left out"}},
			Lines:    []Line{{"Megatron on A100", "109 steps", []float64{0.05, 0.12}}, {"torchtitan on H100", "18 steps", []float64{0.04, math.NaN()}}},
		}).SVG(),
		"spots.svg": (&Spots{
			Title: "By size", Subtitle: "predicted over measured", X: Axis{Label: "devices", Log: true, Ticks: []float64{8, 16, 32, 64, 128, 256, 512, 1024}}, Y: Axis{Label: "predicted / measured"},
			Reference: 1, Bands: bands, Series: spots, Medians: []Point{{X: 8, Y: 1.02}, {X: 64, Y: 0.97}},
		}).SVG(),
		"plot.svg": (&Plot{
			Title: "Loss <b>", Desc: "from 4 & on", X: Axis{Label: "step"}, Y: Axis{Label: "loss"}, Rules: []Rule{{3, "fault & recovery"}},
			Series: []Series{{Name: "one <i>", Remark: "4 to 2", Points: []Point{{X: 0, Y: 4}, {X: 1, Y: math.NaN()}, {X: 2, Y: 3}, {X: 4, Y: 2}}}, {Name: "two"}},
			Faint:  []Series{{Points: []Point{{X: 0, Y: 1}, {X: 9, Y: math.Inf(-1)}}}}, FaintName: "taken <again>",
		}).SVG(),
		"timeline.svg": (&Timeline{
			Title: "When <b>", Desc: "all & more", From: 1772352000000, To: 1772362000000,
			Lanes: []Lane{
				{Name: "steps <i>", Remark: "60 %", Spans: []Span{{From: 1772352000000, To: 1772352000001, Name: "a & b"}, {From: 1772352000001, To: 1772360000000, Name: "c", Color: 1}}},
				{Name: "incidents", Marks: []Mark{{1772352000000, "fault <x>"}}},
			},
		}).SVG(),
		"grid.svg": (&Grid{
			Title: "Load <b>", Desc: "all & more", Rows: []string{"block 0", "block <1>"}, Columns: "expert 0 to 2", Low: "less", Middle: "even", High: "more",
			Cells: [][]Cell{{{1, "a & b"}, {-3, "<c>"}, {math.NaN(), ""}}, {{0.2, "d"}}},
		}).SVG(),
		"stack.svg": (&Stack{Title: "Time", Parts: []string{"forward", "<other>"}, Rows: []Row{{"one & two", "10 s", []float64{0.7, 0.3}}}}).SVG(),
	}
}

func TestFiguresAreWellFormedAndDeterministic(t *testing.T) {
	again := examples()
	for name, svg := range examples() {
		if !bytes.Equal(svg, again[name]) {
			t.Errorf("%s: two drawings of the same data differ", name)
		}
		d := xml.NewDecoder(bytes.NewReader(svg))
		for {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if s := string(svg); strings.Contains(s, "NaN") || strings.Contains(s, "Inf") {
			t.Errorf("%s: a coordinate is not a number", name)
		}
		if *out != "" {
			if err := os.WriteFile(filepath.Join(*out, name), svg, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestScalesMapEndsAndOrder(t *testing.T) {
	for _, log := range []bool{false, true} {
		s := scale{Axis{Log: log, Lo: 0.5, Hi: 200}, 10, 110}
		if s.at(0.5) != 10 || s.at(200) != 110 || s.at(-1) != 10 || s.at(1e9) != 110 {
			t.Errorf("log %v: ends at %v and %v", log, s.at(0.5), s.at(200))
		}
		last := -1.0
		for _, x := range s.ticks() {
			if x < 0.5 || x > 200 || s.at(x) <= last {
				t.Errorf("log %v: tick %v out of range or order", log, x)
			}
			last = s.at(x)
		}
		if n := len(s.ticks()); n < 4 || n > 11 {
			t.Errorf("log %v: %d ticks", log, n)
		}
	}
}

func TestEmptyDataDraws(t *testing.T) {
	for _, svg := range [][]byte{(&Scatter{}).SVG(), (&Bars{Width: 1, Limit: 1}).SVG(), (&Dots{}).SVG(), (&Spots{}).SVG(), (&Stack{}).SVG(), (&Plot{}).SVG(), (&Timeline{}).SVG(), (&Grid{}).SVG()} {
		if !bytes.HasSuffix(svg, []byte("</svg>\n")) || bytes.Contains(svg, []byte("NaN")) {
			t.Errorf("a figure without data is broken: %.80s", svg)
		}
	}
}

func TestEveryStyleIsItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for i := range palette {
		c := newCanvas(10, 10, "")
		c.mark(styleOf(i), 5, 5, 4)
		if s := c.b.String(); seen[s] {
			t.Errorf("style %d repeats another", i)
		} else {
			seen[s] = true
		}
		if seen[styleOf(i).shape] || seen[styleOf(i).color] {
			t.Errorf("style %d repeats a shape or a colour", i)
		}
		seen[styleOf(i).shape], seen[styleOf(i).color] = true, true
	}
}

// Spikes and gaps survive thinning, and no more points than asked for remain.
func TestThinKeepsSpikesAndGaps(t *testing.T) {
	points := make([]Point, 10000)
	for i := range points {
		points[i] = Point{X: float64(i), Y: 1}
	}
	points[777].Y, points[5555].Y, points[8000].Y = 9, -9, math.NaN()
	var up, down, gap bool
	got := thin(points, 600)
	for i, p := range got {
		up, down, gap = up || p.Y == 9, down || p.Y == -9, gap || math.IsNaN(p.Y)
		if i > 0 && p.X <= got[i-1].X {
			t.Fatalf("point %d is at %v, after %v", i, p.X, got[i-1].X)
		}
	}
	if !up || !down || !gap || len(got) > 600 {
		t.Errorf("up %t, down %t, gap %t, %d points", up, down, gap, len(got))
	}
}

// However many spans a lane has, it draws no more than pixels, and none of those
// that can be told apart is lost.
func TestTimelineMergesWhatNoEyeTellsApart(t *testing.T) {
	l := Lane{Name: "steps"}
	for i := range int64(100_000) {
		l.Spans = append(l.Spans, Span{From: 10 * i, To: 10*i + 9, Name: "step"})
	}
	l.Spans = append(l.Spans, Span{From: 2_000_000, To: 2_000_500, Name: "late"})
	svg := string((&Timeline{To: 2_100_000, Lanes: []Lane{l}}).SVG())
	if n := strings.Count(svg, "<rect"); n > 1100 || !strings.Contains(svg, "<title>late</title>") {
		t.Errorf("%d rectangles, %d bytes", n, len(svg))
	}
	var last int64 = -1
	ticks, _ := timeTicks(0, 2_100_000)
	for _, x := range ticks {
		if int64(x) <= last {
			t.Errorf("tick %v after %d", x, last)
		}
		last = int64(x)
	}
	if len(ticks) < 3 || len(ticks) > 10 {
		t.Errorf("%d ticks", len(ticks))
	}
}

// Every colour of a figure has another on dark paper.
func TestDarkKnowsEveryColour(t *testing.T) {
	css := Dark("figure")
	colours := regexp.MustCompile(`(fill|stroke)="(#[0-9a-f]{6})"`)
	for name, svg := range examples() {
		for _, m := range colours.FindAllStringSubmatch(string(svg), -1) {
			if !strings.Contains(css, `figure [`+m[1]+`="`+m[2]+`"] {`) {
				t.Errorf("%s: %s %s is not known on dark paper", name, m[1], m[2])
			}
		}
	}
}
