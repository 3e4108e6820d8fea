package dashboard

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/temper-ml/temper/report/record"
)

// partNames are the parts of a step's time in the order they are drawn.
var partNames = func() []string {
	var names []string
	for _, p := range parts(&record.Split{}) {
		names = append(names, p.name)
	}
	return names
}()

// waits are the parts in which a rank does nothing for the step.
var waits = map[string]bool{"communication": true, "bubble": true, "stall": true}

// rankTimes is where the time of each rank went, drawn as a column for each.
type rankTimes struct {
	Span    string
	Ranks   int
	Each    int // ranks of a column, of which the busiest is drawn
	Parts   []string
	Columns []rankColumn
	Height  float64
	Numbers grid
	Says    string
}

// rankColumn is a rank's column, in a drawing that is 1000 wide and 100 high.
type rankColumn struct {
	X, Width float64
	Label    string
	Pieces   []piece
}

// piece is a part of a column.
type piece struct {
	Part      string
	Y, Height float64
}

const (
	drawnRanks  = 200
	listedRanks = 64
)

// busy is the time in which a rank works, in seconds.
func busy(t *record.RankTime) float64 {
	b := 0.0
	for _, p := range parts(&t.Split) {
		if !waits[p.name] {
			b += p.v
		}
	}
	return b
}

func viewTimes(t tableAt[*record.Times]) *rankTimes {
	ranks := t.Body.Ranks
	steps := float64(max(t.To-t.From, 1))
	v := &rankTimes{
		Span: fmt.Sprintf("steps %s to %s", count(t.From+1), count(t.To)), Ranks: len(ranks), Each: (len(ranks)-1)/drawnRanks + 1,
	}
	if len(ranks) == 0 {
		return nil
	}
	longest := 0.0
	has := map[string]bool{}
	for i := range ranks {
		longest = max(longest, time.Duration(ranks[i].Split.Wall).Seconds())
		for _, p := range parts(&ranks[i].Split) {
			has[p.name] = has[p.name] || p.v > 0
		}
	}
	for _, name := range partNames {
		if has[name] {
			v.Parts = append(v.Parts, name)
		}
	}
	columns := (len(ranks)-1)/v.Each + 1
	width := 1000 / float64(columns)
	for c := range columns {
		group := ranks[c*v.Each : min((c+1)*v.Each, len(ranks))]
		worst := slices.MaxFunc(group, func(a, b record.RankTime) int { return cmp.Compare(busy(&a), busy(&b)) })
		v.Columns = append(v.Columns, drawRank(&worst, float64(c)*width, width, longest, steps))
	}
	v.Says = sayRanks(ranks, steps)
	v.Numbers = listRanks(ranks, v.Parts, steps)
	return v
}

func drawRank(t *record.RankTime, x, width, longest, steps float64) rankColumn {
	gap := min(width*0.12, 2)
	c := rankColumn{X: round2(x), Width: round2(width - gap), Label: fmt.Sprintf("rank %d: %s a step, busy %s", t.Rank, seconds(time.Duration(t.Split.Wall).Seconds()/steps), seconds(busy(t)/steps))}
	y := 100.0
	for _, p := range parts(&t.Split) {
		if p.v <= 0 || longest <= 0 {
			continue
		}
		h := 100 * p.v / longest
		y -= h
		c.Pieces = append(c.Pieces, piece{p.name, round2(y), round2(h)})
	}
	return c
}

func round2(v float64) float64 { return math.Round(v*100) / 100 }

func seconds(v float64) string { return lasting(time.Duration(v * 1e9)) }

// sayRanks names the busiest and the least busy rank.
func sayRanks(ranks []record.RankTime, steps float64) string {
	byBusy := func(a, b record.RankTime) int { return cmp.Compare(busy(&a), busy(&b)) }
	least, most := slices.MinFunc(ranks, byBusy), slices.MaxFunc(ranks, byBusy)
	if len(ranks) == 1 {
		return fmt.Sprintf("one rank, busy %s a step", seconds(busy(&most)/steps))
	}
	return fmt.Sprintf("%s ranks; busiest is rank %d with %s a step, least busy rank %d with %s", count(int64(len(ranks))), most.Rank, seconds(busy(&most)/steps), least.Rank, seconds(busy(&least)/steps))
}

// listRanks is a table of all ranks, or of the busiest of many.
func listRanks(ranks []record.RankTime, names []string, steps float64) grid {
	g := grid{Head: append([]string{"rank", "wall", "busy"}, names...), Numbers: true, Caption: "milliseconds a step"}
	list := slices.Clone(ranks)
	if len(list) > listedRanks {
		slices.SortStableFunc(list, func(a, b record.RankTime) int { return cmp.Compare(busy(&b), busy(&a)) })
		list = list[:listedRanks]
		g.Caption = fmt.Sprintf("milliseconds a step; the %d busiest of %s ranks", listedRanks, count(int64(len(ranks))))
	}
	ms := func(v float64) string { return strconv.FormatFloat(1000*v/steps, 'f', 1, 64) }
	for i := range list {
		row := []string{strconv.Itoa(list[i].Rank), ms(time.Duration(list[i].Split.Wall).Seconds()), ms(busy(&list[i]))}
		for _, p := range parts(&list[i].Split) {
			if slices.Contains(names, p.name) {
				row = append(row, ms(p.v))
			}
		}
		g.Rows = append(g.Rows, row)
	}
	return g
}

