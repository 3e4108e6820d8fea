package scheduletest

import "github.com/temper-ml/temper/distributed/mesh"

// class divides the weights of a chunk by how they are reduced and sharded. The
// matrix of the embedding has a class to itself, because stages that share it
// must shard it alike.
type class uint8

const (
	dense class = iota
	shared
	expert
	classes
)

// bucket holds the weights of one class of one chunk on one rank, and their
// gradients. Over its axis, of degree n, all ranks hold the same weights; with
// ZeRO rank number at owns every n-th part of them.
type bucket struct {
	weights []Weight
	index   map[Weight]int
	axis    mesh.Axis
	n, at   int
	zero    int
	value   map[Weight]num // what products read; nil where it has not been gathered
	gathers int            // passes that value has been gathered for (zero 3)
	local   *gradient      // of this rank's microbatches since the last reduction
	dirty   bool           // there have been some
	total   *gradient      // reduced: of the owned weights
}

// owned returns the range of weights that the rank updates.
func (b *bucket) owned() (from, to int) { return b.share(b.at) }

// share returns the range of weights of one rank of the group.
func (b *bucket) share(rank int) (from, to int) {
	if b.zero == 0 || b.n == 1 {
		return 0, len(b.weights)
	}
	each := (len(b.weights) + b.n - 1) / b.n
	return min(rank*each, len(b.weights)), min((rank+1)*each, len(b.weights))
}

// sharded reports whether values have to be gathered before every pass.
func (b *bucket) sharded() bool { return b.zero == 3 && b.n > 1 && len(b.weights) > 0 }

// gradient is the gradient of a list of weights, with how often each has seen
// each token of the global batch.
type gradient struct {
	sum  []num
	seen []uint8 // by weight, microbatch and token
}

func newGradient(weights, tokens int) *gradient {
	return &gradient{sum: make([]num, weights), seen: make([]uint8, weights*tokens)}
}

// slice returns the gradient of some of the weights.
func (g *gradient) slice(from, to int) *gradient {
	if len(g.sum) == 0 {
		return g
	}
	tokens := len(g.seen) / len(g.sum)
	return &gradient{sum: g.sum[from:to], seen: g.seen[from*tokens : to*tokens]}
}

func (g *gradient) clone() *gradient {
	return &gradient{sum: append([]num(nil), g.sum...), seen: append([]uint8(nil), g.seen...)}
}

func (g *gradient) add(o *gradient) {
	addTo(g.sum, o.sum)
	for i, n := range o.seen {
		g.seen[i] += n
	}
}

// part returns the share of size things that a rank of an axis holds.
func part(size, degree, at int) (from, to int) {
	return size / degree * at, size / degree * (at + 1)
}

// buckets lists what a rank holds of a chunk.
func (t *toy) buckets(rank, chunk int) *[classes]bucket {
	out := &[classes]bucket{}
	for c := range out {
		b := &out[c]
		b.axis, b.zero = mesh.DPCP, t.Spec.Zero
		if class(c) == expert {
			b.axis = mesh.EDP
		}
		group := t.Spec.Mesh.Group(b.axis, rank)
		b.n, b.at = group.Size, group.Index(rank)
	}
	at, _ := t.Spec.Mesh.Coord(rank)
	h := &holder{toy: t, at: at, out: out}
	h.part(t.Pipeline.Position(t.Stage(rank), chunk))
	tokens := t.micros * t.tokens
	for c := range out {
		b := &out[c]
		from, to := b.owned()
		b.local, b.total = newGradient(len(b.weights), tokens), newGradient(to-from, tokens)
		b.value, b.index = map[Weight]num{}, map[Weight]int{}
		for i, w := range b.weights {
			b.index[w] = i
			if !b.sharded() || i >= from && i < to {
				b.value[w] = w.initial()
			}
		}
	}
	return out
}

// holder lists the weights of a part that one rank holds.
type holder struct {
	*toy
	at  mesh.Coord
	out *[classes]bucket
}

func (h *holder) part(position int) {
	p, tp := h.Spec.Split.Parts[position], h.Spec.Mesh.TP
	if p.Embedding || p.MTP > 0 || p.Head && h.Spec.Tied {
		h.add(shared, embeddingRow, -1, numRows, tp, h.at.TP)
	}
	for b := range p.Blocks {
		h.block(p.First + b)
	}
	for k := range p.MTP {
		block := h.blocks() + h.mtpBefore(position) + k
		h.add(dense, projection, block, 1, 1, 0)
		h.block(block)
	}
	if p.Head && !h.Spec.Tied {
		h.add(dense, headRow, -1, numRows, tp, h.at.TP)
	}
}

func (h *holder) block(block int) {
	m := h.Spec.Mesh
	h.add(dense, attentionNorm, block, 1, 1, 0)
	h.add(dense, feedForwardNorm, block, 1, 1, 0)
	h.add(dense, attentionHead, block, numHeads, m.TP, h.at.TP)
	if !h.isExpert(block) {
		h.add(dense, hiddenSlice, block, numSlices, m.TP, h.at.TP)
		return
	}
	h.add(dense, router, block, numExperts, 1, 0)
	first, last := part(numExperts, m.EP, h.at.EP)
	for e := first; e < last; e++ {
		from, to := part(numSlices, m.ETP, h.at.ETP)
		for j := from; j < to; j++ {
			b := &h.out[expert]
			b.weights = append(b.weights, Weight{expertSlice, block, e*numSlices + j})
		}
	}
}

func (h *holder) add(c class, k kind, block, size, degree, at int) {
	from, to := part(size, degree, at)
	for i := from; i < to; i++ {
		h.out[c].weights = append(h.out[c].weights, Weight{k, block, i})
	}
}
