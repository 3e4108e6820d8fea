package planner

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/planner/order"
)

// newWorker returns a worker that keeps so many cells.
func (p *problem) newWorker(keep int) *worker {
	return &worker{
		p: p, limit: inf, found: newFindings(keep), keeper: p.keeper,
		geometries: map[geometryKey]*order.Order{}, syncs: map[syncKey]costmodel.Sync{},
	}
}

// each lets workers do every unit and returns the sums of all of them. Which
// worker took which unit leaves no trace in them.
func (p *problem) each(ctx context.Context, keep int, do func(*worker, *unit)) (*worker, error) {
	n := p.request.Workers
	if n < 1 {
		n = runtime.GOMAXPROCS(0)
	}
	workers := make([]*worker, min(n, len(p.units)))
	var next atomic.Int64
	var wait sync.WaitGroup
	for i := range workers {
		w := p.newWorker(keep)
		workers[i] = w
		wait.Go(func() {
			for ctx.Err() == nil {
				u := int(next.Add(1)) - 1
				if u >= len(p.units) {
					return
				}
				do(w, &p.units[u])
			}
		})
	}
	wait.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all := workers[0]
	for _, w := range workers[1:] {
		all.tally.merge(&w.tally)
		all.found.merge(&w.found)
		all.scored += w.scored
		all.overfull += w.overfull
		all.bounded += w.bounded
	}
	return all, nil
}

// search is the exact phase: cells in ascending order of their bounds, opened
// and timed until no bound left is below the times found.
type search struct {
	p      *problem
	worker *worker               // opens cells
	times  map[place]float64     // of every layout timed so far
	cells  map[place][]candidate // of every cell opened, its layouts by ascending bound
	err    error
}

func newSearch(p *problem) *search {
	return &search{p: p, worker: p.newWorker(0), times: map[place]float64{}, cells: map[place][]candidate{}}
}

// open lists the layouts of a cell that fit, by ascending bound.
func (s *search) open(at place) []candidate {
	at.leaf = 0
	if list, ok := s.cells[at]; ok {
		return list
	}
	u := s.p.units[s.p.unitOf[at.mesh]]
	u.meshes = []uint32{at.mesh}
	u.measured = false // a cell that is opened is looked at whole
	var list []candidate
	s.worker.visit = func(c candidate) { list = append(list, c) }
	s.worker.micro(&u, int(at.micro))
	slices.SortFunc(list, compareCandidates)
	s.cells[at] = list
	return list
}

// time times a layout exactly, once.
func (s *search) time(at place) float64 {
	if t, ok := s.times[at]; ok {
		return t
	}
	t := inf
	step, err := s.p.model.Evaluate(s.p.layout(at))
	var refused *costmodel.Rejection
	switch {
	case err == nil:
		t = step.Seconds
	case !errors.As(err, &refused) && s.err == nil:
		s.err = err
	}
	s.times[at] = t
	return t
}

// timed is a layout with its exact time.
type timed struct {
	seconds float64
	c       candidate
}

func compareTimed(a, b timed) int {
	if c := cmp.Compare(a.seconds, b.seconds); c != 0 {
		return c
	}
	if c := cmp.Compare(a.c.memory, b.c.memory); c != 0 {
		return c
	}
	return cmp.Compare(a.c.at.order(), b.c.at.order())
}

// bestIn returns the fastest layout of a cell that the filter lets through,
// unless none is faster than limit.
func (s *search) bestIn(at place, limit float64, filter func(*candidate) bool) (timed, bool) {
	best := timed{seconds: inf}
	for _, c := range s.open(at) {
		if c.bound > min(best.seconds, limit) {
			break
		}
		if filter != nil && !filter(&c) {
			continue
		}
		if t := (timed{s.time(c.at), c}); compareTimed(t, best) < 0 {
			best = t
		}
	}
	return best, best.seconds <= limit
}

// rank returns the k fastest cells of a list, each with its fastest layout, as
// far as they are not slower than limit.
func (s *search) rank(list *shortlist, k int, limit float64, filter func(*candidate) bool) []timed {
	var best []timed
	cells := slices.Clone(list.heap)
	slices.SortFunc(cells, compareCandidates)
	for _, c := range cells {
		if c.bound > limit {
			break
		}
		t, ok := s.bestIn(c.at, limit, filter)
		if !ok || t.seconds == inf {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, t, compareTimed)
		best = slices.Insert(best, at, t)
		if len(best) > k {
			best = best[:k]
		}
		if len(best) == k {
			limit = best[k-1].seconds
		}
	}
	return best
}
