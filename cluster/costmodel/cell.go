package costmodel

import (
	"math"

	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/model/arch"
)

// Key is everything about a layout that the cost of a block depends on. Layouts
// that differ only in data and pipeline parallelism, schedule, ZeRO or offload
// share a key.
type Key struct {
	TP, CP, EP, ETP int
	MicroBatch      int
	Recompute       operator.Recompute
}

// PartCost is one distinct part of the model under a key: a class of equal
// blocks, the embedding, the head, or an MTP depth.
type PartCost struct {
	PassCost
	Work *operator.BlockWork // its operators, parameters and kept tensors
	Kept int64               // bytes that one micro-batch in flight keeps
}

// Cell holds the cost of every part of the model under one key. A cell is
// immutable and shared.
type Cell struct {
	Key       Key
	Sharding  operator.Sharding
	Numbers   operator.Numbers
	Parts     []PartCost // classes of blocks, then MTP depths, embedding, head
	Class     []int      // index into Parts of each block, MTP blocks included
	Embedding int        // index into Parts
	Head      int        // index into Parts
}

// Block returns the cost of a block, MTP blocks included.
func (c *Cell) Block(layer int) *PartCost { return &c.Parts[c.Class[layer]] }

// Works returns the works of all parts, for the account of memory.
func (c *Cell) Works(m *Model) *operator.Works {
	w := &operator.Works{Model: m.Arch, Sharding: c.Sharding, Numbers: c.Numbers, Embedding: c.Parts[c.Embedding].Work, Head: c.Parts[c.Head].Work}
	for _, class := range c.Class {
		w.Blocks = append(w.Blocks, c.Parts[class].Work)
	}
	return w
}

// Cell returns the cost table of a key, which is computed once.
func (m *Model) Cell(k Key) *Cell {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, ok := m.cells[k]; ok {
		return c
	}
	c := m.newCell(k)
	m.cells[k] = c
	return c
}

// class tells blocks apart that do different work.
type class struct {
	kind          arch.Kind
	ratio, window int
	moe, hash     bool
	mtp           int
}

func classOf(c *arch.Config, layer int) class {
	k := class{kind: c.Kind(layer), ratio: c.Ratio(layer), window: c.LayerWindow(layer), moe: c.IsMoE(layer), hash: c.IsHash(layer)}
	if c.IsMTP(layer) {
		k.mtp = 1 + layer - c.NumLayers
	}
	return k
}

func (m *Model) newCell(k Key) *Cell {
	c := &Cell{Key: k, Sharding: m.sharding(k), Numbers: m.numbers(k.MicroBatch)}
	t := m.timer(k)
	add := func(w *operator.BlockWork) int {
		c.Parts = append(c.Parts, PartCost{PassCost: t.cost(w, k.Recompute), Work: w, Kept: w.Kept(k.Recompute)})
		return len(c.Parts) - 1
	}
	seen := map[class]int{}
	for layer := range m.Arch.Blocks() {
		key := classOf(m.Arch, layer)
		i, ok := seen[key]
		if !ok {
			i = add(m.work(k, layer))
			seen[key] = i
		}
		c.Class = append(c.Class, i)
	}
	c.Embedding, c.Head = add(m.work(k, embeddingPart)), add(m.work(k, headPart))
	return c
}

// Parts outside the blocks, as layers.
const (
	embeddingPart = -1
	headPart      = -2
)

// workKey names a cached list of operators; it has no constants in it.
type workKey struct {
	tp, cp, ep, etp, micro int
	class                  class
	part                   int
}

// work returns the operators of a block or another part, from the cache that
// models of different constants share.
func (m *Model) work(k Key, layer int) *operator.BlockWork {
	key := workKey{tp: k.TP, cp: k.CP, ep: k.EP, etp: k.ETP, micro: k.MicroBatch, part: min(layer, 0)}
	if layer >= 0 {
		key.class = classOf(m.Arch, layer)
	}
	m.works.mu.Lock()
	defer m.works.mu.Unlock()
	if w, ok := m.works.at[key]; ok {
		return w
	}
	w := m.build(k, layer)
	m.works.at[key] = w
	return w
}

// build lists the operators of a block or another part.
func (m *Model) build(k Key, layer int) *operator.BlockWork {
	s, n := m.sharding(k), m.numbers(k.MicroBatch)
	switch {
	case layer == embeddingPart:
		return operator.Embedding(m.Arch, s, n)
	case layer == headPart:
		return operator.Head(m.Arch, s, n)
	case m.Arch.IsMTP(layer):
		return operator.MTP(m.Arch, layer-m.Arch.NumLayers, s, n)
	}
	return operator.Block(m.Arch, layer, s, n)
}

func (m *Model) sharding(k Key) operator.Sharding {
	return operator.Sharding{TP: k.TP, CP: k.CP, EP: k.EP, ETP: k.ETP, Sequence: m.Engine.Sequence && k.TP > 1}
}

