package attention

import (
	"math"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/nn"
)

// Indexer holds the weights that choose entries for queries.
type Indexer struct {
	WQB        nn.Weight // [index heads*index dim, R] queries, from the attention's normed latent
	Proj       nn.Weight // [index heads, D] weights of the heads
	Compressor Compressor
}

// chooser runs an [Indexer].
type chooser struct {
	w      *Indexer
	c      Config
	scale  float32 // of the heads' weights
	pooler pooler
	x      kernel.Indexer
	chosen kernel.Chosen
	loss   []float64 // [T]
	given  []int     // first tokens of each segment whose entries are given

	// saved by forward if the loss is wanted, else scratch
	q, heads []float32 // [T, index heads*index dim], [T, index heads]
}

func newChooser(w *Indexer, c Config) *chooser {
	return &chooser{
		w: w, c: c, scale: float32(1 / math.Sqrt(float64(c.IndexDim*c.IndexHeads))),
		pooler: pooler{
			w: &w.Compressor, names: indexerNames, hidden: c.Hidden, eps: c.Eps, hadamard: true, quantise: c.FakeQuant,
			pool: kernel.Pooling{Ratio: c.Ratio, Overlap: true, Dim: c.IndexDim},
		},
		x: kernel.Indexer{Heads: c.IndexHeads, Ratio: c.Ratio},
	}
}

// begin sets the segments of a pass.
func (i *chooser) begin(segs []kernel.Segment, e extent) {
	i.pooler.pool.Segments, i.x.Segments = segs, segs
	i.x.K = i.room(e)
	i.chosen.K = i.room(e)
	i.x.Given = i.tokensGiven(e)
}

// room bounds the entries that a query attends.
func (i *chooser) room(e extent) int { return min(i.c.TopK, e.longest) }

// scores tells whether any query sees more entries than it may attend.
func (i *chooser) scores(e extent) bool { return e.longest > i.c.TopK }

// runs tells whether the forward pass computes the indexer at all: to choose,
// or for its loss.
func (i *chooser) runs(e extent, learn bool) bool { return learn || i.scores(e) }

// take takes the memory that forward keeps for the loss.
func (i *chooser) take(m memory, e extent) {
	i.q, i.heads = m.F32(e.tokens*i.c.IndexHeads*i.c.IndexDim), m.F32(e.tokens*i.c.IndexHeads)
	i.pooler.take(m, e.tokens, e.entries)
}

// chooserForward is scratch of the forward pass.
type chooserForward struct {
	keys         []float32 // [E, index dim]
	pool, choose []float32
}

// takeForward takes scratch; it includes what take takes unless that is kept.
func (i *chooser) takeForward(m memory, e extent, learn bool) (f chooserForward) {
	if !i.runs(e, learn) {
		return f
	}
	if !learn {
		i.take(m, e)
	}
	f.keys, f.pool = m.F32(e.entries*i.c.IndexDim), m.F32(i.pooler.pool.Scratch())
	f.choose = m.F32(i.x.ChooseScratch())
	return f
}

// project adds the products with x.
func (i *chooser) project(ps *products, x []float32, tokens int) {
	i.pooler.project(ps, x, tokens)
	ps.add(project(i.heads, x, i.w.Proj, tokens, i.c.Hidden, i.c.IndexHeads))
}

// query adds the product with the normed latent.
func (i *chooser) query(ps *products, qr []float32, tokens int) {
	ps.add(project(i.q, qr, i.w.WQB, tokens, i.c.QRank, i.c.IndexHeads*i.c.IndexDim))
}

// only leaves what the indexer computed for segments that it need not score out
// of what is shown, unless its loss is wanted.
func (i *chooser) only(p *nn.Pass, learn bool) {
	if !learn {
		p.SeeLongest(i.c.Ratio * (i.c.TopK + 1))
	}
}

// projected shows the products of project, queried that of query.
func (i *chooser) projected(e extent, learn bool) {
	i.only(e.pass, learn)
	i.pooler.projected(e.pass)
	e.pass.See("indexer.head_weights", i.heads)
	e.pass.SeeLongest(0)
}

func (i *chooser) queried(e extent, learn bool) {
	i.only(e.pass, learn)
	e.pass.See("indexer.q_b", i.q)
	e.pass.SeeLongest(0)
}

// choose finds the entries that each query attends.
func (i *chooser) choose(f *chooserForward, v *sparseSaved, blocks, tokens rotation, e extent, learn bool) {
	i.chosen.Count, i.chosen.Index = v.count, v.list
	if i.runs(e, learn) {
		i.only(e.pass, learn)
		i.rotate(i.q, tokens, e, false)
		if i.c.FakeQuant {
			kernel.FakeQuantFP4(i.q, indexGroup)
		}
		e.pass.See("indexer.q", i.q)
		kernel.Scale(i.heads, i.scale)
		e.pass.See("indexer.weights", i.heads)
		i.pooler.forward(f.keys, blocks, f.pool, e.pass)
		e.pass.SeeLongest(0)
	}
	q, w, k := i.operands(f.keys, e)
	i.give(e)
	i.x.Choose(&i.chosen, q, w, k, f.choose)
	if i.scores(e) {
		// The lists of earlier tokens, which see no more than they may attend, are implied.
		e.pass.SeeLists("indexer.chosen", nil, v.list, v.count, i.chosen.K, i.c.Ratio*(i.c.TopK+1)-1)
	}
}

// give takes over the entries that the pass gives; nothing scores them.
func (i *chooser) give(e extent) {
	given := e.pass.Choices()
	for j := range i.x.Given {
		g, at := &given[j], e.segs[j].Start
		for t := range i.x.Given[j] {
			copy(i.chosen.Index[(at+t)*i.chosen.K:], g.Picks[g.Starts[t]:g.Starts[t+1]])
		}
	}
}

// tokensGiven returns of how many first tokens of each segment the pass gives the
// entries, nil if it gives none or nothing chooses.
func (i *chooser) tokensGiven(e extent) []int {
	given := e.pass.Choices()
	if given == nil || !i.scores(e) {
		return nil
	}
	i.given = i.given[:0]
	for j := range given {
		i.given = append(i.given, max(0, len(given[j].Starts)-1))
	}
	return i.given
}

// rotate applies position and Hadamard rotations to queries, or the transposed
// rotations to their gradients.
func (i *chooser) rotate(q []float32, rot rotation, e extent, transposed bool) {
	if transposed {
		kernel.Hadamard(q, e.tokens*i.c.IndexHeads, i.c.IndexDim)
	}
	kernel.Rope(q, e.tokens, i.c.IndexHeads, i.c.IndexDim, rot.cos, rot.sin, transposed)
	if !transposed {
		kernel.Hadamard(q, e.tokens*i.c.IndexHeads, i.c.IndexDim)
	}
}

// operands views queries, head weights and keys as matrices; they have no rows
// if the indexer does not run.
func (i *chooser) operands(keys []float32, e extent) (q, w, k kernel.Mat) {
	if keys == nil {
		return q, w, k
	}
	return kernel.MatOf(i.q, e.tokens*i.c.IndexHeads, i.c.IndexDim), kernel.MatOf(i.heads, e.tokens, i.c.IndexHeads),
		kernel.MatOf(keys, e.entries, i.c.IndexDim)
}
