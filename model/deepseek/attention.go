package deepseek

import (
	"fmt"
)

// attention is what a block needs of an attention sublayer.
type attention interface {
	body
	// KL returns the indexer's loss of the last Forward and Backward, summed over
	// tokens; 0 without an indexer.
	KL() float64
	// Floats returns the arena memory, in 4-byte elements, that Forward keeps and
	// the most that Forward or Backward hold on top of it.
	Floats(t int, segments []Segment) (saved, scratch int)
}

// attention assembles the attention sublayer of a block.
func (f *finder) attention() (attention, error) {
	return nil, fmt.Errorf("no attention yet for %v", f.cfg.Kind(f.layer))
}