func (m *Model) numbers(micro int) operator.Numbers {
	return operator.Numbers{
		MicroBatch: micro, Seq: m.Workload.Seq, DType: operator.DType(m.Workload.DType), Scaling: m.Workload.Scaling,
		Imbalance: m.imbalance, IndexerLoss: m.Workload.IndexerLoss, Engine: m.Engine,
	}
}

// timer returns what times the operators of a key.
func (m *Model) timer(k Key) *partTimer {
	t := &partTimer{r: m.rates, f: m.fabric, engine: m.Engine}
	ms := mesh.Mesh{TP: k.TP, CP: k.CP, DP: 1, PP: 1, EP: k.EP, ETP: k.ETP}
	t.groups[operator.TP] = ms.Group(mesh.TP, 0)
	t.groups[operator.CP] = ms.Group(mesh.CP, 0)
	t.groups[operator.EP] = ms.Group(mesh.EP, 0)
	t.groups[operator.ETP] = ms.Group(mesh.ETP, 0)
	return t
}

// A search over layouts sees the same few tables again and again. What it needs
// of the model, piece by piece, is here; Evaluate is made of the same pieces, so
// that both agree.

// Tables returns the cells of a key under several choices of recomputation (the
// key's own is not read). They share operators and are not kept.
func (m *Model) Tables(k Key, again []operator.Recompute) []*Cell {
	t := m.timer(k)
	base := &Cell{Sharding: m.sharding(k), Numbers: m.numbers(k.MicroBatch)}
	add := func(layer int) int {
		w := m.build(k, layer)
		base.Parts = append(base.Parts, PartCost{PassCost: t.passes(w), Work: w})
		return len(base.Parts) - 1
	}
	seen := map[class]int{}
	for layer := range m.Arch.Blocks() {
		key := classOf(m.Arch, layer)
		i, ok := seen[key]
		if !ok {
			i = add(layer)
			seen[key] = i
		}
		base.Class = append(base.Class, i)
	}
	base.Embedding, base.Head = add(embeddingPart), add(headPart)
	cells := make([]*Cell, len(again))
	for i, r := range again {
		c := *base
		c.Key = k
		c.Key.Recompute = r
		c.Parts = append([]PartCost(nil), base.Parts...)
		for j := range c.Parts {
			p := &c.Parts[j]
			t.recompute(&p.PassCost, p.Work, r)
			p.Kept = p.Work.Kept(r)
		}
		cells[i] = &c
	}
	return cells
}

// Before fills in the seconds of one micro-batch through the blocks before each
// block (one value more than there are blocks), and returns those of what comes
// first, the embedding, and last, the head with the MTP depths.
func (c *Cell) Before(before []float64) (first, last float64) {
	layers := len(before) - 1
	before[0] = 0
	for b := range layers {
		before[b+1] = before[b] + c.Block(b).Seconds()
	}
	last = c.Parts[c.Head].Seconds()
	for _, class := range c.Class[layers:] {
		last += c.Parts[class].Seconds()
	}
	return c.Parts[c.Embedding].Seconds(), last
}

// Cut fills in how many blocks each position of a pipeline holds: as many
// everywhere if they divide, else so that the slowest position takes as little
// time as possible, what comes first and last counted where it is. See [Cell.Before].
func Cut(before []float64, first, last float64, counts []int) {
	n, parts := len(before)-1, len(counts)
	if n%parts == 0 {
		for i := range counts {
			counts[i] = n / parts
		}
		return
	}
	// Under a limit a greedy cut is best. The next limit worth trying is the
	// least time that the last try found to be too long.
	limit := (before[n] + first + last) / float64(parts)
	for {
		placed, next := fill(before, first, last, limit, counts)
		if placed == n {
			return
		}
		limit = next
	}
}

// fill gives each position as many blocks as stay under the limit, but leaves one
// for each position that follows, the last one excepted: what comes last may be
// work enough, and empty positions before it would undo what chunks are for. It
// returns how many blocks it placed, and the least time that was too long.
func fill(before []float64, first, last, limit float64, counts []int) (placed int, next float64) {
	n, parts := len(before)-1, len(counts)
	next = math.Inf(1)
	for i := range counts {
		extra := 0.0
		if i == 0 {
			extra = first
		}
		if i == parts-1 {
			extra += last
		}
		most := n
		if leave := n - max(0, parts-2-i); leave > placed {
			most = leave
		}
		e := placed
		for e < most && before[e+1]-before[placed]+extra <= limit {
			e++
		}
		if e < most {
			next = min(next, before[e+1]-before[placed]+extra)
		}
		counts[i] = e - placed
		placed = e
	}
	return placed, next
}

// Whole returns the seconds of a step whose critical stage has run its passes
// and done its part of what comes once per step at the given time.
func (m *Model) Whole(end float64) float64 {
	return (end + m.rates.fixed) * m.slowest
}
