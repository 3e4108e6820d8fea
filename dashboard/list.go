package dashboard

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/temper-ml/temper/report/record"
)

// layout is what every page has.
type layout struct {
	Title string
	Name  string // of the template
	Live  string // what a page wants to be told of: "all", or identifiers
	Now   int64  // the server's clock, ms
	Body  any
}

// listView is the list of runs.
type listView struct {
	Rows   []row
	Sort   string
	Sorts  []sortLink
	Remark string
	Counts string
}

type sortLink struct{ Key, Name string }

// row is a run in the list, in words.
type row struct {
	ID, Name, Path string
	State          State
	Why            string
	Stage          string
	Step, Steps    int64
	Percent        int64
	Progress       string
	Loss, LossName string
	Spark          string // points of a line, "" without losses
	Rate, MFU      string
	Key, FullKey   string
	Signed         string
	Last           int64 // time of the last entry, ms
	Age            string

	loss, rate, mfu float64
}

// LastStamp is the time of the last entry for programs.
func (r row) LastStamp() string { return stamp(r.Last) }

// LastText is the same for people.
func (r row) LastText() string { return clock(r.Last) + " UTC" }

// sorts are the orders of the list. The first is the default.
var sorts = []struct {
	key, name string
	compare   func(a, b *row) int
}{
	{"state", "State", func(a, b *row) int {
		return cmp.Or(slices.Index(stateOrder, a.State)-slices.Index(stateOrder, b.State), cmp.Compare(b.Last, a.Last))
	}},
	{"name", "Name", func(a, b *row) int { return strings.Compare(a.Name, b.Name) }},
	{"last", "Last entry", func(a, b *row) int { return cmp.Compare(b.Last, a.Last) }},
	{"loss", "Loss", func(a, b *row) int { return numbersFirst(a.loss, b.loss) }},
	{"rate", "Tokens/s", func(a, b *row) int { return numbersFirst(-a.rate, -b.rate) }},
	{"mfu", "MFU", func(a, b *row) int { return numbersFirst(-a.mfu, -b.mfu) }},
}

// stateOrder puts what asks for attention first.
var stateOrder = []State{Live, Reading, Refused, Crashed, Torn, Failed, Paused, Ended}

func numbersFirst(a, b float64) int {
	if math.IsNaN(a) || math.IsNaN(b) {
		return cmp.Compare(boolInt(math.IsNaN(a)), boolInt(math.IsNaN(b)))
	}
	return cmp.Compare(a, b)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// listPage shows all runs, or with ?rows only those named.
func (s *Server) listPage(w http.ResponseWriter, r *http.Request) {
	runs, remark := s.hub.all()
	v := listView{Remark: remark, Sort: r.URL.Query().Get("sort")}
	only := r.URL.Query()["rows"]
	counts := map[State]int{}
	for _, x := range runs {
		if len(only) > 0 && !slices.Contains(only, x.id) {
			counts[x.stateNow(s.hub.now())]++
			continue
		}
		row := x.row(s.hub.now())
		counts[row.State]++
		v.Rows = append(v.Rows, row)
	}
	order := sorts[0]
	for _, o := range sorts {
		v.Sorts = append(v.Sorts, sortLink{o.key, o.name})
		if o.key == v.Sort {
			order = o
		}
	}
	v.Sort = order.key
	slices.SortStableFunc(v.Rows, func(a, b row) int { return cmp.Or(order.compare(&a, &b), strings.Compare(a.Path, b.Path)) })
	var parts []string
	for _, st := range stateOrder {
		if n := counts[st]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, st))
		}
	}
	v.Counts = strings.Join(parts, ", ")
	s.page(w, r, http.StatusOK, "list", layout{Title: "Runs", Live: "all", Body: v})
}

// stateNow is how the run stands.
func (r *run) stateNow(now time.Time) State {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s, _ := r.state(now)
	return s
}

