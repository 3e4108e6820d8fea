package operator

import "github.com/temper-ml/temper/model/arch"

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
