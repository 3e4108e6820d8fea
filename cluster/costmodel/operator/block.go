package operator

import "github.com/temper-ml/temper/model/arch"

// BlockWork is what one rank does for one micro-batch in one part of the model:
// a transformer block, the embedding, the head, or an MTP depth. Equal parts
// give equal works, which callers may share; nothing in it may be changed.
type BlockWork struct {
	Forward        []Operator // in order
	BackwardInput  []Operator // gradients of activations, and everything that is not a weight gradient
	BackwardWeight []Operator // gradients of weights, which a schedule may put off
	Saved          []Saved    // what the forward pass keeps for the backward pass
	Parameters     Parameters
	Logits         int64   // bytes of logits and what the loss makes of them, part of BackwardPeak
	Table          int64   // bytes of the gradient of the input embedding
	Weights        []Shape // of the matrices whose gradients are added in place; see [Engine.FusedGradients]
	BackwardPeak   int64   // bytes alive at the worst moment of the backward pass, beyond what was kept
	stop           int     // operators of the forward pass that recomputing the whole runs again; 0 = all
	Sent           int64   // of Boundary, what one rank sends: TP ranks that all hold it send a part each
	Boundary       int64   // bytes of the activations that a pipeline sends on
}

// Saved is one tensor that waits for the backward pass.
type Saved struct {
	Name  string
	Bytes int64
	Drop  Module // not kept when one of these is recomputed
	Only  Module // kept only when one of these is recomputed; 0 = always
}

// Kept returns the activation bytes that one micro-batch in flight holds.
func (w *BlockWork) Kept(r Recompute) int64 {
	var sum int64
	for i := range w.Saved {
		if w.Saved[i].kept(r) {
			sum += w.Saved[i].Bytes
		}
	}
	return sum
}

func (s *Saved) kept(r Recompute) bool {
	if s.Only != 0 && !r.Has(s.Only) {
		return false
	}
	return s.Drop == 0 || !r.Has(s.Drop)
}

// Again returns the forward operators that the backward pass runs again.
func (w *BlockWork) Again(r Recompute) []Operator {
	if r.Has(Whole) {
		if w.stop > 0 {
			return w.Forward[:w.stop]
		}
		return w.Forward
	}
	var out []Operator
	for i := range w.Forward {
		o := w.Forward[i]
		if !r.Has(o.Module) {
			continue
		}
		if o.Share > 0 && Module(r)&o.Module == PerOp {
			o.N = int64(float64(o.N) * o.Share)
			o.FLOPs *= o.Share
			o.Bytes *= o.Share
		}
		out = append(out, o)
	}
	return out
}

// Block returns the work of one transformer block. The sharding must have passed
// [Sharding.Check].
func Block(c *arch.Config, layer int, s Sharding, n Numbers) *BlockWork {
	b := newBuilder(c, layer, s, n)
	b.block()
	return b.work()
}

// Embedding returns the work of the input embedding.
func Embedding(c *arch.Config, s Sharding, n Numbers) *BlockWork {
	b := newBuilder(c, -1, s, n)
	b.embedding()
	return b.work()
}

// Head returns the work of the final norm, the output head and the loss.
func Head(c *arch.Config, s Sharding, n Numbers) *BlockWork {
	b := newBuilder(c, -1, s, n)
	b.head()
	return b.work()
}

// MTP returns the work of one MTP depth: the projections that join trunk and
// next token, the block, and the head applied again. Embedding and head weights
// are the trunk's and not counted here; a stage that holds the MTP block apart
// from them keeps copies, see [MTPCopies].
func MTP(c *arch.Config, depth int, s Sharding, n Numbers) *BlockWork {
	b := newBuilder(c, c.NumLayers+depth, s, n)
	b.join()
	b.block()
	b.sharedHead()
	return b.work()
}

// block appends one transformer block.
func (b *builder) block() {
	b.start()
	if b.c.HCMult == 0 {
		b.attention()
		b.feedForward()
		return
	}
	d := int64(b.c.HiddenSize)
	b.streams("attention", b.attention)
	b.keep("streams before feed-forward", b.size(b.mine*b.width()), Streams|PerOp)
	b.streams("feed-forward", func() {
		b.module = Norms | PerOp
		b.norm("ffn_norm", b.mine, d, d)
		b.module = 0
		b.experts()
	})
}

// alike reports whether two blocks are equal in everything that costs: kind of
// attention, window, ratio, experts, routing.
func alike(c *arch.Config, a, b int) bool {
	return c.Kind(a) == c.Kind(b) && c.Ratio(a) == c.Ratio(b) && c.LayerWindow(a) == c.LayerWindow(b) &&
		c.IsMoE(a) == c.IsMoE(b) && c.IsHash(a) == c.IsHash(b)
}

// Works holds the works of all parts of one model under one sharding, each kind
// of block once. It never changes once made, so that any number of evaluations may
// share it.
type Works struct {
	Model    *arch.Config
	Sharding Sharding
	Numbers  Numbers

	Embedding *BlockWork
	Head      *BlockWork
	Blocks    []*BlockWork // by layer, MTP depths after the trunk; equal blocks are the same work
}

// NewWorks writes down all parts, or reports why the model cannot be cut so.
func NewWorks(c *arch.Config, s Sharding, n Numbers) (*Works, error) {
	if err := s.Check(c, n); err != nil {
		return nil, err
	}
	w := &Works{Model: c, Sharding: s, Numbers: n, Embedding: Embedding(c, s, n), Head: Head(c, s, n)}
	var kinds []int // the first block of each kind
next:
	for l := range c.NumLayers {
		for _, k := range kinds {
			if alike(c, k, l) {
				w.Blocks = append(w.Blocks, w.Blocks[k])
				continue next
			}
		}
		kinds = append(kinds, l)
		w.Blocks = append(w.Blocks, Block(c, l, s, n))
	}
	for i := range c.NumMTP {
		w.Blocks = append(w.Blocks, MTP(c, i, s, n))
	}
	return w, nil
}
