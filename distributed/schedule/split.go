package schedule

import (
	"errors"
	"fmt"
)

// Part is what one position of the pipeline holds: a run of consecutive blocks
// and the special layers.
type Part struct {
	First, Blocks int  // blocks First, First+1, ..., Blocks of them
	Embedding     bool // the input embedding
	MTP           int  // multi-token-prediction modules
	Head          bool // the output head and the loss
}

// Split cuts a model into parts, by position along the forward pass.
// Shape.Position says which part a chunk of a stage holds.
type Split struct {
	Parts []Part
}

// Blocks returns the number of blocks in all parts.
func (s Split) Blocks() int {
	n := 0
	for _, p := range s.Parts {
		n += p.Blocks
	}
	return n
}

// MTP returns the number of multi-token-prediction modules in all parts.
func (s Split) MTP() int {
	n := 0
	for _, p := range s.Parts {
		n += p.MTP
	}
	return n
}

// Check reports the first rule that the split breaks: blocks follow each other
// without gaps, the embedding comes first, the head is there once and nothing
// but MTP modules and the head follows the last block.
func (s Split) Check() error {
	if len(s.Parts) == 0 {
		return errors.New("schedule: the split has 0 parts, must have at least 1")
	}
	next, heads := 0, 0
	for q, p := range s.Parts {
		if p.Blocks < 0 || p.MTP < 0 {
			return fmt.Errorf("schedule: part %d of the split has %d blocks and %d MTP modules, must have at least 0", q, p.Blocks, p.MTP)
		}
		if p.First != next {
			return fmt.Errorf("schedule: part %d of the split begins at block %d, must begin at %d, where the part before ends", q, p.First, next)
		}
		next += p.Blocks
		if p.Embedding != (q == 0) {
			return fmt.Errorf("schedule: part %d of the split: embedding is %v, must be in part 0 and only there", q, p.Embedding)
		}
		if p.Head {
			heads++
		}
	}
	if heads != 1 {
		return fmt.Errorf("schedule: the split has %d heads, must have 1", heads)
	}
	return s.checkOrder(next)
}

func (s Split) checkOrder(blocks int) error {
	for q, p := range s.Parts {
		if p.MTP > 0 && p.First+p.Blocks < blocks {
			return fmt.Errorf("schedule: part %d of the split holds an MTP module before the last of %d blocks", q, blocks)
		}
		if after := s.Parts[q+1:]; p.Head {
			for _, later := range after {
				if later.Blocks > 0 || later.MTP > 0 {
					return fmt.Errorf("schedule: part %d of the split holds the head, but later parts hold blocks", q)
				}
			}
		}
	}
	return nil
}

// Layers is what a model has to be cut.
type Layers struct {
	Blocks int
	MTP    int // multi-token-prediction modules; they stay with the head
}

// Even are the choices of Megatron for an even split. The zero value gives
// every part the same number of blocks.
type Even struct {
	First, Last     int  // blocks of the first and the last stage (all its chunks); 0 means as many as the others
	Embedding, Head bool // count the embedding, or the head, as one block
}

