package digest

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Block is the number of values in a block: 4 KiB, one page. Shards whose ends
// are multiples of it are hashed where they lie.
const Block = 1024

// DefaultPeriod keeps digests below 1 % of a step of a couple of thousand tokens,
// see docs/digests.md; larger steps can afford a shorter one.
const DefaultPeriod = 32

// maxValues bounds a layout, so that no number here can overflow.
const maxValues = 1 << 56

// Tensor is one array of a layout.
type Tensor struct {
	Name string
	// Integer says that the values are int32, not float32.
	Integer bool
	// Size is the number of values of the whole tensor, whoever holds them.
	Size int64
}

// Layout fixes which values a digest is of. It is the same on all ranks and
// does not change.
type Layout struct {
	period  int64
	tensors []layoutTensor // sorted by name
	index   map[string]int
	blocks  int64
}

// layoutTensor is a tensor with what is derived from its place in the list.
type layoutTensor struct {
	Tensor
	first  int64  // number of its first block
	header []byte // its part of the state's text, before its digest
}

// NewLayout returns the layout of the tensors, given in any order, of which each
// step covers one block in period.
func NewLayout(tensors []Tensor, period int) (*Layout, error) {
	if period < 1 || int64(period) > 1<<31 {
		return nil, fmt.Errorf("digest: period is %d steps, want 1 to %d", period, int64(1<<31))
	}
	l := &Layout{period: int64(period), index: make(map[string]int, len(tensors))}
	sorted := slices.SortedFunc(slices.Values(tensors), func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	values := int64(0)
	for i, t := range sorted {
		if t.Name == "" {
			return nil, fmt.Errorf("digest: a tensor has no name")
		}
		if _, twice := l.index[t.Name]; twice {
			return nil, fmt.Errorf("digest: tensor %q appears twice", t.Name)
		}
		if t.Size < 0 || t.Size > maxValues-values {
			return nil, fmt.Errorf("digest: tensor %q has %d values after %d others, want 0 to %d in all", t.Name, t.Size, values, int64(maxValues))
		}
		values += t.Size
		l.index[t.Name] = i
		l.tensors = append(l.tensors, layoutTensor{t, l.blocks, t.header()})
		l.blocks += t.blocks()
	}
	return l, nil
}

// Period returns the number of steps in which every block is covered once.
func (l *Layout) Period() int { return int(l.period) }

// leaves is the number of blocks that a step of this phase covers.
func (l *Layout) leaves(phase int64) int64 {
	return max(0, (l.blocks-phase+l.period-1)/l.period)
}

// owner returns the tensor that a numbered block belongs to.
func (l *Layout) owner(block int64) *layoutTensor {
	i, _ := slices.BinarySearchFunc(l.tensors, block, func(t layoutTensor, b int64) int {
		switch {
		case t.first+t.blocks() <= b:
			return -1
		case t.first > b:
			return 1
		}
		return 0
	})
	return &l.tensors[i]
}

func (t *Tensor) blocks() int64 { return (t.Size + Block - 1) / Block }

// span returns the values [lo, hi) of the tensor's block b.
func (t *Tensor) span(b int64) (lo, hi int64) { return b * Block, min(t.Size, (b+1)*Block) }

func (t *Tensor) kind() string {
	if t.Integer {
		return "I32"
	}
	return "F32"
}

func (t *Tensor) header() []byte {
	h := binary.LittleEndian.AppendUint64(nil, uint64(len(t.Name)))
	h = append(append(h, t.Name...), t.kind()...)
	return binary.LittleEndian.AppendUint64(h, uint64(t.Size))
}

// equal reports whether two layouts are of the same values.
func (l *Layout) equal(o *Layout) bool {
	return l == o || l.period == o.period &&
		slices.EqualFunc(l.tensors, o.tensors, func(a, b layoutTensor) bool { return a.Tensor == b.Tensor })
}
