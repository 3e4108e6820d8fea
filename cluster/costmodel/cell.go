package costmodel

import (
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
