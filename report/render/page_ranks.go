package render

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/temper-ml/temper/internal/figure"
	"github.com/temper-ml/temper/internal/unit"
	"github.com/temper-ml/temper/report/record"
)

// mostCells is the most cells of a row of a grid: more cannot be told apart.
const mostCells = 96

// cellsOf is how many cells a row of a page about n runs has.
func cellsOf(n int) int { return max(16, mostCells/n) }

// ranks shows where the time of each rank went, in the last stage that tells.
func (v *view) ranks() []part {
	var out []part
	for k, r := range v.runs {
		if len(r.RankTimes) == 0 {
			out = append(out, silent("Time of ranks of "+v.names[k], "Times of single ranks"))
			continue
		}
		last := &r.RankTimes[len(r.RankTimes)-1]
		caption := fmt.Sprintf("Ranks of %s, stage %s", v.names[k], r.stageName(last.Stage))
		if len(last.Ranks) > 1 {
			g := rankGrid(last.Ranks, cellsOf(len(v.runs)))
			g.Title = caption
			out = append(out, part{
				Caption: caption, Note: fmt.Sprintf("share of the wall time of %s over that of the median rank", plural(last.Steps, "step", "steps")),
				SVG: svg(g.SVG()), Wide: true,
			})
		}
		out = append(out, part{Table: rankTable(caption, last)}, part{Table: slowest(caption, last)})
	}
	return out
}

// shares are the parts that any rank spent time in, and each rank's share of
// its wall time in them.
func shares(ranks []record.RankTime) (names []string, of [][]float64) {
	for i := range ranks {
		for _, p := range split(&ranks[i].Split) {
			j := slices.Index(names, p.Name)
			if j < 0 {
				j = len(names)
				names, of = append(names, p.Name), append(of, make([]float64, len(ranks)))
			}
			if w := ranks[i].Split.Wall; w > 0 {
				of[j][i] = float64(p.Took) / float64(w)
			}
		}
	}
	return names, of
}

// rankGrid is a row for each part and a column for each rank, or for a few
// neighbours. A cell shows the rank of them that is farthest from the median.
func rankGrid(ranks []record.RankTime, columns int) *figure.Grid {
	names, of := shares(ranks)
	n := len(ranks)
	columns = min(columns, n)
	g := &figure.Grid{
		Rows: names, Columns: fmt.Sprintf("rank %d to %d", ranks[0].Rank, ranks[n-1].Rank),
		Low: "10 points less than the median", Middle: "median", High: "10 points more",
	}
	for j, row := range of {
		m := median(row)
		var cells []figure.Cell
		for c := range columns {
			from, to := c*n/columns, (c+1)*n/columns
			far := from
			for i := from; i < to; i++ {
				if math.Abs(row[i]-m) > math.Abs(row[far]-m) {
					far = i
				}
			}
			cells = append(cells, figure.Cell{
				Shade: (row[far] - m) / 0.1,
				Name:  fmt.Sprintf("%s of rank %d: %.1f %%, median %.1f %%", names[j], ranks[far].Rank, 100*row[far], 100*m),
			})
		}
		g.Cells = append(g.Cells, cells)
		g.Desc += fmt.Sprintf("%s: median %.1f %%. ", names[j], 100*m)
	}
	return g
}

// median of a copy.
func median(xs []float64) float64 {
	s := slices.Clone(xs)
	slices.Sort(s)
	if len(s) == 0 {
		return math.NaN()
	}
	return (s[len(s)/2] + s[(len(s)-1)/2]) / 2
}

// rankTable has for each part the median rank and the extremes.
func rankTable(caption string, t *RankTimes) *table {
	out := &table{Caption: caption + ": parts of the wall time", Head: []string{"part", "median", "least", "rank", "most", "rank"}}
	if len(t.Ranks) == 1 {
		out.Head = []string{"part", "share", "time"}
	}
	names, of := shares(t.Ranks)
	for j, name := range names {
		least, most := 0, 0
		for i, x := range of[j] {
			if x < of[j][least] {
				least = i
			}
			if x > of[j][most] {
				most = i
			}
		}
		if len(t.Ranks) == 1 {
			out.Rows = append(out.Rows, []string{name, percent(of[j][0]), unit.Duration(time.Duration(of[j][0] * float64(t.Ranks[0].Split.Wall)))})
			continue
		}
		out.Rows = append(out.Rows, []string{
			name, percent(median(of[j])), percent(of[j][least]), strconv.Itoa(t.Ranks[least].Rank), percent(of[j][most]), strconv.Itoa(t.Ranks[most].Rank),
		})
	}
	return out
}

// slowest are the ranks that computed longest: in a group that waits for each
// other, these are what the others wait for.
func slowest(caption string, t *RankTimes) *table {
	out := &table{Caption: caption + ": who worked longest", Head: []string{"rank", "at work", "waiting", "at work, over the median"}}
	work := make([]float64, len(t.Ranks))
	order := make([]int, len(t.Ranks))
	for i := range t.Ranks {
		s := &t.Ranks[i].Split
		work[i] = float64(s.Wall - s.Communication - s.Bubble - s.Stall)
		order[i] = i
	}
	m := median(work)
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(work[b], work[a]) })
	for _, i := range order[:min(len(order), 5)] {
		s := &t.Ranks[i].Split
		over := "–"
		if m > 0 {
			over = fmt.Sprintf("%+.1f %%", 100*(work[i]/m-1))
		}
		out.Rows = append(out.Rows, []string{
			strconv.Itoa(t.Ranks[i].Rank), unit.Duration(time.Duration(work[i])), unit.Duration(time.Duration(s.Communication + s.Bubble + s.Stall)), over,
		})
	}
	return out
}

