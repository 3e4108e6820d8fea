package planner

import (
	"context"
	"errors"
	"fmt"

	"github.com/temper-ml/temper/cluster/costmodel"
)

// defaultTop is how many plans are ranked when the request does not say.
const defaultTop = 10

// Search looks at every layout of the space and returns the best, with a proof
// that none is better under the model. That nothing fits is an answer, not an
// error; errors are requests that no layout could satisfy.
func Search(ctx context.Context, r Request) (*Answer, error) {
	r.Options.AnyMemory = false
	p, err := newProblem(r)
	if err != nil {
		return nil, err
	}
	if r.Top < 1 {
		r.Top = defaultTop
	}
	x, err := p.prove(ctx, r.Top)
	if err != nil {
		return nil, err
	}
	a := newAnswer(r, p.model)
	x.count(a)
	if len(x.best) == 0 {
		a.Shortage, err = x.shortage(ctx)
		return a, err
	}
	a.Fits = true
	if a.Plans, err = x.plans(x.best); err != nil {
		return nil, err
	}
	if a.Families, err = x.families(); err != nil {
		return nil, err
	}
	if a.Pareto, err = x.front(); err != nil {
		return nil, err
	}
	a.Timed = int64(len(x.search.times))
	a.Certificate = x.certify()
	return a, x.search.err
}

// explored is a finished search.
type explored struct {
	p      *problem
	all    *worker
	search *search
	best   []timed
	limit  float64 // slower layouts were not looked at
}

// prove searches with lists that are long enough to prove the k best.
func (p *problem) prove(ctx context.Context, k int) (*explored, error) {
	for keep := keepBest; ; keep *= 16 {
		all, s, limit, err := p.explore(ctx, keep)
		if err != nil {
			return nil, err
		}
		x := &explored{p: p, all: all, search: s, limit: limit}
		x.best = s.rank(&all.found.best, k, limit, nil)
		if s.err != nil {
			return nil, s.err
		}
		if dropped := all.found.best.dropped; len(x.best) == 0 || dropped > x.best[len(x.best)-1].seconds || keep > maxKeep {
			return x, nil
		}
	}
}

// count fills in how many layouts met which fate.
func (x *explored) count(a *Answer) {
	w := x.all
	a.Considered, a.Bounded, a.Scored, a.Timed = x.p.grid.size(), w.bounded, w.scored, int64(len(x.search.times))
	for r, n := range w.tally.count {
		if n == 0 {
			continue
		}
		l := x.p.layout(w.tally.first[r])
		if short := w.found.short; rule(r) == ruleMemory && short.memory < starving {
			l = x.p.layout(short.at) // the nearest miss says more than the first
		}
		name, text := x.p.word(rule(r), l)
		v, ok := a.Rejected[name]
		if !ok {
			v = Refusal{Example: l.String(), Text: text}
		}
		v.Count += n
		a.Rejected[name] = v
	}
}

// word asks the cost model why a layout is refused.
func (p *problem) word(r rule, l costmodel.Layout) (name, text string) {
	if r == ruleEngine {
		return "engine", p.runs.refusal(p.model.Engine, l.Schedule, l.Zero)
	}
	_, err := p.model.Evaluate(l)
	var refused *costmodel.Rejection
	if errors.As(err, &refused) {
		return refused.Rule, refused.Text
	}
	return fmt.Sprintf("rule %d", r), "nothing that shares its mesh and micro-batch fits"
}

// plans evaluates layouts in full.
func (x *explored) plans(list []timed) ([]Plan, error) {
	out := make([]Plan, 0, len(list))
	for _, t := range list {
		s, err := x.p.model.Evaluate(x.p.layout(t.c.at))
		if err != nil {
			return nil, err
		}
		p := newPlan(x.p.model, s)
		p.LowerBound = t.c.bound
		out = append(out, p)
	}
	return out, nil
}

// families returns the best plan of every schedule.
func (x *explored) families() (map[string]Plan, error) {
	out := map[string]Plan{}
	for i, k := range kinds {
		best := x.search.rank(&x.all.found.kinds[i], 1, x.limit, func(c *candidate) bool { return x.p.layout(c.at).Schedule == k })
		plans, err := x.plans(best)
		if err != nil {
			return nil, err
		}
		for _, p := range plans {
			out[string(k)] = p
		}
	}
	return out, nil
}

// front returns the plans that no other beats in both time and memory, at the
// resolution of the buckets: going up in memory, each must be faster than all
// that need less.
func (x *explored) front() ([]Plan, error) {
	var list []timed
	limit := x.limit
	for b := range x.all.found.under {
		best := x.search.rank(&x.all.found.under[b], 1, limit, func(c *candidate) bool { return x.p.bucket(c.memory) == b })
		if len(best) > 0 && best[0].seconds < limit {
			list = append(list, best[0])
			limit = best[0].seconds
		}
	}
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return x.plans(list)
}

// certify states what is proved.
func (x *explored) certify() *Certificate {
	best := x.best[0].seconds
	bound := min(x.limit, x.all.found.best.dropped)
	for _, c := range x.all.found.best.heap {
		at := c.at
		at.leaf = 0
		list, opened := x.search.cells[at]
		if !opened {
			bound = min(bound, c.bound)
			continue
		}
		for _, leaf := range list {
			if _, ok := x.search.times[leaf.at]; !ok {
				bound = min(bound, leaf.bound)
				break
			}
		}
	}
	c := &Certificate{BestSeconds: best, BoundSeconds: bound, Gap: max(0, (best-bound)/best), Proved: bound >= best}
	if c.Proved {
		c.Statement = fmt.Sprintf("no layout of the space is faster than %.4g s under the model: all but the %d timed ones take at least %.4g s", best, len(x.search.times), bound)
	} else {
		c.Statement = fmt.Sprintf("a layout that was not timed may take as little as %.4g s, %.2g %% less than the best found", bound, 100*c.Gap)
	}
	return c
}
