package verify

import (
	"fmt"
	"math"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/report/record"
)

// bounds limit the operations of a step by what the record says of it: T tokens
// in K sequences (examples), S of them supervised, rows of at most L. How long
// each sequence was is not in the record, so the bounds hold for every way to cut.
//
// A step's operations are a sum over its sequences of f(n), n being a sequence's
// length, plus the output head's at supervised positions. f is made of terms
// a·n; of the keys that n causal queries attend, whose increments never fall
// with n; of the complete blocks floor(n/r) that a layer compresses; and, of MTP
// block d, all of these at max(0, n-d).
//
// Least. Every such term is superadditive: f(n+m) >= f(n)+f(m). Cutting
// sequences never adds operations, so T·f(1) is a lower bound of the trunk, also where
// indexers form fewer scores since choices are given: f(1) has none. The
// first MTP block works on n-1 positions of each sequence, T-K in all, and so
// takes (T-K)·m at least, m being the operations of one position; deeper blocks
// may have none.
//
// Most. Let M be a multiple of every r, and L' and T' be L and T rounded up to
// multiples of M. Among sequences of at most L' tokens and T' in all, terms whose
// increments never fall are greatest where sequences are as long as they may be:
// q = floor(T'/L') of L' and one of the rest. For blocks, the sum of floor(n/r)
// is at most T/r, and exactly T'/r in that arrangement, since both lengths are
// multiples of r. MTP block d is taken at n-d+D of the D blocks instead of n-d,
// no less, and at the deepest exactly at n, so that the same holds. Increments
// do not fall, so more tokens are more operations, and T' >= T is an upper bound.
// An indexer that is not trained is the exception: it costs nothing in a sequence
// without a choice, so two sequences that both have one can cost more than a long
// one and a rest that has none. There the bound takes it as if it ran in every
// sequence and scored every visible key, whose increments do not fall.
type bounds struct {
	config   *arch.Config
	mtp      bool
	indexer  bool
	unit     int64 // M
	row      int64 // L'
	full     float64
	rest     map[int64]float64
	single   float64 // f(1)
	position float64 // m
	head     float64 // of one supervised position of the trunk
	heads    float64 // of one of every MTP block
}

// mostSequence bounds rows, so that no sum here overflows; mostRests how many
// rests of a row are told apart.
const (
	mostSequence = 1 << 31
	mostRests    = 1 << 10
)

func newBounds(c *arch.Config, sequence int64, mtp, indexer bool) (*bounds, error) {
	if sequence < 1 || sequence > mostSequence {
		return nil, fmt.Errorf("sequence: %d, want 1 to %d", sequence, int64(mostSequence))
	}
	b := &bounds{config: c, mtp: mtp && c.NumMTP > 0, indexer: indexer, unit: 16, rest: map[int64]float64{}}
	for i := range c.Blocks() {
		r := int64(c.Ratio(i))
		if r < 2 || b.unit%r == 0 {
			continue
		}
		b.unit = b.unit / gcd(b.unit, r) * r
		if b.unit > mostSequence {
			return nil, fmt.Errorf("compress ratios have a common multiple above %d", int64(mostSequence))
		}
	}
	for up(sequence, b.unit)/b.unit > mostRests {
		b.unit *= 2
	}
	b.row = up(sequence, b.unit)
	b.full = b.packed(b.row)
	b.single = b.flops(false, 1)
	b.head = b.withHeads(false, 1) - b.single
	if b.mtp {
		b.position = b.flops(true, 2) - b.flops(false, 2)
		b.heads = b.withHeads(true, int64(c.NumMTP)+1) - b.flops(true, int64(c.NumMTP)+1) - b.head
	}
	return b, nil
}

// flops are the operations of one sequence of n tokens without any label.
func (b *bounds) flops(mtp bool, n int64) float64 {
	w := arch.Work{Lengths: []int{int(n)}, MTP: mtp, IndexerLoss: b.indexer, Supervised: []int64{}}
	return b.config.FLOPs(w).Total()
}

// withHeads are those of a sequence with one label in the trunk and each MTP block.
func (b *bounds) withHeads(mtp bool, n int64) float64 {
	labels := make([]int64, 1+b.config.NumMTP)
	for i := range labels {
		labels[i] = 1
	}
	w := arch.Work{Lengths: []int{int(n)}, MTP: mtp, IndexerLoss: b.indexer, Supervised: labels}
	return b.config.FLOPs(w).Total()
}

// packed is the upper bound of a sequence of n tokens, a multiple of the unit.
func (b *bounds) packed(n int64) float64 {
	f := b.upper(false, n)
	if b.mtp {
		longer := n + int64(b.config.NumMTP)
		f += b.upper(true, longer) - b.upper(false, longer)
	}
	return f
}

// upper is flops with untrained indexers at work everywhere, where any may be.
func (b *bounds) upper(mtp bool, n int64) float64 {
	if b.indexer || !b.chooses() {
		return b.flops(mtp, n)
	}
	l := b.config.FLOPs(arch.Work{Lengths: []int{int(n)}, MTP: mtp, IndexerLoss: true, Supervised: []int64{}})
	total := l.Forward()
	for _, it := range l.Items {
		if it.Name != "indexer" {
			total += it.Backward
		}
	}
	return total
}

// chooses tells whether any query may see more compressed keys than it attends.
func (b *bounds) chooses() bool {
	c := b.config
	for i := range c.Blocks() {
		if c.Kind(i) == arch.CSA && (b.row+int64(c.NumMTP))/int64(c.Ratio(i)) > int64(c.IndexTopK) {
			return true
		}
	}
	return false
}

// forward is the upper bound of the forward pass of a sequence of n tokens, a
// multiple of the unit, without MTP blocks.
func (b *bounds) forward(n int64) float64 {
	return b.config.FLOPs(arch.Work{Lengths: []int{int(n)}, IndexerLoss: true, Supervised: []int64{}}).Forward()
}

// of returns the bounds of a step. Sums of floats may differ by a few roundings
// from the trainer's, which the bounds allow for. A step that crosses its prompts
// and answers, for kto, may have run as many tokens once more forward, in no
// more sequences, and every label with them.
func (b *bounds) of(s *record.Step, crossed bool) (least, most float64) {
	const slack = 1e-9
	all := up(s.Tokens, b.unit)
	rest, known := b.rest[all%b.row]
	if !known {
		rest = b.packed(all % b.row)
		b.rest[all%b.row] = rest
	}
	t, labels := float64(s.Tokens), float64(s.Supervised)
	least = float64(t*b.single) + float64(float64(s.Tokens-s.Examples)*b.position) + float64(labels*b.head)
	most = float64(math.Floor(float64(all)/float64(b.row))*b.full) + rest + float64(labels*(b.head+b.heads))
	if crossed {
		most += float64(math.Floor(float64(all)/float64(b.row))*b.forward(b.row)) + b.forward(all%b.row) + float64(labels*b.head)
	}
	return least * (1 - slack), most * (1 + slack)
}

func up(n, unit int64) int64 { return (n + unit - 1) / unit * unit }

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