// experts shows how tokens were routed, in the last stage of each run that tells.
func (v *view) experts() []part {
	var out []part
	for k, r := range v.runs {
		routing := r.routing()
		if len(routing) == 0 {
			out = append(out, silent("Expert load of "+v.names[k], "Tokens per expert"))
			continue
		}
		last := &routing[len(routing)-1]
		caption := fmt.Sprintf("Expert load of %s, stage %s", v.names[k], r.stageName(last.Stage))
		g := expertGrid(last.Counts, min(cellsOf(len(v.runs)), 64))
		g.Title = caption
		out = append(out,
			part{Caption: caption, Note: fmt.Sprintf("tokens routed in %s", plural(last.Steps, "step", "steps")), SVG: svg(g.SVG()), Wide: true, Table: expertTable(caption, last.Counts), Folded: true},
			whole(routingTable(v.names[k], r, routing)))
	}
	return out
}

// routing is what the run says of it; a run that only has the loads of steps
// gives the last of these.
func (r *Run) routing() []Routing {
	if len(r.Routing) > 0 {
		return r.Routing
	}
	for i := len(r.Steps) - 1; i >= 0; i-- {
		if s := &r.Steps[i]; len(s.Load) > 0 {
			return []Routing{{Stage: s.Stage, Steps: 1, Counts: s.Load}}
		}
	}
	return nil
}

// expertGrid is a row for each block and a column for each expert, or for a few
// neighbours: then a cell shows the one of them that is farthest from even, and
// tells the least and the most.
func expertGrid(counts [][]int64, columns int) *figure.Grid {
	g := &figure.Grid{Low: "unused", Middle: "even", High: "twice the mean or more"}
	experts := 0
	for b, load := range counts {
		row, _ := relative(load)
		n := len(row)
		experts = max(experts, n)
		g.Rows = append(g.Rows, fmt.Sprintf("block %d", b))
		var cells []figure.Cell
		for c := range min(columns, n) {
			from, to := c*n/min(columns, n), (c+1)*n/min(columns, n)
			least, most := slices.Min(row[from:to]), slices.Max(row[from:to])
			far := most
			if 1-least > most-1 {
				far = least
			}
			name := fmt.Sprintf("block %d, expert %d: %.2f × mean", b, from, most)
			if to-from > 1 {
				name = fmt.Sprintf("block %d, experts %d–%d: %.2f–%.2f", b, from, to-1, least, most)
			}
			cells = append(cells, figure.Cell{Shade: far - 1, Name: name})
		}
		g.Cells = append(g.Cells, cells)
	}
	g.Columns = fmt.Sprintf("expert 0 to %d", max(experts-1, 0))
	if experts > columns {
		g.Columns += ", neighbours together: the one farthest from even"
	}
	return g
}

// expertTable has the extremes of each block.
func expertTable(caption string, counts [][]int64) *table {
	t := &table{Caption: caption + " in numbers", Head: []string{"block", "tokens", "least loaded, × mean", "expert", "most loaded, × mean", "expert", "unused experts"}}
	for b, load := range counts {
		row, total := relative(load)
		least, most, unused := 0, 0, 0
		for e, x := range row {
			if x < row[least] {
				least = e
			}
			if x > row[most] {
				most = e
			}
			if load[e] == 0 {
				unused++
			}
		}
		if len(row) == 0 {
			continue
		}
		t.Rows = append(t.Rows, []string{
			strconv.Itoa(b), itoa(total), short(row[least]), strconv.Itoa(least), short(row[most]), strconv.Itoa(most), strconv.Itoa(unused),
		})
	}
	return t
}

// routingTable compares the stages of a run.
func routingTable(name string, r *Run, routing []Routing) *table {
	t := &table{Caption: "Expert load by stage of " + name, Head: []string{"stage", "steps", "most loaded, × mean", "in block", "mean over blocks of the most loaded", "experts unused, of"}}
	for i := range routing {
		worst, block, sum, unused, all, blocks := 0.0, 0, 0.0, 0, 0, 0
		for b, load := range routing[i].Counts {
			row, total := relative(load)
			all += len(row)
			for _, n := range load {
				if n == 0 {
					unused++
				}
			}
			if total == 0 || len(row) == 0 {
				continue
			}
			most := slices.Max(row)
			blocks++
			sum += most
			if most > worst {
				worst, block = most, b
			}
		}
		if blocks == 0 {
			continue
		}
		t.Rows = append(t.Rows, []string{
			r.stageName(routing[i].Stage), itoa(routing[i].Steps), short(worst), strconv.Itoa(block), short(sum / float64(blocks)), fmt.Sprintf("%d, %d", unused, all),
		})
	}
	return t
}

// relative is each load over the mean, and the sum of all.
func relative(load []int64) (row []float64, total int64) {
	for _, n := range load {
		total += n
	}
	for _, n := range load {
		x := math.NaN()
		if total > 0 {
			x = float64(n) * float64(len(load)) / float64(total)
		}
		row = append(row, x)
	}
	return row, total
}
