package planner

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/costmodel/operator"
)

// A floor is a bound on everything that a mesh and a micro-batch size can reach,
// from a few numbers per unit. Both rest on the largest micro-batch being the
// most efficient one, per sequence, but for what rounding to tiles does:
//
//   - time: the work of all sequences is spread over pp stages, and the slowest
//     of them has at least the mean;
//   - memory: some stage holds at least the mean of the state, and the last one
//     runs the backward pass of the head.
type floors struct {
	seconds    float64             // of one sequence through the whole model
	head       float64             // bytes of one sequence's temporaries in the backward pass of the head
	parameters operator.Parameters // of the whole model, on a rank without a pipeline
}

// rounding is what tiles and waves may make of the floors' assumption.
const rounding = 0.98

// measure fills in the floors of a unit.
func (w *worker) measure(u *unit) {
	p := w.p
	if !slices.Contains(u.illegal, false) {
		return
	}
	w.sheets = grow(w.sheets, 1)
	s := &w.sheets[0]
	s.fill(p.model.Tables(u.key(maxMicroBatch), []operator.Recompute{0})[0], p.layers)
	seconds, messages := s.whole()
	if p.pairs {
		seconds = max(0, seconds-messages)
	}
	u.measured = true
	u.floors = floors{
		seconds:    seconds * rounding / maxMicroBatch,
		head:       float64(s.cell.Parts[s.cell.Head].Work.BackwardPeak) * rounding / maxMicroBatch,
		parameters: s.upTo[p.layers].parameters.Add(s.ends[0].parameters).Add(s.ends[1].parameters),
	}
}

// floor returns a bound on the step time of every layout of a mesh.
func (p *problem) floor(u *unit, m uint32) float64 {
	if !u.measured {
		return 0
	}
	ms := p.grid.meshes[m]
	return p.model.Whole(u.floors.seconds * float64(p.batch) / float64(ms.DP*ms.PP))
}

// starved reports whether no layout of a mesh and micro-batch size can fit, even
// with everything sharded that the engine shards, offloaded, and spread evenly.
func (p *problem) starved(u *unit, m uint32, i int) bool {
	if !u.measured || p.hungry {
		return false
	}
	ms := p.grid.meshes[m]
	k := p.keeper
	k.denseRanks, k.expertRanks = float64(ms.CP*ms.DP), float64(max(1, ms.EDP()))
	h := holding{parameters: u.floors.parameters, head: -1, mtp: -1, block: -1, embedding: -1}
	k.settle(&h)
	least, _ := k.total(&h, p.runs.highest, p.runs.offload)
	fixed := k.engine.Runtime
	return (least-fixed)/int64(ms.PP)+fixed > p.capacity || int64(u.floors.head*float64(p.grid.micros[i]))+fixed > p.capacity
}

// starving is what a layout is said to need that was refused with its whole mesh.
const starving = math.MaxInt64 - 1

// openMesh is a mesh with its floor.
type openMesh struct {
	floor float64
	unit  int32
	mesh  uint32
}

// byFloor measures every unit and lists the meshes that some micro-batch size
// makes legal, by ascending floor.
func (p *problem) byFloor(ctx context.Context) ([]openMesh, error) {
	if _, err := p.each(ctx, 0, func(w *worker, u *unit) { w.measure(u) }); err != nil {
		return nil, err
	}
	var list []openMesh
	for n := range p.units {
		u := &p.units[n]
		for _, m := range u.meshes {
			if _, ok := p.legal(u, m, 0); ok {
				list = append(list, openMesh{p.floor(u, m), int32(n), m})
			}
		}
	}
	slices.SortFunc(list, func(a, b openMesh) int {
		return cmp.Or(cmp.Compare(a.floor, b.floor), cmp.Compare(a.mesh, b.mesh))
	})
	return list, nil
}

// How many meshes with the lowest floors are opened, for each number of stages,
// to find a first time to beat, and how much slower than the best a layout may be
// to be looked at: families and the Pareto front are complete up to there.
const (
	firstMeshes = 8
	firstMicros = 3
	fullReach   = 1.3
)

// explore scores all layouts that can be among the best. The order is: floors of
// all meshes; the best layout of the lowest of them, timed exactly; everything
// that is not bounded away by its time, which is returned too.
func (p *problem) explore(ctx context.Context, keep int) (*worker, *search, float64, error) {
	meshes, err := p.byFloor(ctx)
	if err != nil {
		return nil, nil, 0, err
	}
	s := newSearch(p)
	best := inf
	opened := map[int]int{}
	for _, m := range meshes {
		stages := p.grid.meshes[m.mesh].PP
		if m.floor > best || opened[stages] == firstMeshes || p.starved(&p.units[m.unit], m.mesh, 0) {
			continue
		}
		opened[stages]++
		for i := range min(firstMicros, len(p.grid.micros)) {
			if _, ok := p.legal(&p.units[m.unit], m.mesh, i); !ok {
				continue
			}
			if t, ok := s.bestIn(place{mesh: m.mesh, micro: uint16(i)}, best, nil); ok {
				best = t.seconds
			}
		}
	}
	all, err := p.each(ctx, keep, func(w *worker, u *unit) {
		w.limit = best * p.reach
		w.run(u)
	})
	return all, s, best * p.reach, err
}

// Fastest returns the best step of a request, or nil when nothing fits: the same
// answer as [Search] finds, on one processor and without all that it counts. Units
// are taken by ascending floor, and every time found bounds more of the rest away.
// The search may start from the time of a known layout.
func Fastest(ctx context.Context, r Request, start *costmodel.Layout) (*costmodel.Step, error) {
	r.Options.AnyMemory, r.Workers = false, 1
	p, err := newProblem(r)
	if err != nil {
		return nil, err
	}
	meshes, err := p.byFloor(ctx)
	if err != nil {
		return nil, err
	}
	var known *costmodel.Step
	best := timed{seconds: inf}
	if start != nil {
		if known, err = p.model.Evaluate(*start); err == nil {
			best.seconds = known.Seconds
		}
	}
	s, done := newSearch(p), make([]bool, len(p.units))
	for _, m := range meshes {
		if m.floor > best.seconds || ctx.Err() != nil {
			break
		}
		if done[m.unit] {
			continue
		}
		done[m.unit] = true
		if t := s.bestOf(&p.units[m.unit], best.seconds); t.seconds < best.seconds {
			best, known = t, nil
		}
	}
	if known != nil || best.seconds == inf || ctx.Err() != nil {
		return known, ctx.Err()
	}
	return p.model.Evaluate(p.layout(best.c.at))
}

// bestOf returns the fastest layout of a unit, if it is faster than limit.
func (s *search) bestOf(u *unit, limit float64) timed {
	w := s.p.newWorker(len(u.meshes) * len(s.p.grid.micros))
	w.geometries = s.worker.geometries
	w.limit = limit
	w.run(u)
	if best := s.rank(&w.found.best, 1, limit, nil); len(best) > 0 {
		return best[0]
	}
	return timed{seconds: inf}
}