// routingView is how tokens were routed to experts in some steps.
type routingView struct {
	Span    string
	Chosen  string // the last step of it, "" for the last table
	At      int64  // the same
	Spans   []choice
	Blocks  int
	Experts int
	Numbers grid
}

// choice is a table that can be chosen.
type choice struct {
	To     int64 // its last step
	Text   string
	Chosen bool
}

// routingOf is the index of the table whose last step is span, else the last.
func (r *run) routingOf(span int64) int {
	for i, t := range r.routing {
		if t.To == span {
			return i
		}
	}
	return len(r.routing) - 1
}

// viewRouting is the table whose last step is span, else the last.
func (r *run) viewRouting(span int64) *routingView {
	if len(r.routing) == 0 {
		return nil
	}
	index := r.routingOf(span)
	v := &routingView{At: r.routing[index].To}
	if index < len(r.routing)-1 {
		v.Chosen = strconv.FormatInt(v.At, 10)
	}
	for i, t := range r.routing {
		text := fmt.Sprintf("steps %s to %s", count(t.From+1), count(t.To))
		v.Spans = append(v.Spans, choice{t.To, text, i == index})
		if i == index {
			v.Span = text
		}
	}
	counts := r.routing[index].Body.Counts
	v.Blocks = len(counts)
	v.Numbers = grid{Caption: "Blocks", Quiet: true, Head: []string{"block", "tokens", "busiest expert", "× mean", "idlest expert", "× mean", "unused"}, Numbers: true}
	for b, row := range counts {
		v.Experts = max(v.Experts, len(row))
		v.Numbers.Rows = append(v.Numbers.Rows, blockRow(b, row))
	}
	return v
}

// blockRow sums up a block: the same numbers as a table of all experts has.
func blockRow(b int, row []int64) []string {
	if len(row) == 0 {
		return []string{strconv.Itoa(b), "0", none, none, none, none, none}
	}
	var sum int64
	unused := 0
	most, least := 0, 0
	for e, n := range row {
		sum += n
		if n == 0 {
			unused++
		}
		if n > row[most] {
			most = e
		}
		if n < row[least] {
			least = e
		}
	}
	over := func(n int64) string {
		if sum == 0 {
			return none
		}
		return strconv.FormatFloat(float64(n)*float64(len(row))/float64(sum), 'f', 2, 64)
	}
	return []string{strconv.Itoa(b), count(sum), strconv.Itoa(most), over(row[most]), strconv.Itoa(least), over(row[least]), strconv.Itoa(unused)}
}

// expertsView is the complete table of experts.
type expertsView struct {
	ID, Name string
	View     *routingView
	Table    grid
}

// expertsPage shows how many tokens each expert of each block got.
func (s *Server) expertsPage(w http.ResponseWriter, r *http.Request) {
	x := s.hub.find(r.PathValue("id"))
	if x == nil {
		s.nothing(w, r)
		return
	}
	x.mu.RLock()
	v := expertsView{ID: x.id, Name: x.title(), View: x.viewRouting(spanOf(r))}
	if v.View != nil {
		counts := x.routing[x.routingOf(v.View.At)].Body.Counts
		v.Table = grid{Caption: "Tokens by block and expert", Quiet: true, Head: []string{"block"}, Numbers: true}
		for e := range v.View.Experts {
			v.Table.Head = append(v.Table.Head, strconv.Itoa(e))
		}
		for b, row := range counts {
			cells := []string{strconv.Itoa(b)}
			for _, n := range row {
				cells = append(cells, strconv.FormatInt(n, 10))
			}
			v.Table.Rows = append(v.Table.Rows, cells)
		}
	}
	x.mu.RUnlock()
	if v.View == nil {
		s.nothing(w, r)
		return
	}
	s.page(w, r, http.StatusOK, "experts", layout{Title: "Experts of " + v.Name, Body: v})
}

// spanOf is the choice of steps in an address, -1 for the last.
func spanOf(r *http.Request) int64 {
	n, err := strconv.ParseInt(r.URL.Query().Get("span"), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// routing answers with the counts that the heat map draws.
func (s *Server) routing(w http.ResponseWriter, r *http.Request) {
	x := s.hub.find(r.PathValue("id"))
	if x == nil {
		s.nothing(w, r)
		return
	}
	x.mu.RLock()
	answer := struct {
		Span   string    `json:"span"`
		Counts [][]int64 `json:"counts"`
	}{Counts: [][]int64{}}
	if v := x.viewRouting(spanOf(r)); v != nil { // tables are never changed once they are read
		answer.Span, answer.Counts = v.Span, x.routing[x.routingOf(v.At)].Body.Counts
	}
	x.mu.RUnlock()
	s.json(w, r, answer)
}