// SplitEven cuts a model into equal parts as Megatron does: with First or Last
// the other stages share the remaining blocks; with Embedding or Head the first
// or last part holds one block less. It refuses what does not divide, naming
// the nearest number of blocks that does.
func SplitEven(l Layers, stages, chunks int, e Even) (Split, error) {
	if stages < 1 || stages > MaxStages || chunks < 1 || chunks > MaxChunks {
		return Split{}, fmt.Errorf("schedule: a split over %d stages of %d chunks: stages must lie in 1..%d and chunks in 1..%d, nearest legal value %dx%d",
			stages, chunks, MaxStages, MaxChunks, min(max(stages, 1), MaxStages), min(max(chunks, 1), MaxChunks))
	}
	if err := l.check(e, stages*chunks); err != nil {
		return Split{}, err
	}
	if e.First > 0 || e.Last > 0 {
		return splitEnds(l, stages, chunks, e)
	}
	slots := l.Blocks + count(e.Embedding) + count(e.Head)
	parts := stages * chunks
	if slots%parts != 0 {
		return Split{}, fmt.Errorf("schedule: %d blocks (with %d for embedding and head) do not divide into stages*chunks = %d*%d parts, nearest legal value %d blocks",
			l.Blocks, slots-l.Blocks, stages, chunks, nearestMultiple(slots, parts)-slots+l.Blocks)
	}
	counts := make([]int, parts)
	for q := range counts {
		counts[q] = slots / parts
	}
	counts[0] -= count(e.Embedding)
	counts[parts-1] -= count(e.Head)
	return l.cut(counts), nil
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

const maxBlocks = 1 << 16

func (l Layers) check(e Even, parts int) error {
	if l.Blocks < 1 || l.Blocks > maxBlocks || l.MTP < 0 || l.MTP > maxBlocks {
		return fmt.Errorf("schedule: a model of %d blocks and %d MTP modules: must have 1..%d blocks and 0..%d modules, nearest legal value %d and %d",
			l.Blocks, l.MTP, maxBlocks, maxBlocks, min(max(l.Blocks, 1), maxBlocks), min(max(l.MTP, 0), maxBlocks))
	}
	if slots := l.Blocks + count(e.Embedding) + count(e.Head); parts > slots {
		return fmt.Errorf("schedule: %d parts (stages*chunks) for %d blocks: must be at most %d, nearest legal value %d", parts, l.Blocks, slots, slots)
	}
	if e.First < 0 || e.Last < 0 {
		return fmt.Errorf("schedule: blocks of the first and last stage are %d and %d, must be at least 0, nearest legal value %d and %d", e.First, e.Last, max(e.First, 0), max(e.Last, 0))
	}
	return nil
}

// splitEnds gives the first and last stage their own numbers of blocks.
func splitEnds(l Layers, stages, chunks int, e Even) (Split, error) {
	if e.Embedding || e.Head {
		return Split{}, errors.New("schedule: the embedding or head counts as a block, and the blocks of the first or last stage are given: choose one of the two")
	}
	rest, middle := l.Blocks, stages
	for _, end := range [...]struct {
		name   string
		blocks int
	}{{"first", e.First}, {"last", e.Last}} {
		if end.blocks == 0 {
			continue
		}
		if end.blocks%chunks != 0 {
			return Split{}, fmt.Errorf("schedule: the %s stage has %d blocks, must be a multiple of %d chunks, nearest legal value %d", end.name, end.blocks, chunks, nearestMultiple(end.blocks, chunks))
		}
		rest, middle = rest-end.blocks, middle-1
	}
	if middle < 1 && rest != 0 || middle < 0 {
		return Split{}, fmt.Errorf("schedule: first and last stage hold %d and %d of %d blocks, and no other stage is there for the rest", e.First, e.Last, l.Blocks)
	}
	if parts := middle * chunks; middle > 0 && (rest < parts || rest%parts != 0) {
		return Split{}, fmt.Errorf("schedule: first and last stage hold %d and %d of %d blocks, the other %d do not divide into %d stages of %d chunks, nearest legal value %d blocks",
			e.First, e.Last, l.Blocks, rest, middle, chunks, l.Blocks-rest+nearestMultiple(max(rest, 0), parts))
	}
	counts := make([]int, stages*chunks)
	for q := range counts {
		switch stage := q % stages; {
		case stage == 0 && e.First > 0:
			counts[q] = e.First / chunks
		case stage == stages-1 && e.Last > 0:
			counts[q] = e.Last / chunks
		default:
			counts[q] = rest / (middle * chunks)
		}
	}
	return l.cut(counts), nil
}

// cut makes the split that holds so many blocks at each position.
func (l Layers) cut(counts []int) Split {
	s := Split{Parts: make([]Part, len(counts))}
	next := 0
	for q, n := range counts {
		s.Parts[q] = Part{First: next, Blocks: n}
		next += n
	}
	s.Parts[0].Embedding = true
	last := &s.Parts[len(counts)-1]
	last.Head, last.MTP = true, l.MTP
	return s
}
