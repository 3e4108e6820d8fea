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
	ForwardPeak    int64 // bytes alive at the worst moment of the forward pass, beyond what is kept
	BackwardPeak   int64 // bytes alive at the worst moment of the backward pass, beyond what was kept
	Boundary       int64 // bytes of the activations that a pipeline sends on
}

// Saved is one tensor that waits for the backward pass.
type Saved struct {
	Name  string
	Bytes int64
	Drop  Module // not kept when one of these is recomputed
	Only  Module // kept only when one of these is recomputed; 0 = always
}

// Parameters counts the values of weights that one rank holds.
type Parameters struct {
	Split      int64 // of matrices that TP divides: this rank's part
	Replicated int64 // held whole by every TP rank
	Expert     int64 // of the routed experts that live here, ETP's part
	Frozen     int64 // no gradient: routing bias and hash tables; part of Replicated
	Muon       int64 // of Split and Replicated, what Muon trains
	MuonExpert int64 // of Expert, what Muon trains
	Largest    int64 // values of the largest matrix that Muon must see whole
}

// Add returns the sum of two parts.
func (p Parameters) Add(q Parameters) Parameters {
	return Parameters{
		p.Split + q.Split, p.Replicated + q.Replicated, p.Expert + q.Expert, p.Frozen + q.Frozen,
		p.Muon + q.Muon, p.MuonExpert + q.MuonExpert, max(p.Largest, q.Largest),
	}
}

// Dense returns the values outside the routed experts.
func (p Parameters) Dense() int64 { return p.Split + p.Replicated }

// Total returns all values.
func (p Parameters) Total() int64 { return p.Dense() + p.Expert }

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
		return w.Forward
	}
	var out []Operator
	for i := range w.Forward {
		if r.Has(w.Forward[i].Module) {
			out = append(out, w.Forward[i])
		}
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
	b.input()
	b.attention()
	b.feedForward()
}
