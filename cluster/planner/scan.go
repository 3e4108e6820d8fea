package planner

import (
	"math"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/planner/order"
	"github.com/temper-ml/temper/distributed/schedule"
)

var inf = math.Inf(1)

// worker scores layouts, one unit at a time. All memory is its own, and the
// inner loop allocates nothing.
type worker struct {
	p *problem

	limit float64 // layouts that cannot be faster are bounded away unseen

	tally    tally
	scored   int64 // layouts whose time was bounded and memory counted, one by one
	overfull int64 // of these, layouts that need too much memory
	bounded  int64 // layouts that were bounded away together
	found    findings
	visit    func(candidate) // when not nil, is shown every layout that fits

	sheets     []sheet // by choice of recomputation
	geometries map[geometryKey]*order.Order
	syncs      map[syncKey]costmodel.Sync
	cells      []minima // by pipeline degree of the unit
	layout     costmodel.Layout

	passes           []order.Passes
	head, tail, ends []float64
	stages           []stageSums
	keeper           keeper
}

type geometryKey struct {
	variant, stages, micro int
}

type syncKey struct{ dense, expert int64 }

// stageSums is what one stage does and holds.
type stageSums struct {
	work costmodel.StageWork
	holding
}

// minima are the best layouts of one mesh and micro-batch.
type minima struct {
	seen  bool
	best  candidate
	kinds [numKinds]candidate
	under [buckets]candidate // of those that need at most so much memory
}

// run scores the layouts of a unit, as far as its floors leave hope.
func (w *worker) run(u *unit) {
	for i := range w.p.grid.micros {
		w.micro(u, i)
	}
}

// micro scores the layouts of a unit with one micro-batch size.
func (w *worker) micro(u *unit, i int) {
	leaves := int64(w.p.grid.leaves())
	w.cells = w.cells[:0]
	for _, m := range u.meshes {
		at := place{mesh: m, micro: uint16(i)}
		broken, ok := w.p.legal(u, m, i)
		switch {
		case !ok:
			w.tally.refuse(broken, leaves, at)
		case w.p.starved(u, m, i):
			w.tally.refuse(ruleMemory, leaves, at)
			w.found.shortest(starving, at)
		case w.p.floor(u, m) > w.limit:
			w.bounded += leaves
		default:
			w.cells = append(w.cells, newMinima(at))
		}
	}
	if len(w.cells) == 0 {
		return
	}
	w.tables(u, i)
	for c := range w.cells {
		w.mesh(u, &w.cells[c])
		w.found.add(&w.cells[c])
	}
}

// tables lays out the cells of a unit and micro-batch size for every choice of
// recomputation.
func (w *worker) tables(u *unit, i int) {
	cells := w.p.model.Tables(u.key(w.p.grid.micros[i]), w.p.again)
	w.sheets = grow(w.sheets, len(cells))
	for r, c := range cells {
		w.sheets[r].fill(c, w.p.layers)
	}
}

// mesh scores the layouts of one mesh and micro-batch size.
func (w *worker) mesh(u *unit, c *minima) {
	g := w.p.grid
	ms := g.meshes[c.best.at.mesh]
	w.layout = costmodel.Layout{Mesh: ms, MicroBatch: g.micros[c.best.at.micro]}
	w.keeper.denseRanks, w.keeper.expertRanks = float64(ms.CP*ms.DP), float64(max(1, ms.EDP()))
	clear(w.syncs)
	micro := w.p.batch / (ms.DP * w.layout.MicroBatch)
	ends := int64(len(g.zero) * len(g.offload))
	for v := range g.variants {
		at := c.best.at
		at.leaf = g.leaf(0, v, 0, 0)
		if !w.p.runs.has(g.variants[v].kind) {
			w.tally.refuse(ruleEngine, int64(len(g.recompute))*ends, at)
			continue
		}
		geo, broken := w.geometry(v, ms.PP, micro)
		if geo == nil {
			w.tally.refuse(broken, int64(len(g.recompute))*ends, at)
			continue
		}
		for r := range g.recompute {
			if w.p.model.Whole(w.sheets[r].least(geo)*float64(micro)/float64(ms.PP)) > w.limit {
				w.bounded += ends
				continue
			}
			w.order(c, geo, r, v)
		}
	}
}

// geometry returns the skeleton of a variant, or the rule that it breaks.
func (w *worker) geometry(v, stages, micro int) (*order.Order, rule) {
	variant := w.p.grid.variants[v]
	s := schedule.Shape{Kind: variant.kind, Stages: stages, Chunks: variant.chunks, Micro: micro}
	if s.Positions() > w.p.layers {
		return nil, ruleBlocks
	}
	key := geometryKey{v, stages, micro}
	geo, ok := w.geometries[key]
	if !ok {
		var err error
		if geo, err = order.New(s); err != nil {
			geo = nil
		}
		w.geometries[key] = geo
	}
	if geo == nil {
		return nil, ruleSchedule + rule(kindOf(variant.kind))
	}
	return geo, 0
}

