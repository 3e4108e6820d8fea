package schedule

import (
	"fmt"
	"math"
	"strings"
)

const maxColumns = 1 << 12 // of a picture

// Picture draws when every stage does what, one line a stage and one column a
// unit of time: F and B are forward and backward passes, I and W the input and
// weight halves of a backward, the number is the microbatch and the letter the
// chunk; dots are idle time. A unit of 0 is the shortest action. The timeline
// must be one of this pipeline that was not brief.
func (p *Pipeline) Picture(t *Timeline, unit float64) string {
	if len(t.Start) != len(p.Compute) {
		return ""
	}
	if !(unit > 0) {
		unit = p.shortest(t)
	}
	columns := int(min(math.Ceil(t.Makespan/unit), maxColumns))
	width := len(p.label(Action{Micro: int32(p.Micro - 1), Chunk: uint8(p.Chunks - 1)})) + 1
	var b strings.Builder
	for stage, order := range p.Compute {
		row := []byte(strings.Repeat("."+strings.Repeat(" ", width-1), columns))
		for n, a := range order {
			from := column(t.Start[stage][n], unit, columns) * width
			to := column(t.End[stage][n], unit, columns) * width
			p.draw(row[from:to], a)
		}
		fmt.Fprintf(&b, "%*d  %s\n", len(fmt.Sprint(p.Stages-1)), stage, strings.TrimRight(string(row), " "))
	}
	return b.String()
}

func column(at, unit float64, columns int) int {
	return int(min(math.Round(at/unit), float64(columns)))
}

// draw writes an action over its columns: its name, then dashes.
func (p *Pipeline) draw(cell []byte, a Action) {
	if len(cell) == 0 {
		return
	}
	for i := range cell {
		cell[i] = '-'
	}
	halves := a.halves()
	for k, half := range halves {
		at := k * len(cell) / len(halves)
		copy(cell[at:], p.label(half))
		if k > 0 {
			cell[at-1] = '+'
		}
	}
	cell[len(cell)-1] = ' '
}

// label names one pass, such as "F3" or, with several chunks, "F3b".
func (p *Pipeline) label(a Action) string {
	letter := map[Op]string{Forward: "F", Backward: "B", BackwardInput: "I", BackwardWeight: "W"}[a.Op]
	if p.Chunks == 1 {
		return fmt.Sprintf("%s%d", letter, a.Micro)
	}
	return fmt.Sprintf("%s%d%c", letter, a.Micro, 'a'+a.Chunk%26)
}

// shortest returns the shortest time that an action takes.
func (p *Pipeline) shortest(t *Timeline) float64 {
	unit := math.Inf(1)
	for stage := range t.Start {
		for n := range t.Start[stage] {
			if d := t.End[stage][n] - t.Start[stage][n]; d > 0 {
				unit = min(unit, d)
			}
		}
	}
	if math.IsInf(unit, 1) {
		return 1
	}
	return unit
}