// row says how a run stands.
func (r *run) row(now time.Time) row {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := row{ID: r.id, Name: r.title(), Path: r.name, Loss: none, Rate: none, MFU: none, loss: math.NaN(), rate: math.NaN(), mfu: math.NaN()}
	out.State, out.Why = r.state(now)
	out.Last, out.Age = r.time, none
	if r.time > 0 {
		out.Age = lasting(max(now.Sub(time.UnixMilli(r.time)), 0)) + " ago"
	}
	if r.manifest.Signer != "" {
		out.Key, out.FullKey = shortKey(r.manifest.Signer), r.manifest.Signer
	}
	out.Signed = r.signed()
	out.progress(r)
	if r.step == nil {
		return out
	}
	b := r.step.Body.(*record.Step)
	if name := r.mainLoss(); name != "" {
		out.LossName = strings.TrimPrefix(name, "loss:")
		out.loss = b.Losses[out.LossName]
		out.Loss = short(out.loss)
		out.Spark = r.spark(name)
	}
	if b.Time.Wall > 0 {
		out.rate = float64(b.Tokens) / time.Duration(b.Time.Wall).Seconds()
		out.Rate = scaled(out.rate)
	}
	if b.MFU > 0 {
		out.mfu = b.MFU
		out.MFU = percent(b.MFU)
	}
	return out
}

// title is the name that the run has in its manifest, else that of its directory.
func (r *run) title() string {
	if r.manifest.Run != "" {
		return cutText(r.manifest.Run, 120)
	}
	return cutText(r.name, 120)
}

func (o *row) progress(r *run) {
	o.Progress = "no step yet"
	if len(r.stages) == 0 {
		return
	}
	s := r.stages[len(r.stages)-1]
	o.Stage = s.title()
	o.Step, o.Steps = r.table.steps-s.Before, s.Steps
	o.Progress = fmt.Sprintf("%s of %s steps", count(o.Step), count(o.Steps))
	if o.Steps <= 0 {
		o.Progress = count(o.Step) + " steps"
		return
	}
	o.Percent = min(max(100*o.Step/o.Steps, 0), 100)
}

// title is a stage's name, its number where it has none.
func (s *stage) title() string {
	if s.Name != "" {
		return cutText(s.Name, 60)
	}
	return fmt.Sprintf("stage %d", s.Stage.Stage)
}

// mainLoss is the column that stands for a run: the language model's loss, or
// the first.
func (r *run) mainLoss() string {
	if _, ok := r.table.at["loss:lm"]; ok {
		return "loss:lm"
	}
	for _, c := range r.table.columns {
		if strings.HasPrefix(c.name, "loss:") {
			return c.name
		}
	}
	return ""
}

// spark is a column as the points of a small line, 100 wide and 24 high.
func (r *run) spark(name string) string {
	l := r.table.view(0, r.table.steps, 50).Columns[name].Mean
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, x := range l {
		if v := float64(x); !math.IsNaN(v) && !math.IsInf(v, 0) {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	if len(l) < 2 || math.IsInf(lo, 0) {
		return ""
	}
	var b strings.Builder
	for i, x := range l {
		v := float64(x)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		y := 0.5
		if hi > lo {
			y = (hi - v) / (hi - lo)
		}
		fmt.Fprintf(&b, "%.1f,%.1f ", 100*float64(i)/float64(len(l)-1), 2+float64(20*y))
	}
	return strings.TrimSpace(b.String())
}

// signed says how much of the record is under signatures.
func (r *run) signed() string {
	if r.follower == nil {
		return ""
	}
	s := r.follower.Summary()
	text := fmt.Sprintf("%s of %s entries signed, in %s heads", count(max(s.Signed-1, 0)), count(s.Leaves-1), count(s.Heads))
	if s.Witnessed > 0 {
		text += fmt.Sprintf(", %s witnessed", count(s.Witnessed-1))
	}
	return text
}
