package dashboard

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/render"
)

// metrics answers Prometheus with the last state of all runs that can be read.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	runs, _ := s.hub.all()
	var all []*render.Run
	names := map[string]bool{}
	for _, x := range runs {
		m := x.metrics()
		if m == nil {
			continue
		}
		if names[m.Name] { // names tell runs apart
			m.Name = fmt.Sprintf("%s (%s)", m.Name, x.name)
		}
		names[m.Name] = true
		all = append(all, m)
	}
	var b bytes.Buffer
	if err := render.Prometheus(&b, all...); err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	send(w, r, http.StatusOK, "text/plain; version=0.0.4; charset=utf-8", b.Bytes())
}

// metrics is the run as its last step and evaluations, with totals of what came
// before; nil if nothing could be read.
func (r *run) metrics() *render.Run {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.follower == nil {
		return nil
	}
	f := render.NewFiller(&r.manifest)
	m := f.Run()
	m.Name = r.title()
	m.Before = r.totals
	m.Before.Events, m.Before.Parts = maps.Clone(r.totals.Events), maps.Clone(r.totals.Parts)
	add := func(b record.Body) { _ = f.Add(record.NewEntry(r.entries, r.time, b)) }
	for i, s := range r.stages {
		one := s.Stage
		one.Stage = i // a report counts stages from 0, whatever the log says
		add(&one)
	}
	if r.step != nil {
		_ = f.Add(r.step)
	}
	for i := range r.evaluations {
		add(&r.evaluations[i].Evaluation)
		m.Before.Events["evaluation"]--
	}
	if r.rollout != nil {
		add(r.rollout)
		m.Before.Events["rollout"]--
	}
	if r.end != nil {
		add(r.end)
		m.Before.Events["end"]--
	}
	return m
}
