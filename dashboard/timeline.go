package dashboard

import (
	"math"
	"net/http"
	"slices"
	"strconv"
)

// timelineView is what happened, along the time of the run and as a list.
type timelineView struct {
	Events []event // the newest first
	Left   int64   // out of the list
	Counts []kindCount
	Bars   []stageBar
	Dots   []dot
	From   string
	To     string
}

type kindCount struct {
	Kind  string
	Count int64
}

// stageBar is the time of a stage, in a drawing that is 1000 wide.
type stageBar struct {
	X, Width float64
	Name     string
	Odd      bool
}

// dot is an event in the drawing; its row says of which sort.
type dot struct {
	X, Y  float64
	Kind  string
	Label string
}

const listedEvents = 300

// lanes are the rows of the drawing from the top.
var lanes = map[string]float64{"fault": 38, "skipped": 38, "recovery": 54, "pause": 54, "resume": 54, "ranks": 54, "checkpoint": 70, "evaluation": 86, "rollout": 86}

// Clock is when an event was.
func (e event) Clock() string { return clock(e.Time) }

// Stamp is the same for programs.
func (e event) Stamp() string { return stamp(e.Time) }

// Steps is how many steps stood before it.
func (e event) Steps() string { return count(e.At) }

func (r *run) viewTimeline() timelineView {
	all := r.events.all()
	v := timelineView{Left: r.events.left}
	kinds := []string{}
	for k := range r.events.counts {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	for _, k := range kinds {
		v.Counts = append(v.Counts, kindCount{k, r.events.counts[k]})
	}
	start, end := r.started(), r.time
	if start == 0 && len(all) > 0 {
		start = all[0].Time
	}
	if end > start {
		v.From, v.To = clock(start), clock(end)
		v.draw(all, start, end)
	}
	v.Events = slices.Clone(all)
	slices.Reverse(v.Events)
	if n := len(v.Events); n > listedEvents {
		v.Left += int64(n - listedEvents)
		v.Events = v.Events[:listedEvents]
	}
	return v
}

// draw places stages and events between two times. Events of a kind that would
// cover each other are drawn once.
func (v *timelineView) draw(all []event, start, end int64) {
	x := func(ms int64) float64 {
		return math.Round(10000*float64(min(max(ms-start, 0), end-start))/float64(end-start)) / 10
	}
	taken := map[string]bool{}
	for _, e := range all {
		if e.Kind == "stage" {
			if n := len(v.Bars); n > 0 {
				v.Bars[n-1].Width = x(e.Time) - v.Bars[n-1].X
			}
			v.Bars = append(v.Bars, stageBar{X: x(e.Time), Width: 1000 - x(e.Time), Name: cutText(e.Text, 60), Odd: len(v.Bars)%2 == 1})
		}
		lane, ok := lanes[e.Kind]
		key := e.Kind + strconv.Itoa(int(x(e.Time)/4))
		if !ok || taken[key] {
			continue
		}
		taken[key] = true
		v.Dots = append(v.Dots, dot{min(x(e.Time), 996), lane, e.Kind, cutText(e.Kind+": "+e.Text, 120)})
	}
}

// markKinds are the events that charts show.
var markKinds = []string{"fault", "recovery", "pause", "resume", "ranks", "checkpoint", "skipped"}

// maxMarks is how many events a chart gets, the newest.
const maxMarks = 300

// chartMark is an event in a chart.
type chartMark struct {
	Kind string `json:"kind"`
	Step int64  `json:"step"`
	Text string `json:"text"`
}

// seriesAnswer is what charts are drawn of.
type seriesAnswer struct {
	*series
	Name    string       `json:"name"`
	Start   int64        `json:"start"`
	Stages  []chartMark  `json:"stages"`
	Marks   []chartMark  `json:"marks"`
	HeldOut []chartPoint `json:"held_out"`
}

// chartPoint is a single measurement.
type chartPoint struct {
	Step  int64   `json:"step"`
	Value float64 `json:"value"`
}

// Limits of a request for points.
const (
	defaultPoints = 1000
	maxPoints     = 4000
)

// series answers with the numbers of some steps.
func (s *Server) series(w http.ResponseWriter, r *http.Request) {
	x := s.hub.find(r.PathValue("id"))
	if x == nil {
		s.nothing(w, r)
		return
	}
	q := r.URL.Query()
	number := func(name string, otherwise int64) int64 {
		if n, err := strconv.ParseInt(q.Get(name), 10, 64); err == nil && n >= 0 {
			return n
		}
		return otherwise
	}
	x.mu.RLock()
	answer := x.series(number("from", 0), number("to", math.MaxInt64), int(min(number("points", defaultPoints), maxPoints)))
	x.mu.RUnlock()
	s.json(w, r, answer)
}

func (r *run) series(from, to int64, points int) *seriesAnswer {
	a := &seriesAnswer{
		series: r.table.view(from, to, points), Name: r.title(), Start: r.started(), Stages: []chartMark{}, Marks: []chartMark{}, HeldOut: []chartPoint{},
	}
	for _, s := range r.stages {
		a.Stages = append(a.Stages, chartMark{"stage", s.Before, s.title()})
	}
	for _, e := range r.events.all() {
		if slices.Contains(markKinds, e.Kind) {
			a.Marks = append(a.Marks, chartMark{e.Kind, e.At, cutText(e.Text, 200)})
		}
	}
	if n := len(a.Marks); n > maxMarks {
		a.Marks = a.Marks[n-maxMarks:]
	}
	for _, e := range r.evaluations {
		if h := e.HeldOut; h != nil && !math.IsNaN(h.Loss) && !math.IsInf(h.Loss, 0) {
			a.HeldOut = append(a.HeldOut, chartPoint{e.At, h.Loss})
		}
	}
	return a
}