// order scores the layouts of one pipeline order and choice of recomputation:
// those that differ in ZeRO and offloading share everything but the end.
func (w *worker) order(c *minima, geo *order.Order, r, v int) {
	g, s := w.p.grid, &w.sheets[r]
	cut := s.cut(geo.Positions)
	w.hold(geo, s, cut)
	w.durations(geo, s, cut)
	geo.Ends(w.passes, w.head, w.tail, w.ends)
	latest := 0
	for i := range geo.Shape.Stages {
		if w.ends[i] > w.ends[latest] {
			latest = i
		}
	}
	if w.p.model.Whole(w.ends[latest]) > w.limit {
		w.bounded += int64(len(g.zero) * len(g.offload))
		return
	}
	first, last := w.sync(0), w.sync(latest)
	at := c.best.at
	kind := kindOf(g.variants[v].kind)
	for z, zero := range g.zero {
		if !w.p.runs.zero[z] {
			at.leaf = g.leaf(r, v, z, 0)
			w.tally.refuse(ruleEngine, int64(len(g.offload)), at)
			continue
		}
		for o := range g.offload {
			if at.leaf = g.leaf(r, v, z, o); g.offload[o] == "optimizer" && !w.p.link {
				w.tally.refuse(ruleOffload, 1, at)
				continue
			}
			need, host := w.memory(geo, zero, g.offload[o] == "optimizer")
			w.scored++
			if need > w.p.capacity {
				w.overfull++
				w.tally.refuse(ruleMemory, 1, at)
				if host <= w.p.host {
					w.found.shortest(need, at)
				}
				continue
			}
			if host > w.p.host {
				w.tally.refuse(ruleHost, 1, at)
				continue
			}
			w.layout.Zero, w.layout.Offload = zero, g.offload[o]
			end := w.end(latest, last, geo)
			if latest > 0 {
				end = max(end, w.end(0, first, geo))
			}
			w.consider(c, candidate{bound: w.p.model.Whole(end), memory: need, at: at}, kind)
		}
	}
}

// sync returns how long the messages of a stage's parameters take.
func (w *worker) sync(stage int) costmodel.Sync {
	p := &w.stages[stage].work.Parameters
	key := syncKey{p.Dense(), p.Expert}
	y, ok := w.syncs[key]
	if !ok {
		y = w.p.model.Sync(w.layout.Mesh, *p)
		w.syncs[key] = y
	}
	return y
}

// end returns a lower bound on when a stage of the worker's layout has done
// everything.
func (w *worker) end(stage int, y costmodel.Sync, geo *order.Order) float64 {
	once := w.p.model.Once(&w.layout, geo.Shape, &w.stages[stage].work, y)
	return w.ends[stage] + once.Once()
}

// memory returns what the fullest rank needs of device and of host memory.
func (w *worker) memory(geo *order.Order, zero int, offload bool) (device, host int64) {
	for i := range geo.Shape.Stages {
		d, h := w.keeper.total(&w.stages[i].holding, zero, offload)
		device, host = max(device, d), max(host, h)
	}
	return device, host
}

// consider notes a layout that fits.
func (w *worker) consider(c *minima, x candidate, kind int) {
	if w.visit != nil {
		w.visit(x)
	}
	c.seen = true
	if x.bound < c.best.bound {
		c.best = x
	}
	if x.bound < c.kinds[kind].bound {
		c.kinds[kind] = x
	}
	b := w.p.bucket(x.memory)
	if x.bound < c.under[b].bound {
		c.under[b] = x
	}
}

// hold sums up what every stage does and holds.
func (w *worker) hold(geo *order.Order, s *sheet, cut *cut) {
	chunks := geo.Shape.Chunks
	w.stages = grow(w.stages, geo.Shape.Stages)
	w.keeper.stages, w.keeper.micro, w.keeper.chunks = geo.Shape.Stages, geo.Shape.Micro, chunks
	w.keeper.table, w.keeper.boundary = s.cell.Parts[s.cell.Embedding].Work.Parameters.Split, s.boundary[s.cell.Embedding]
	for i := range geo.Shape.Stages {
		st := &w.stages[i]
		*st = stageSums{}
		mask := uint64(0)
		var kept [maxChunks]int64
		for c := range chunks {
			q := geo.Place[i*chunks+c]
			part := &cut.at[q]
			st.work.Parameters = st.work.Parameters.Add(part.parameters)
			st.work.Forward += part.forward
			st.work.Backward += part.input + part.weight
			st.work.Blocks += max(1, cut.counts[q])
			kept[c] = part.kept
			mask |= cut.masks[q]
		}
		st.work.Parameters.Largest = most(s.matrix, mask)
		st.live, st.one = geo.Worst(i, kept[:chunks]), kept[0]
		s.hold(&st.holding, &st.work.Parameters, mask, w.p.tied)
		w.keeper.settle(&st.holding)
	}
}

// durations fills in the passes of every position.
func (w *worker) durations(geo *order.Order, s *sheet, cut *cut) {
	n := geo.Positions
	w.passes, w.head, w.tail = grow(w.passes, n), grow(w.head, n), grow(w.tail, n)
	w.ends = grow(w.ends, geo.Shape.Stages)
	boundary, send := int64(-1), 0.0
	for q := range n {
		part, p := &cut.at[q], &w.passes[q]
		*p = order.Passes{Forward: part.forward, Backward: part.input + part.weight, Input: part.input, Weight: part.weight}
		if !geo.Sends[q] {
			continue
		}
		if b := most(s.sent, cut.masks[q]); b != boundary {
			boundary, send = b, w.p.model.Send(b, w.layout.Mesh.Block())
		}
		p.Send = send
	}
	if !geo.Split || geo.Shape.Chunks != 2 || geo.Shape.Kind == schedule.ZBV {
		return
	}
	for i, q := range geo.Place {
		f, b := &cut.at[q], &cut.at[geo.Place[i^1]]
		w.passes[q].Pair = w.p.model.PairOf(f.forwardCompute+b.backwardCompute, f.forwardEP+b.backwardEP, f.forward+b.input+b.weight)
	}
}

func newMinima(at place) minima {
	none := candidate{bound: inf, at: at}
	m := minima{best: none}
	for i := range m.kinds {
		m.kinds[i] = none
	}
	for i := range m.under {
		m.under[i] = none
	}
	return m
}
